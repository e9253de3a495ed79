"""Options: where each is looked up, what it may be, and what is said of one that cannot be."""

import sys
from dataclasses import FrozenInstanceError

import pytest
from django.core import mail
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.test import override_settings

from versioned_storage.conf import (
    Options,
    UnknownOption,
    debug,
    in_test_environment,
    is_test_run,
    settings_as_written,
    static_root,
)
from versioned_storage.constants import SKIP_COMPRESS_EXTENSIONS
from versioned_storage.errors import MissingBuildVersion
from versioned_storage.validators import InvalidOption

BUCKET = {"bucket_name": "my-site-static"}


def refusal(**value):
    with pytest.raises(InvalidOption) as caught:
        Options.load(value)
    return str(caught.value)


def test_without_any_setting_every_option_has_its_default():
    options = Options.load()

    assert options.build_version is None
    assert options.cdn_domain is None
    assert options.origin is None
    assert options.encodings == {"br": {}, "gzip": {}}
    assert options.skip_compress_extensions == SKIP_COMPRESS_EXTENSIONS
    assert options.keep_originals is True
    assert options.manifest_strict is None
    assert options.js_modules is None
    assert options.strict_source_maps is False
    assert options.ignore_missing == ()
    assert options.prehashed("app.3f2a9c1b.css") is False
    assert options.connections == 128
    assert options.response_headers == {
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Timing-Allow-Origin": "*",
        "X-Content-Type-Options": "nosniff",
    }
    assert options.wants_build is False


def test_options_cannot_be_changed_once_they_are_loaded():
    with pytest.raises(FrozenInstanceError):
        Options.load().connections = 1


@pytest.mark.parametrize("value", [{"cdn_domain": "cdn.test"}, {"origin": BUCKET}])
def test_a_cdn_or_an_origin_makes_no_sense_without_a_build(value):
    assert Options.load(value).wants_build is True


# Where an option comes from


def test_what_the_storage_is_given_comes_before_the_setting():
    with override_settings(VERSIONED_STORAGE={"connections": 3, "keep_originals": False}):
        options = Options.load({"connections": 5})

    assert options.connections == 5
    assert options.keep_originals is False


def test_the_build_version_is_looked_for_in_four_places_in_order(monkeypatch):
    monkeypatch.setenv("BUILD_VERSION", "environment")
    assert Options.load().build_version == "environment"
    with override_settings(BUILD_VERSION="setting"):
        assert Options.load().build_version == "setting"
        with override_settings(VERSIONED_STORAGE={"build_version": "site"}):
            assert Options.load().build_version == "site"
            assert Options.load({"build_version": "storage"}).build_version == "storage"


@pytest.mark.parametrize("unset", [None, ""])
def test_an_environment_variable_that_is_not_set_leaves_an_option_as_it_is(unset, monkeypatch):
    """``os.environ.get()`` in a settings file gives None, an empty variable gives ''."""
    monkeypatch.setenv("BUILD_VERSION", "environment")
    value = {"build_version": unset, "cdn_domain": unset, "origin": unset, "encodings": unset}

    with override_settings(BUILD_VERSION=unset, VERSIONED_STORAGE={"connections": 3}):
        options = Options.load({**value, "connections": unset})

    assert options.build_version == "environment"
    assert options.cdn_domain is None
    assert options.origin is None
    assert options.encodings == {"br": {}, "gzip": {}}
    assert options.connections == 3


def test_an_empty_environment_variable_is_no_build_version(monkeypatch):
    monkeypatch.setenv("BUILD_VERSION", "")
    assert Options.load().build_version is None


@pytest.mark.parametrize("unset", [None, {}])
def test_the_setting_may_be_there_and_empty(unset):
    with override_settings(VERSIONED_STORAGE=unset):
        assert Options.load().connections == 128


def test_a_setting_that_is_no_dict_is_refused():
    with override_settings(VERSIONED_STORAGE=["br"]), pytest.raises(InvalidOption) as caught:
        Options.load()
    assert str(caught.value) == (
        "VERSIONED_STORAGE is ['br']. It takes a dict of options, for example "
        "VERSIONED_STORAGE = {}."
    )


# Unknown options

KNOWN = (
    "base_build, build_version, cdn_domain, conditional_writes, connections, debug_strict, "
    "encodings, ignore_missing, integrity_policy, integrity_policy_report_only, js_modules, "
    "keep_originals, manifest_strict, origin, prehashed, preload_manifest, publish, "
    "response_headers, shared_assets, shared_prefix, skip_compress_extensions, strict_source_maps, "
    "transforms"
)


def test_an_unknown_option_of_the_storage_lists_the_known_ones():
    with pytest.raises(UnknownOption) as caught:
        Options.load({"cdn_domian": "cdn.test"})
    assert str(caught.value) == (
        'STORAGES["staticfiles"]["OPTIONS"] has the unknown option '
        f"'cdn_domian'. Did you mean 'cdn_domain'? The options are: {KNOWN}."
    )
    assert caught.value.name == "cdn_domian"


def test_an_unknown_option_of_the_setting_lists_the_known_ones():
    with (
        override_settings(VERSIONED_STORAGE={"encoding": None}),
        pytest.raises(UnknownOption) as caught,
    ):
        Options.load()
    assert str(caught.value) == (
        "VERSIONED_STORAGE has the unknown option 'encoding'. Did you mean 'encodings'? "
        f"The options are: {KNOWN}."
    )


def test_an_unknown_option_that_no_option_is_near_to_only_lists_them():
    with pytest.raises(UnknownOption, match=r"option 'xyz'\. The options are: "):
        Options.load({"xyz": 1})


@pytest.mark.parametrize("name", ["bucket_name", "region_name", "endpoint_url", "secret_key"])
def test_an_option_of_the_origin_beside_it_is_told_where_it_belongs(name):
    with pytest.raises(UnknownOption) as caught:
        Options.load({name: "eu-west-1"})
    assert f" It belongs into the option origin: 'origin': {{'{name}': ...}}. " in str(caught.value)


@pytest.mark.parametrize("value", [{"nonsense": 1}, {"connections": 0}])
def test_what_is_wrong_with_an_option_is_an_error_of_the_settings_and_of_the_command(value):
    with pytest.raises(ImproperlyConfigured) as caught:
        Options.load(value)
    assert isinstance(caught.value, CommandError)


# What a site that comes from WhiteNoise has set


def test_whitenoise_s_storage_settings_are_the_defaults_of_ours():
    with override_settings(
        WHITENOISE_KEEP_ONLY_HASHED_FILES=True,
        WHITENOISE_SKIP_COMPRESS_EXTENSIONS=("png", "woff2"),
        WHITENOISE_MANIFEST_STRICT=False,
    ):
        options = Options.load()
        assert options.keep_originals is False
        assert options.skip_compress_extensions == ("png", "woff2")
        assert options.manifest_strict is False
        assert Options.load({"keep_originals": True}).keep_originals is True
    with override_settings(
        WHITENOISE_KEEP_ONLY_HASHED_FILES=False, WHITENOISE_MANIFEST_STRICT=None
    ):
        assert Options.load().keep_originals is True
        assert Options.load().manifest_strict is None


def test_a_setting_of_whitenoise_s_that_cannot_be_is_refused_by_its_name():
    with (
        override_settings(WHITENOISE_SKIP_COMPRESS_EXTENSIONS="png"),
        pytest.raises(InvalidOption, match=r"^WHITENOISE_SKIP_COMPRESS_EXTENSIONS is 'png'\."),
    ):
        Options.load()


# What else is read from the settings


def test_debug_and_the_static_root_are_asked_each_time(tmp_path):
    with override_settings(DEBUG=True, STATIC_ROOT=tmp_path):
        assert debug() is True
        assert static_root() == str(tmp_path)
    with override_settings(DEBUG=False, STATIC_ROOT=None):
        assert debug() is False
        assert static_root() is None
    with override_settings(STATIC_ROOT=""):
        assert static_root() is None


def test_settings_as_written_have_the_path_of_static_url_and_all_the_rest():
    with override_settings(STATIC_URL="https://static.test/assets/", STATIC_ROOT="there"):
        settings = settings_as_written()
        assert settings.STATIC_URL == "/assets/"
        assert settings.STATIC_ROOT == "there"


def test_the_error_for_a_missing_build_version_names_setting_value_and_builds():
    assert str(MissingBuildVersion(["2f1c9ab", "81d0e77"])) == (
        "BUILD_VERSION is not set, and with cdn_domain or origin every file is in a build. Set it "
        "in the environment or the settings to what names this deploy, for example "
        "BUILD_VERSION=$(git rev-parse --short HEAD). Builds in STATIC_ROOT: 2f1c9ab, 81d0e77."
    )
    assert "Builds in STATIC_ROOT: none." in str(MissingBuildVersion([]))
    many = MissingBuildVersion([f"b{number:02}" for number in range(12)])
    assert str(many).endswith("b08, b09 and 2 more.")


@pytest.mark.parametrize(
    ("argv", "environment", "modules", "expected"),
    [
        (["manage.py", "test", "shop"], {}, {}, True),
        (["manage.py", "migrate"], {}, {}, False),
        (["gunicorn", "site.wsgi"], {}, {}, False),
        (["manage.py"], {"PYTEST_VERSION": "8.3"}, {}, True),
        (["-c"], {"PYTEST_XDIST_WORKER": "gw0"}, {}, True),
        (["manage.py"], {}, {"pytest": pytest}, True),
    ],
)
def test_a_test_run_is_known_before_its_environment_is_set_up(
    monkeypatch, argv, environment, modules, expected
):
    monkeypatch.setattr(sys, "argv", argv)
    monkeypatch.delitem(sys.modules, "pytest")
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert is_test_run() is expected


@pytest.mark.parametrize(
    ("hosts", "has_outbox", "expected"),
    [
        (["*", "testserver"], True, True),
        # The locmem backend makes an outbox anywhere.
        (["example.com"], True, False),
        (["*", "testserver"], False, False),
    ],
)
def test_a_test_environment_has_an_outbox_and_testserver(monkeypatch, hosts, has_outbox, expected):
    monkeypatch.delattr(mail, "outbox", raising=False)
    if has_outbox:
        monkeypatch.setattr(mail, "outbox", [], raising=False)
    with override_settings(ALLOWED_HOSTS=hosts):
        assert in_test_environment() is expected
        # A test may override the hosts again.
        with override_settings(ALLOWED_HOSTS=["example.com"]):
            assert in_test_environment() is expected


@pytest.mark.parametrize(
    ("value", "shares", "globs"),
    [(False, False, ()), (True, True, ()), ([], True, ()), (["js/*"], True, ("js/*",))],
)
def test_shared_assets_are_off_on_or_on_with_globs(value, shares, globs):
    options = Options.load({"shared_assets": value})

    assert (options.shares_assets, options.shared_globs) == (shares, globs)


def test_shared_assets_need_conditional_writes():
    with pytest.raises(InvalidOption) as caught:
        Options.load({"shared_assets": True, "conditional_writes": False})

    assert "conditional_writes" in str(caught.value)


@pytest.mark.parametrize("value", [True, "script", "blocked-destinations=(image)", "a\nb"])
def test_an_integrity_policy_is_the_value_of_the_header(value):
    assert "blocked-destinations" in refusal(integrity_policy=value)


def test_the_headers_that_demand_integrity_are_those_that_are_set():
    policy = "blocked-destinations=(script style), endpoints=(integrity)"
    assert Options.load({"integrity_policy_report_only": policy}).integrity_headers == {
        "Integrity-Policy-Report-Only": policy
    }
