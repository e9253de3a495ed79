"""The connection to the bucket: the origin option, and what the AWS_* settings lend."""

# The server stands around what is expected to fail: two blocks, not one.

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from tests.builds import put_file
from tests.s3 import ACCESS_KEY, ONCE, SECRET_KEY, options
from versioned_storage.origin.connection import FROM_SETTINGS, UnusableOrigin
from versioned_storage.origin.s3 import S3Origin


def credential(request):
    """The access key and the region that a request was signed with."""
    scope = request.headers["Authorization"].split("Credential=")[1].split(",")[0].split("/")
    return scope[0], scope[2]


def test_an_unknown_option_is_named_beside_the_known_ones():
    with pytest.raises(UnusableOrigin) as unknown:
        S3Origin({"bucket_name": "bucket", "buket": SECRET_KEY})
    assert str(unknown.value).startswith("The origin option cannot be used: 'buket' is none of ")
    assert "bucket_name, " in str(unknown.value)
    assert str(unknown.value).endswith(
        "It takes django-storages' S3Storage options, for example {'bucket_name': "
        "'my-site-static', 'region_name': 'eu-west-1'}."
    )
    assert SECRET_KEY not in str(unknown.value)
    assert isinstance(unknown.value, ImproperlyConfigured)


def test_a_location_that_begins_with_a_slash_is_refused():
    with pytest.raises(UnusableOrigin) as wrong:
        S3Origin({"bucket_name": "bucket", "location": "/shop"})
    assert "location cannot begin with a leading slash. Found '/shop'. Use 'shop' instead. It" in (
        str(wrong.value)
    )


MEDIA = {
    "AWS_ACCESS_KEY_ID": "AKIDOFMEDIA",
    "AWS_SECRET_ACCESS_KEY": "the-secret-of-media",
    "AWS_SESSION_TOKEN": "the-token-of-media",
    "AWS_S3_REGION_NAME": "eu-north-1",
    "AWS_S3_CLIENT_CONFIG": ONCE,
    # and what is the media's own
    "AWS_STORAGE_BUCKET_NAME": "media",
    "AWS_LOCATION": "uploads",
    "AWS_DEFAULT_ACL": "public-read",
    "AWS_IS_GZIPPED": True,
    "AWS_S3_OBJECT_PARAMETERS": {
        "CacheControl": "no-cache",
        "ContentDisposition": "attachment",
        "StorageClass": "GLACIER",
        "Metadata": {"of": "media"},
    },
    "AWS_S3_CUSTOM_DOMAIN": "media.example.com",
    "AWS_CLOUDFRONT_KEY_ID": "K123",
    "AWS_QUERYSTRING_AUTH": True,
    "AWS_S3_FILE_OVERWRITE": False,
}


def test_the_media_storage_lends_how_to_connect_and_nothing_else(echo, tmp_path):
    (tmp_path / "a.css").write_bytes(b"a{}")
    with override_settings(**MEDIA, AWS_S3_ENDPOINT_URL=echo.url):
        origin = S3Origin({"bucket_name": "static"})
        put_file(origin, "static/b1/a.css", tmp_path / "a.css", ContentType="text/css")
    (request,) = echo.requests
    assert request.path == "/static/static/b1/a.css"
    assert credential(request) == ("AKIDOFMEDIA", "eu-north-1")
    assert request.headers["X-Amz-Security-Token"] == "the-token-of-media"
    assert request.body == b"a{}"
    assert {name for name in request.headers if name.lower().startswith("x-amz-meta-")} == {
        "x-amz-meta-sha256"
    }
    of_the_media = {
        "x-amz-acl",
        "x-amz-storage-class",
        "cache-control",
        "content-disposition",
        "content-encoding",
    }
    assert of_the_media.isdisjoint(map(str.lower, request.headers))


def test_an_addressing_style_is_lent():
    with override_settings(AWS_S3_ADDRESSING_STYLE="virtual", AWS_S3_REGION_NAME="eu-north-1"):
        client = S3Origin({"bucket_name": "static", "access_key": "A", "secret_key": "S"}).client
    url = client.generate_presigned_url("get_object", {"Bucket": "static", "Key": "a"})
    assert url.startswith("https://static.s3.")


def test_what_origin_says_itself_comes_before_what_is_lent(echo):
    with override_settings(**MEDIA, AWS_S3_ENDPOINT_URL="http://127.0.0.1:1"):
        S3Origin(options(echo.url, "static", region_name="us-west-2")).put("a", b"")
    (request,) = echo.requests
    assert credential(request) == (ACCESS_KEY, "us-west-2")


def test_no_connection_setting_is_also_held_back():
    assert FROM_SETTINGS.isdisjoint(
        {"bucket_name", "location", "default_acl", "gzip", "object_parameters", "custom_domain"}
    )


def test_keys_of_origin_are_not_mixed_with_a_lent_token_or_profile(echo, monkeypatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "the-token-of-the-shell")
    with override_settings(AWS_S3_SESSION_PROFILE="media"):
        S3Origin(options(echo.url, "static")).put("a", b"")
    (request,) = echo.requests
    assert credential(request)[0] == ACCESS_KEY
    assert "X-Amz-Security-Token" not in request.headers


@pytest.fixture
def profile(tmp_path, monkeypatch):
    """A profile in the AWS configuration of this machine."""
    file = tmp_path / "credentials"
    file.write_text(
        "[deploy]\naws_access_key_id = AKIDOFPROFILE\naws_secret_access_key = of-the-profile\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    return "deploy"


def test_a_profile_of_origin_comes_before_lent_keys(echo, profile, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-shell")
    given = {"bucket_name": "static", "endpoint_url": echo.url, "session_profile": profile}
    with override_settings(**MEDIA):
        S3Origin(given).put("a", b"")
    (request,) = echo.requests
    assert credential(request)[0] == "AKIDOFPROFILE"
    assert "X-Amz-Security-Token" not in request.headers


def test_a_profile_is_lent(echo, profile):
    given = {"bucket_name": "static", "endpoint_url": echo.url, "client_config": ONCE}
    with override_settings(AWS_S3_SESSION_PROFILE=profile):
        S3Origin(given).put("a", b"")
    assert credential(echo.requests[0])[0] == "AKIDOFPROFILE"


def test_keys_and_a_profile_in_origin_exclude_each_other(echo, profile):
    with pytest.raises(UnusableOrigin, match="session_profile should not be provided") as both:
        S3Origin(options(echo.url, "static", session_profile=profile))
    assert SECRET_KEY not in str(both.value)


def test_a_profile_that_is_not_there_is_named(echo):
    given = {"bucket_name": "static", "endpoint_url": echo.url, "session_profile": "nobody"}
    with pytest.raises(UnusableOrigin) as missing:
        S3Origin(given).get("a")
    assert str(missing.value).startswith(
        "The origin option cannot be used: The config profile (nobody) could not be found. "
    )


def test_an_endpoint_with_a_password_in_it_is_refused_without_a_word_of_it():
    with pytest.raises(UnusableOrigin, match="put keys into access_key") as refused:
        S3Origin(options("https://me:hush@s3.example.com", "bucket"))
    assert "hush" not in str(refused.value)


def test_an_endpoint_that_is_no_url_is_named():
    with pytest.raises(UnusableOrigin) as wrong:
        S3Origin(options("localhost", "static")).get("a")
    assert str(wrong.value).startswith(
        "The origin option cannot be used: Invalid endpoint: localhost. It takes"
    )
