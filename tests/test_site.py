"""What a Django site has: its staticfiles storage and its options, its middleware, its builds."""

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from tests.helpers import site
from versioned_storage.errors import MissingBuildVersion
from versioned_storage.site import (
    COMMON,
    OURS,
    NoOrigin,
    NoStaticRoot,
    NotVersioned,
    Site,
    above_ours,
    cdn,
    configured_options,
    configured_storage,
    usable_storage,
)

ANOTHER = "django.contrib.staticfiles.storage.StaticFilesStorage"


def test_the_options_are_those_of_a_storage_that_is_ours(tmp_path):
    storage_options = {"connections": 3, "location": "there"}
    with site(tmp_path, options=storage_options):
        assert configured_options() == storage_options
    with site(tmp_path, backend="django.contrib.staticfiles.storage.StaticFilesStorage"):
        assert configured_options() is None
    with override_settings(STORAGES={}):
        assert configured_options() is None


def test_another_storage_is_none_of_the_site(tmp_path):
    with site(tmp_path, backend=ANOTHER):
        assert configured_storage() is None
        with pytest.raises(NotVersioned, match=f"storage of this site is {ANOTHER}"):
            Site.configured()


def test_a_storage_that_cannot_be_made_is_not_usable(tmp_path):
    with site(tmp_path, options={"connections": 0}):
        with pytest.raises(ImproperlyConfigured):
            configured_storage()
        assert usable_storage() is None


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, None),
        ({"options": {"cdn_domain": "cdn.example.net"}}, "https://cdn.example.net"),
        ({"STATIC_URL": "//static.example.net/s/"}, "https://static.example.net"),
        ({"STATIC_URL": "https://static.example.net/s/"}, "https://static.example.net"),
    ],
)
def test_the_cdn_is_that_of_the_option_or_of_static_url(tmp_path, settings, expected):
    with site(tmp_path, **settings):
        assert cdn(Site.configured().storage) == expected


def test_what_a_site_lacks_is_an_error_only_when_it_is_asked_for(tmp_path):
    with site(tmp_path, STATIC_ROOT=None):
        here = Site.configured()
        with pytest.raises(NoStaticRoot):
            _ = here.root
        with pytest.raises(NoOrigin):
            _ = here.origin
        with pytest.raises(MissingBuildVersion):
            here.build()
        assert here.build("b1") == "b1"


def test_the_middleware_above_ours(tmp_path):
    middleware = ["nowhere.Middleware", COMMON, OURS, "django.middleware.gzip.GZipMiddleware"]
    with site(tmp_path, MIDDLEWARE=middleware):
        above, ours = above_ours()
    assert [entry.path for entry in above] == [COMMON]
    assert ours is not None
    assert ours.path == OURS
    with site(tmp_path):
        assert above_ours() == ((), None)
