"""Source expressions of a Content Security Policy."""

from __future__ import annotations

import pytest

from versioned_storage.checks.source_expressions import is_allowed

URL = "https://cdn.example.com/static/"


@pytest.mark.parametrize(
    "source",
    [
        "*",
        "https:",
        "HTTPS:",
        "http:",
        "cdn.example.com",
        "CDN.Example.com",
        "https://cdn.example.com",
        "http://cdn.example.com",
        "http://cdn.example.com:80",
        "https://cdn.example.com/",
        "https://cdn.example.com:443",
        "cdn.example.com:*",
        "*.example.com",
        "https://*.example.com",
        "https://*",
        "*:443",
        "cdn.example.com/static/",
        "cdn.example.com/static/css/",
        "cdn.example.com/static/css/app.css",
    ],
)
def test_it_allows_the_cdn(source: str) -> None:
    assert is_allowed(URL, ["'self'", source], [])


@pytest.mark.parametrize(
    "source",
    [
        "'self'",
        "'none'",
        "'unsafe-inline'",
        "'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='",
        "data:",
        "blob:",
        "example.com",
        "*.cdn.example.com",
        "other.example.com",
        "notcdn.example.com",
        "cdn.example.com.evil.test",
        "*xample.com",
        "wss://cdn.example.com",
        "cdn.example.com:8443",
        "cdn.example.com/media/",
        "cdn.example.com/static",
        "cdn.example.com/STATIC/",
        "https://",
        "",
        "<CSP_NONCE_SENTINEL>",
    ],
)
def test_it_does_not_allow_the_cdn(source: str) -> None:
    assert not is_allowed(URL, [source], [])


def test_self_is_what_the_page_may_come_from() -> None:
    assert is_allowed(URL, ["'self'"], ["cdn.example.com"])
    assert not is_allowed(URL, ["'self'"], ["www.example.com", ".example.com", "*"])


@pytest.mark.parametrize(
    ("url", "source", "allowed"),
    [
        ("https://cdn.example.com:8443/static/", "cdn.example.com", False),
        ("https://cdn.example.com:8443/static/", "cdn.example.com:8443", True),
        ("http://127.0.0.1:9000/static/", "127.0.0.1:9000", True),
        ("http://[::1]:9000/static/", "http://[::1]:9000", True),
        ("http://cdn.example.com/static/", "https://cdn.example.com", False),
        ("http://cdn.example.com/static/", "https:", False),
        ("https://cdn.example.com/a/static/", "cdn.example.com/a/", True),
    ],
)
def test_scheme_port_and_path_of_the_cdn_count(url: str, source: str, allowed: bool) -> None:
    assert is_allowed(url, [source], []) is allowed
