"""Static files over HTTP: what is served for a request, whoever then sends it.

Knows builds, files and RFC 9110, and nothing of Django but its parser of dates: the middleware
brings the two together.
"""
