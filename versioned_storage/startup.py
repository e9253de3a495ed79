"""The state of this process: whether it imports modules, runs a command or serves pages."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from types import FrameType

from django.apps import apps
from django.template.base import Node

from .progress import logger

_INTERNAL = ("django", "jinja2", "versioned_storage")


class _Process:
    has_request_handler = False
    has_warned = False


def note_request_handler() -> None:
    """Note that this process serves pages from now on."""
    _Process.has_request_handler = True


def may_serve_pages() -> bool:
    """Return True if a request handler was built, or if the app that notes it is not installed."""
    if _Process.has_request_handler:
        return True
    return apps.apps_ready and not apps.is_installed("versioned_storage")


def is_importing() -> bool:
    """Return True if the caller runs while a module is imported."""
    return any(
        frame.f_code.co_name == "<module>" and frame.f_globals.get("__name__") != "__main__"
        for frame in _frames()
    )


def is_collectstatic() -> bool:
    """Return True in the process of ``manage.py collectstatic``."""
    return sys.argv[1:2] == ["collectstatic"]


def caller() -> str:
    """Return ``file:line`` of the template or the code that called Django or this package."""
    for frame in _frames():
        if place := _template_place(frame):
            return place
        package = str(frame.f_globals.get("__name__")).partition(".")[0]
        if package not in _INTERNAL and not frame.f_code.co_filename.startswith("<frozen "):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
    return "Django"


def _template_place(frame: FrameType) -> str | None:
    """Return ``file:line`` of the tag that a frame renders; None for a frame of other code."""
    if template := frame.f_globals.get("__jinja_template__"):
        return f"{template.filename}:{template.get_corresponding_lineno(frame.f_lineno)}"
    node = frame.f_locals.get("self") if frame.f_code.co_name == "render" else None
    origin, token = getattr(node, "origin", None), getattr(node, "token", None)
    return f"{origin}:{token.lineno}" if isinstance(node, Node) and origin and token else None


def is_first_warning() -> bool:
    """Return True the first time that it is called in this process."""
    first, _Process.has_warned = not _Process.has_warned, True
    return first


def warn_if_not_installed() -> None:
    """Warn, once a process, that the storage is used and the app is not in INSTALLED_APPS.

    Only the storage can: a check of an app that is not installed never runs.
    """
    if apps.apps_ready and not apps.is_installed("versioned_storage"):
        _warn_not_installed()


@cache
def _warn_not_installed() -> None:
    logger.warning(
        "versioned_storage is not in INSTALLED_APPS: settings.STATIC_URL does not point at the "
        "build, and manage.py has neither the checks nor the command for builds. Add it: "
        'INSTALLED_APPS = ["versioned_storage", ...]'
    )


def _frames() -> Iterator[FrameType]:
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back
