"""What the tests of the checks share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core import checks

OURS = "versioned_storage.middleware.VersionedWhiteNoiseMiddleware"
SECURITY = "django.middleware.security.SecurityMiddleware"
COMMON = "django.middleware.common.CommonMiddleware"
SESSION = "django.contrib.sessions.middleware.SessionMiddleware"
GZIP = "django.middleware.gzip.GZipMiddleware"
WHITENOISE = "whitenoise.middleware.WhiteNoiseMiddleware"
CDN = "d111111abcdef8.cloudfront.net"


def ids(messages: Sequence[checks.CheckMessage]) -> list[str]:
    """The numbers of what was found."""
    return [str(message.id).removeprefix("versioned_storage.") for message in messages]


def only(messages: Sequence[checks.CheckMessage]) -> Any:
    """The one message that there is."""
    (message,) = messages
    return message
