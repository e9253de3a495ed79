"""manage.py collectstatic: Django's command, with a look at the sources before it opens any."""

from __future__ import annotations

from typing import Any

from django.contrib.staticfiles.management.commands import collectstatic
from django.core.exceptions import ImproperlyConfigured

from ...build.portability import bound_text
from ...errors import ConfigurationError, VersionedStorageError
from ...progress import log_summary
from ...static_root import check_sources_are_files
from ...storage import VersionedStaticFilesStorage


class Command(collectstatic.Command):
    """Knows what Django tells no storage: the patterns to ignore, and the verbosity."""

    def handle(self, **options: Any) -> str | None:
        try:
            output: str | None = super().handle(**options)
        except VersionedStorageError as error:
            error.shows_section = self.verbosity > 1
            raise
        except ImproperlyConfigured as error:
            # Django's own, of a missing STATIC_ROOT, would be printed with a traceback.
            raise ConfigurationError(str(error)) from error
        return output

    def collect(self) -> Any:
        """As Django's. Raises `UnusableFiles`: opening a named pipe would wait for its writer."""
        if not isinstance(self.storage, VersionedStaticFilesStorage):
            return super().collect()
        check_sources_are_files(self.ignore_patterns)
        collected = super().collect()
        if self.verbosity > 1 and self.post_process and not self.dry_run:
            manifest = self.storage.manifest
            if bound := bound_text(manifest.assets.values()) if manifest else "":
                log_summary(f"Not shared, because of:\n{bound}")
        return collected
