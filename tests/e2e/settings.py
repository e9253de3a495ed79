"""The settings of the application behind the edge."""

import os

from tests.settings import *  # noqa: F403  # all of them

MIDDLEWARE = ["versioned_storage.middleware.VersionedWhiteNoiseMiddleware"]
STATIC_ROOT = os.environ["E2E_STATIC_ROOT"]
STORAGES = {"staticfiles": {"BACKEND": "versioned_storage.storage.VersionedStaticFilesStorage"}}
