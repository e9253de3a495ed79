"""System checks: what is misconfigured, and the line that mends it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.checks import CheckMessage, Error

from . import static_url
from .apps import storage_options
from .errors import ConfigurationError
from .options import Options


def check_options(app_configs: Any, **kwargs: Any) -> Sequence[CheckMessage]:
    """The options can be read and STATIC_URL can hold builds; collectstatic asks first."""
    given = storage_options()
    if given is None:
        return []
    try:
        options = Options.load(given)
        if options.build_version is not None and (url := static_url.current()) is not None:
            url.check_holds_builds(options.cdn_domain)
    except ConfigurationError as error:
        return [Error(str(error), id="versioned_storage.E001")]
    return []
