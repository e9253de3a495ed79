"""System checks: what is misconfigured, and the line that mends it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error

from .apps import storage_options
from .errors import ConfigurationError
from .options import Options


def check_options(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """The options can be read; collectstatic runs this before it touches a file."""
    given = storage_options()
    if given is None:
        return []
    try:
        Options.load(given)
    except ConfigurationError as error:
        return [Error(str(error), id="versioned_storage.E001")]
    return []
