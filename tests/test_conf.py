"""Options: where each is looked up, what it may be, and what is said of one that cannot be."""

import re
from dataclasses import FrozenInstanceError

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import CommandError
from django.test import override_settings

from versioned_storage.conf import (
    Options,
    UnknownOption,
    debug,
    settings_as_written,
    static_root,
)
from versioned_storage.constants import SKIP_COMPRESS_EXTENSIONS
from versioned_storage.errors import MissingBuildVersion
from versioned_storage.validators import InvalidOption

BUCKET = {"bucket_name": "my-site-static"}


def refusal(**given):
    with pytest.raises(InvalidOption) as caught:
        Options.load(given)
    return str(caught.value)


def test_without_any_setting_every_option_has_its_default():
    options = Options.load()

    assert options.build_version is None
    assert options.cdn_domain is None
    assert options.origin is None
    assert options.encodings == ("br", "gzip")
    assert options.skip_compress_extensions == SKIP_COMPRESS_EXTENSIONS
    assert options.keep_originals is True
    assert options.manifest_strict is None
    assert options.js_modules is None
    assert options.strict_source_maps is False
    assert options.ignore_missing == ()
    assert options.prehashed("app.3f2a9c1b.css") is False
    assert options.connections == 64
    assert options.response_headers == {
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Timing-Allow-Origin": "*",
        "X-Content-Type-Options": "nosniff",
    }
    assert options.wants_build is False


def test_options_cannot_be_changed_once_they_are_loaded():
    with pytest.raises(FrozenInstanceError):
        Options.load().connections = 1


@pytest.mark.parametrize("given", [{"cdn_domain": "cdn.test"}, {"origin": BUCKET}])
def test_a_cdn_or_an_origin_makes_no_sense_without_a_build(given):
    assert Options.load(given).wants_build is True


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
    given = {"build_version": unset, "cdn_domain": unset, "origin": unset, "encodings": unset}

    with override_settings(BUILD_VERSION=unset, VERSIONED_STORAGE={"connections": 3}):
        options = Options.load({**given, "connections": unset})

    assert options.build_version == "environment"
    assert options.cdn_domain is None
    assert options.origin is None
    assert options.encodings == ("br", "gzip")
    assert options.connections == 3


def test_an_empty_environment_variable_is_no_build_version(monkeypatch):
    monkeypatch.setenv("BUILD_VERSION", "")
    assert Options.load().build_version is None


@pytest.mark.parametrize("unset", [None, {}])
def test_the_setting_may_be_there_and_empty(unset):
    with override_settings(VERSIONED_STORAGE=unset):
        assert Options.load().connections == 64


def test_a_setting_that_is_no_dict_is_refused():
    with override_settings(VERSIONED_STORAGE=["br"]), pytest.raises(InvalidOption) as caught:
        Options.load()
    assert str(caught.value) == (
        "VERSIONED_STORAGE is ['br']. It takes a dict of options, for example "
        "VERSIONED_STORAGE = {}."
    )


# Unknown options

KNOWN = (
    "base_build, build_version, cdn_domain, conditional_writes, connections, encodings, "
    "ignore_missing, js_modules, keep_originals, manifest_strict, origin, prehashed, "
    "preload_manifest, publish, response_headers, skip_compress_extensions, strict_source_maps"
)


def test_an_unknown_option_of_the_storage_lists_the_known_ones():
    with pytest.raises(UnknownOption) as caught:
        Options.load({"cdn_domian": "cdn.test"})
    assert str(caught.value) == (
        'STORAGES["staticfiles"]["OPTIONS"] has the unknown option '
        f"'cdn_domian'. The options are: {KNOWN}."
    )
    assert caught.value.name == "cdn_domian"


def test_an_unknown_option_of_the_setting_lists_the_known_ones():
    with (
        override_settings(VERSIONED_STORAGE={"encoding": None}),
        pytest.raises(UnknownOption) as caught,
    ):
        Options.load()
    assert str(caught.value) == (
        f"VERSIONED_STORAGE has the unknown option 'encoding'. The options are: {KNOWN}."
    )


@pytest.mark.parametrize("given", [{"nonsense": 1}, {"connections": 0}])
def test_what_is_wrong_with_an_option_is_an_error_of_the_settings_and_of_the_command(given):
    with pytest.raises(ImproperlyConfigured) as caught:
        Options.load(given)
    assert isinstance(caught.value, CommandError)


# The build version


@pytest.mark.parametrize("version", ["2f1c9ab", "v1.2.3", "1", "A_b-C.d", "a" * 64, "7.0..1"])
def test_a_build_version_is_what_names_a_directory_and_a_part_of_a_url(version):
    assert Options.load({"build_version": version}).build_version == version


@pytest.mark.parametrize(
    "version",
    ["feature/x", "a b", ".hidden", "-x", "_x", "..", "a" * 65, "1.0\n", "größe", "a\\b", 20261121],
)
def test_a_build_version_that_cannot_be_is_refused_and_one_that_can_is_shown(version):
    with override_settings(BUILD_VERSION=version), pytest.raises(InvalidOption) as caught:
        Options.load()
    assert str(caught.value) == (
        f"BUILD_VERSION is {version!r}. It takes 1 to 64 letters, digits, dots, hyphens and "
        "underscores, the first a letter or a digit (it becomes a directory and a part of each "
        "URL), for example '2f1c9ab'."
    )


def test_the_refusal_of_a_build_version_names_the_place_that_it_came_from(monkeypatch):
    monkeypatch.setenv("BUILD_VERSION", "a/b")
    with pytest.raises(InvalidOption, match=r"^The environment variable BUILD_VERSION is 'a/b'\."):
        Options.load()
    with (
        override_settings(VERSIONED_STORAGE={"build_version": "c/d"}),
        pytest.raises(InvalidOption, match=r"^VERSIONED_STORAGE\[\"build_version\"\] is 'c/d'\."),
    ):
        Options.load()
    found = refusal(build_version="e/f")
    assert found.startswith('STORAGES["staticfiles"]["OPTIONS"]["build_version"] is \'e/f\'.')


# The CDN


@pytest.mark.parametrize(
    ("given", "base"),
    [
        ("d111111abcdef8.cloudfront.net", "https://d111111abcdef8.cloudfront.net"),
        ("https://cdn.example.com/", "https://cdn.example.com"),
        ("http://127.0.0.1:8123", "http://127.0.0.1:8123"),
        ("localhost:8123", "https://localhost:8123"),
        ("http://[::1]:8123", "http://[::1]:8123"),
        ("https://cdn.example.com:8443/site/a-b%20c/", "https://cdn.example.com:8443/site/a-b%20c"),
    ],
)
def test_a_cdn_is_a_bare_domain_or_a_url_with_scheme_port_and_path(given, base):
    assert Options.load({"cdn_domain": given}).cdn_domain == base


@pytest.mark.parametrize(
    "given",
    [
        "ftp://cdn.example.com",
        "//cdn.example.com",
        "https://",
        "cdn example.com",
        "cdn.example.com/a b",
        "cdn.example.com//static",
        "cdn.example.com/../x",
        "cdn.example.com/./x",
        "cdn.example.com?x=1",
        "cdn.example.com#x",
        "cdn.example.com/?",
        "-cdn.example.com",
        ["cdn.example.com"],
    ],
)
def test_a_cdn_that_is_no_base_of_urls_is_refused(given):
    assert refusal(cdn_domain=given) == (
        f'STORAGES["staticfiles"]["OPTIONS"]["cdn_domain"] is {given!r}. It takes the domain of '
        "the CDN, or its URL with http or https, a port and a path that stands before the path of "
        "STATIC_URL; no user, no query, no fragment, no '.' or '..', for example "
        "'d111111abcdef8.cloudfront.net'."
    )


@pytest.mark.parametrize("given", ["https://[", "https://cdn.example.com:x", "https://[::1"])
def test_a_cdn_that_is_no_url_at_all_is_refused_and_not_a_traceback(given):
    assert repr(given) in refusal(cdn_domain=given)


def test_the_password_in_a_url_is_not_repeated():
    found = refusal(cdn_domain="https://user:hunter2@cdn.example.com")
    assert "is a URL with a user in it. It takes the domain of the CDN" in found
    assert "hunter2" not in found


# The origin


def test_an_origin_is_kept_as_it_was_given_and_not_shared():
    given = dict(BUCKET, region_name="eu-west-1")
    origin = Options.load({"origin": given}).origin
    assert origin == given
    assert origin is not given


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({"region_name": "x", "access_key": "k"}, "a dict with access_key, region_name"),
        ({}, "a dict with nothing in it"),
        ({"bucket_name": None}, "a dict whose bucket_name is None"),
        ({"bucket_name": ""}, "a dict whose bucket_name is ''"),
        ("my-site-static", "of type str"),
    ],
)
def test_an_origin_without_a_bucket_is_refused(given, found):
    assert refusal(origin=given) == (
        f'STORAGES["staticfiles"]["OPTIONS"]["origin"] is {found}. It takes a dict of '
        "django-storages' S3Storage options with a bucket_name, for example "
        "{'bucket_name': 'my-site-static', 'region_name': 'eu-west-1'}."
    )


@pytest.mark.parametrize("header", ["CacheControl", "ContentEncoding", "ContentType"])
def test_headers_that_each_object_gets_from_its_build_are_refused(header):
    found = refusal(origin={**BUCKET, "object_parameters": {header: "x"}})
    assert (
        f"is a dict that sets {header}. It takes object_parameters without {header}, which each "
        "object gets from its build, for example"
    ) in found


def test_other_object_parameters_are_for_the_site_to_choose():
    given = {**BUCKET, "object_parameters": {"StorageClass": "STANDARD_IA"}}
    assert Options.load({"origin": given}).origin == given


def test_credentials_are_neither_in_the_repr_nor_in_a_refusal():
    secret = "wJalrXUtnFEMI"  # an invented one
    assert secret not in repr(Options.load({"origin": {**BUCKET, "secret_key": secret}}))
    assert secret not in refusal(origin={"secret_key": secret})


# The rest


def test_encodings_have_the_order_of_preference_whatever_order_they_are_given_in():
    assert Options.load({"encodings": ["gzip", "br"]}).encodings == ("br", "gzip")
    assert Options.load({"encodings": ["gzip"]}).encodings == ("gzip",)
    assert Options.load({"encodings": []}).encodings == ()


@pytest.mark.parametrize("given", ["br", ["zstd"], [None], 7])
def test_encodings_that_nobody_makes_are_refused(given):
    assert refusal(encodings=given) == (
        f'STORAGES["staticfiles"]["OPTIONS"]["encodings"] is {given!r}. It takes a list of '
        "encodings, known are br, gzip; an empty one is for none, for example ['br', 'gzip']."
    )


def test_extensions_are_compared_without_dot_and_case():
    given = [".PNG", "woff2", "png"]
    options = Options.load({"skip_compress_extensions": given})
    assert options.skip_compress_extensions == ("png", "woff2")
    assert Options.load({"skip_compress_extensions": []}).skip_compress_extensions == ()


@pytest.mark.parametrize("given", ["png", [1], 1, [""]])
def test_extensions_that_are_no_list_of_strings_are_refused(given):
    assert refusal(skip_compress_extensions=given).endswith(
        f"is {given!r}. It takes a list of file extensions, for example ['png', 'woff2']."
    )


@pytest.mark.parametrize(
    "name", ["keep_originals", "manifest_strict", "js_modules", "strict_source_maps"]
)
def test_a_switch_is_true_or_false_and_not_a_word(name):
    for value in (True, False):
        assert getattr(Options.load({name: value}), name) is value
    for value in ("False", 0, 1, []):
        assert refusal(**{name: value}) == (
            f'STORAGES["staticfiles"]["OPTIONS"]["{name}"] is {value!r}. It takes True or False, '
            "for example True."
        )


@pytest.mark.parametrize("given", [0, -1, 1001, "64", 1.5, True])
def test_connections_are_a_whole_number_in_bounds(given):
    assert refusal(connections=given).endswith(
        f"is {given!r}. It takes a whole number from 1 to 1000, for example 64."
    )


@pytest.mark.parametrize("given", [1, 1000])
def test_the_bounds_of_connections_are_allowed(given):
    assert Options.load({"connections": given}).connections == given


def test_what_may_be_missing_is_a_list_of_pairs():
    given = ["vendor/*.css:*.htc", "*:https*"]
    assert Options.load({"ignore_missing": given}).ignore_missing == tuple(given)


@pytest.mark.parametrize("given", ["a:b", ["a"], [":b"], ["a:"], [":"], [("a", "b")], 1])
def test_what_may_be_missing_and_is_no_pair_is_refused(given):
    assert refusal(ignore_missing=given).endswith(
        f"is {given!r}. It takes a list of 'file-glob:reference-glob', for example "
        "['vendor/*.css:*.htc']."
    )


@pytest.mark.parametrize("given", [r"-[\w-]{8}\.\w+$", re.compile(r"-[\w-]{8}\.\w+$")])
def test_prehashed_names_are_found_by_a_regular_expression(given):
    prehashed = Options.load({"prehashed": given}).prehashed
    assert prehashed("assets/index-BWz4x_9Q.js") is True
    assert prehashed("assets/index.js") is False


def test_prehashed_names_are_found_by_a_callable():
    prehashed = Options.load({"prehashed": lambda name: name.startswith("dist/")}).prehashed
    assert [prehashed("dist/a.js"), prehashed("src/a.js")] == [True, False]


def test_a_regular_expression_that_is_none_is_refused_with_the_reason():
    found = refusal(prehashed="(")
    assert "is ( (missing ), unterminated subpattern at position 0). It takes a regular " in found
    assert "expression or a callable that takes a file's name, for example r'" in found


@pytest.mark.parametrize("given", [1, ["a"]])
def test_prehashed_is_nothing_else(given):
    assert f"is {given!r}. It takes a regular expression or a callable" in refusal(prehashed=given)


def test_a_response_header_is_added_or_replaced_and_none_takes_one_away():
    given = {"timing-allow-origin": None, "X-Content-Type-Options": "other", "X-Own": "1"}
    assert Options.load({"response_headers": given}).response_headers == {
        "Cross-Origin-Resource-Policy": "cross-origin",
        "X-Content-Type-Options": "other",
        "X-Own": "1",
    }


@pytest.mark.parametrize(
    "given",
    [
        "nosniff",
        ["X-Own"],
        {"X Own": "1"},
        {"X-Own:": "1"},
        {"X-Own": 1},
        {"X-Own": "1\r\nSet-Cookie: a=b"},
        {"X-Own": " 1"},
        {1: "1"},
    ],
)
def test_response_headers_that_are_none_are_refused(given):
    assert refusal(response_headers=given).endswith(
        f"is {given!r}. It takes a dict of header names and values, None for one that is not to "
        "be sent, for example {'Timing-Allow-Origin': None}."
    )


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
