"""What every template may say."""

from django.conf import settings
from django.http import HttpRequest


def build(request: HttpRequest) -> dict[str, str | None]:
    """Which build the page belongs to; None in development."""
    return {"build_version": None if settings.DEBUG else settings.BUILD_VERSION}
