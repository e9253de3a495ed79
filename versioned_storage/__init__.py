"""Immutable, versioned, precompressed static files for Django on S3 and CloudFront."""

__version__ = "0.1.0"
