"""Static files over HTTP: a request and a file in, a response out.

Knows builds, files and RFC 9110. The middleware joins it with Django's settings and WhiteNoise.
"""
