"""What `demo.py` is made of: an edge, the site, what its pages name, and the checks."""
