"""The values that each option takes, and the error for any other."""

import re

import pytest
from django.test import override_settings

from versioned_storage.conf import (
    Options,
)
from versioned_storage.validators import CHECKS, InvalidOption

BUCKET = {"bucket_name": "my-site-static"}


def refusal(**value):
    with pytest.raises(InvalidOption) as caught:
        Options.load(value)
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
    described = refusal(build_version="e/f")
    assert described.startswith('STORAGES["staticfiles"]["OPTIONS"]["build_version"] is \'e/f\'.')


# The CDN


@pytest.mark.parametrize(
    ("value", "base"),
    [
        ("d111111abcdef8.cloudfront.net", "https://d111111abcdef8.cloudfront.net"),
        ("https://cdn.example.com/", "https://cdn.example.com"),
        ("http://127.0.0.1:8123", "http://127.0.0.1:8123"),
        ("localhost:8123", "https://localhost:8123"),
        ("http://[::1]:8123", "http://[::1]:8123"),
        ("https://cdn.example.com:8443/site/a-b%20c/", "https://cdn.example.com:8443/site/a-b%20c"),
    ],
)
def test_a_cdn_is_a_bare_domain_or_a_url_with_scheme_port_and_path(value, base):
    assert Options.load({"cdn_domain": value}).cdn_domain == base


@pytest.mark.parametrize(
    "value",
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
def test_a_cdn_that_is_no_base_of_urls_is_refused(value):
    assert refusal(cdn_domain=value) == (
        f'STORAGES["staticfiles"]["OPTIONS"]["cdn_domain"] is {value!r}. It takes the domain of '
        "the CDN, or its URL with http or https, a port and a path that stands before the path of "
        "STATIC_URL; no user, no query, no fragment, no '.' or '..', for example "
        "'d111111abcdef8.cloudfront.net'."
    )


@pytest.mark.parametrize("value", ["https://[", "https://cdn.example.com:x", "https://[::1"])
def test_a_cdn_that_is_no_url_at_all_is_refused_and_not_a_traceback(value):
    assert repr(value) in refusal(cdn_domain=value)


def test_the_password_in_a_url_is_not_repeated():
    described = refusal(cdn_domain="https://user:hunter2@cdn.example.com")
    assert "is a URL with a user in it. It takes the domain of the CDN" in described
    assert "hunter2" not in described


# The origin


def test_an_origin_is_kept_as_it_was_given_and_not_shared():
    value = dict(BUCKET, region_name="eu-west-1")
    origin = Options.load({"origin": value}).origin
    assert origin == value
    assert origin is not value


@pytest.mark.parametrize(
    ("value", "described"),
    [
        ({"region_name": "x", "access_key": "k"}, "a dict with access_key, region_name"),
        ({}, "a dict with nothing in it"),
        ({"bucket_name": None}, "a dict whose bucket_name is None"),
        ({"bucket_name": ""}, "a dict whose bucket_name is ''"),
        ("my-site-static", "of type str"),
    ],
)
def test_an_origin_without_a_bucket_is_refused(value, described):
    assert refusal(origin=value) == (
        f'STORAGES["staticfiles"]["OPTIONS"]["origin"] is {described}. It takes a dict of '
        "django-storages' S3Storage options with a bucket_name, for example "
        "{'bucket_name': 'my-site-static', 'region_name': 'eu-west-1'}."
    )


@pytest.mark.parametrize("header", ["CacheControl", "ContentEncoding", "ContentType"])
def test_headers_that_each_object_gets_from_its_build_are_refused(header):
    described = refusal(origin={**BUCKET, "object_parameters": {header: "x"}})
    assert (
        f"is a dict that sets {header}. It takes object_parameters without {header}, which each "
        "object gets from its build, for example"
    ) in described


def test_other_object_parameters_are_for_the_site_to_choose():
    value = {**BUCKET, "object_parameters": {"StorageClass": "STANDARD_IA"}}
    assert Options.load({"origin": value}).origin == value


def test_credentials_are_neither_in_the_repr_nor_in_a_refusal():
    secret = "wJalrXUtnFEMI"  # an invented one
    assert secret not in repr(Options.load({"origin": {**BUCKET, "secret_key": secret}}))
    assert secret not in refusal(origin={"secret_key": secret})


# The rest


def test_encodings_have_the_order_of_preference_whatever_order_they_are_given_in():
    assert list(Options.load({"encodings": ["gzip", "br"]}).encodings) == ["br", "gzip"]
    assert list(Options.load({"encodings": {"gzip": 9, "br": 11}}).encodings) == ["br", "gzip"]
    assert list(Options.load({"encodings": ["gzip"]}).encodings) == ["gzip"]
    assert Options.load({"encodings": []}).encodings == {}


@pytest.mark.parametrize("value", ["br", ["zstd"], [None], 7])
def test_encodings_that_nobody_makes_are_refused(value):
    assert refusal(encodings=value) == (
        f'STORAGES["staticfiles"]["OPTIONS"]["encodings"] is {value!r}. It takes a list of '
        "encodings, known are br, gzip, for example ['br', 'gzip']. An empty one is for no "
        "encodings."
    )


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (["brotli"], "Did you mean 'br'?"),
        (["br", "gz"], "Did you mean 'gzip'?"),
        ({"gz": 9}, "Did you mean 'gzip'?"),
    ],
)
def test_another_name_of_an_encoding_gets_the_right_one(value, hint):
    assert refusal(encodings=value).endswith(f". {hint}")


def test_qualities_by_glob_and_then_by_encoding_get_the_order_that_is_right():
    assert refusal(encodings={"*.css": {"br": 5}}) == (
        'STORAGES["staticfiles"]["OPTIONS"]["encodings"] is {\'*.css\': {\'br\': 5}}. It takes a '
        "dict whose keys are encodings, known are br, gzip, for example "
        "{'br': {'*': 10, '*.map': 5}, 'gzip': {'*': 8, '*.map': 5}}. An empty one is for no "
        "encodings."
    )


def test_an_encoding_has_one_quality_or_one_for_each_glob():
    assert Options.load({"encodings": {"br": {"*": 10, "*.map": 5}, "gzip": 6}}).encodings == {
        "br": {"*": 10, "*.map": 5},
        "gzip": {"*": 6},
    }


@pytest.mark.parametrize("quality", [12, -1, True, "best", None, {"": 5}, {5: 5}])
def test_a_quality_that_brotli_does_not_have_is_refused(quality):
    assert refusal(encodings={"br": quality}) == (
        f'STORAGES["staticfiles"]["OPTIONS"]["encodings"]["br"] is {quality!r}. It takes a '
        "quality from 0 to 11, or a dict of globs and qualities, for example "
        "{'*': 10, '*.map': 5}. Files without encodings have their extension in "
        "skip_compress_extensions."
    )


@pytest.mark.parametrize("quality", [12, True, None, {"*": 5}])
def test_of_several_globs_the_one_with_the_wrong_quality_is_named(quality):
    assert refusal(encodings={"br": {"*": 10, "*.map": quality, "*.txt": 5}}) == (
        f'STORAGES["staticfiles"]["OPTIONS"]["encodings"]["br"]["*.map"] is {quality!r}. It takes '
        "a quality from 0 to 11, for example 10. Files without encodings have their extension in "
        "skip_compress_extensions."
    )


def test_gzip_without_compression_is_refused():
    assert "It takes a quality from 1 to 9," in refusal(encodings={"gzip": {"*.map": 0}})


def test_extensions_are_compared_without_dot_and_case():
    value = [".PNG", "woff2", "png"]
    options = Options.load({"skip_compress_extensions": value})
    assert options.skip_compress_extensions == ("png", "woff2")
    assert Options.load({"skip_compress_extensions": []}).skip_compress_extensions == ()


@pytest.mark.parametrize("value", ["png", [1], 1, [""]])
def test_extensions_that_are_no_list_of_strings_are_refused(value):
    assert refusal(skip_compress_extensions=value).endswith(
        f"is {value!r}. It takes a list of file extensions, for example ['png', 'woff2']."
    )


@pytest.mark.parametrize("name", ["manifest_strict", "js_modules", "strict_source_maps"])
def test_a_switch_is_true_or_false_and_not_a_word(name):
    for value in (True, False):
        assert getattr(Options.load({name: value}), name) is value
    for value in ("False", 0, 1, []):
        assert refusal(**{name: value}) == (
            f'STORAGES["staticfiles"]["OPTIONS"]["{name}"] is {value!r}. It takes True or False, '
            "for example True."
        )


@pytest.mark.parametrize("value", [0, -1, 1001, "64", 1.5, True])
def test_connections_are_a_whole_number_in_bounds(value):
    assert refusal(connections=value).endswith(
        f"is {value!r}. It takes a whole number from 1 to 1000, for example 128."
    )


@pytest.mark.parametrize("value", [1, 1000])
def test_the_bounds_of_connections_are_allowed(value):
    assert Options.load({"connections": value}).connections == value


def test_what_may_be_missing_is_a_list_of_pairs():
    value = ["vendor/*.css:*.htc", "*:https*"]
    assert Options.load({"ignore_missing": value}).ignore_missing == tuple(value)


@pytest.mark.parametrize("value", ["a:b", ["a"], [":b"], ["a:"], [":"], [("a", "b")], 1])
def test_what_may_be_missing_and_is_no_pair_is_refused(value):
    assert refusal(ignore_missing=value).endswith(
        f"is {value!r}. It takes a list of 'file-glob:reference-glob', for example "
        "['vendor/*.css:*.htc']."
    )


@pytest.mark.parametrize("value", [r"-[\w-]{8}\.\w+$", re.compile(r"-[\w-]{8}\.\w+$")])
def test_prehashed_names_are_found_by_a_regular_expression(value):
    prehashed = Options.load({"prehashed": value}).prehashed
    assert prehashed("assets/index-BWz4x_9Q.js") is True
    assert prehashed("assets/index.js") is False


def test_prehashed_names_are_found_by_a_callable():
    prehashed = Options.load({"prehashed": lambda name: name.startswith("dist/")}).prehashed
    assert [prehashed("dist/a.js"), prehashed("src/a.js")] == [True, False]


def test_a_regular_expression_that_is_none_is_refused_with_the_reason():
    described = refusal(prehashed="(")
    assert (
        "is ( (missing ), unterminated subpattern at position 0). It takes a regular " in described
    )
    assert "expression or a callable that takes a file's name, for example r'" in described


@pytest.mark.parametrize("value", [1, ["a"]])
def test_prehashed_is_nothing_else(value):
    assert f"is {value!r}. It takes a regular expression or a callable" in refusal(prehashed=value)


def test_a_response_header_is_added_or_replaced_and_none_takes_one_away():
    value = {"timing-allow-origin": None, "X-Content-Type-Options": "other", "X-Own": "1"}
    assert Options.load({"response_headers": value}).response_headers == {
        "Cross-Origin-Resource-Policy": "cross-origin",
        "X-Content-Type-Options": "other",
        "X-Own": "1",
    }


@pytest.mark.parametrize(
    "value",
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
def test_response_headers_that_are_none_are_refused(value):
    assert refusal(response_headers=value).endswith(
        f"is {value!r}. It takes a dict of header names and values, None for one that is not to "
        "be sent, for example {'Timing-Allow-Origin': None}."
    )


# "Restrictions on all edge functions" in CloudFront's guide.
CLOUDFRONTS_OWN = """
Connection Content-Length Expect Keep-Alive Proxy-Authenticate Proxy-Authorization Proxy-Connection
Trailer Transfer-Encoding Upgrade Via Warning X-Accel-Buffering X-Accel-Charset X-Accel-Limit-Rate
X-Accel-Redirect X-Amz-Cf-Id X-Amzn-Auth X-Amzn-Cf-Billing X-Amzn-Cf-Id X-Amzn-Cf-Xff
X-Amzn-Errortype X-Amzn-Fle-Profile X-Amzn-Header-Count X-Amzn-Header-Order
X-Amzn-Lambda-Integration-Tag X-Amzn-RequestId X-Cache X-Edge-Location X-Forwarded-Proto X-Real-IP
"""


@pytest.mark.parametrize("name", [*CLOUDFRONTS_OWN.split(), "via"])
def test_a_header_that_cloudfront_answers_502_to_is_refused_wherever_it_is_set(settings, name):
    headers = {"response_headers": {name: "1"}}
    assert f"is a dict with {name}. It takes no header of CloudFront's own" in refusal(**headers)
    settings.VERSIONED_STORAGE = headers
    with pytest.raises(InvalidOption, match="502"):
        Options.load()


@pytest.mark.parametrize("name", ["X-Robots-Tag", "X-Cached-By", "Viable", "X-Amz-Meta-A"])
def test_a_header_that_only_looks_like_one_of_cloudfront_is_accepted(name):
    assert name in Options.load({"response_headers": {name: "1"}}).response_headers


@pytest.mark.parametrize("name", ["keep_originals", "shared_assets"])
@pytest.mark.parametrize("value", ["*.js", 1, ["!"], [1]])
def test_what_takes_globs_names_its_values(name, value):
    with pytest.raises(InvalidOption) as caught:
        CHECKS[name](value, "OPTIONS")

    assert "True, False, or a list of globs of names" in str(caught.value)


@pytest.mark.parametrize("value", ["shared", "_", "_a/b", "_a.b", None])
def test_the_prefix_of_shared_assets_cannot_be_a_build_version(value):
    with pytest.raises(InvalidOption):
        CHECKS["shared_prefix"](value, "OPTIONS")
