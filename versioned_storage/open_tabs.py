"""The build version in pages and in answers, which tells an open tab that there is a new build."""

from __future__ import annotations

from django.contrib.staticfiles.storage import staticfiles_storage
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.deprecation import MiddlewareMixin

#: The header with the build version of the process that answered.
HEADER = "X-Build-Version"


def current_build_version() -> str:
    """Return the build version of this process; empty without a build and where URLs are plain."""
    if getattr(staticfiles_storage, "gives_plain_urls", True):
        return ""
    return getattr(staticfiles_storage, "build_version", None) or ""


def build_version(request: HttpRequest) -> dict[str, str]:
    """Context processor: ``build_version`` for every template."""
    return {"build_version": current_build_version()}


class BuildVersionMiddleware(MiddlewareMixin):
    """Adds the header ``X-Build-Version`` to the answers of the site, if there is a build."""

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        """Add the header, unless a view has set it."""
        if version := current_build_version():
            response.headers.setdefault(HEADER, version)
        return response
