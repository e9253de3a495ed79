"""CloudFront in front of either origin: the functions that run there, and the stack around them."""
