"""The values that each option takes, and the error for any other."""

import re

import pytest
from django.test import override_settings

from versioned_storage.conf import (
    Options,
)
from versioned_storage.validators import InvalidOption

BUCKET = {"bucket_name": "my-site-static"}


def refusal(**given):
    with pytest.raises(InvalidOption) as caught:
        Options.load(given)
    return str(caught.value)


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
