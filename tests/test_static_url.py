"""STATIC_URL: as it is written, and as it is pointed at a build."""

import pytest
from django.conf import settings
from django.test import override_settings
from django.urls import set_script_prefix

from versioned_storage import static_url
from versioned_storage.conf import settings_as_written
from versioned_storage.static_url import InvalidStaticURL, StaticURL

CDN = "https://cdn.test"


@pytest.fixture
def mounted():
    """A site that its server mounts at /mount/."""
    set_script_prefix("/mount/")
    yield "/mount/"
    set_script_prefix("/")


@pytest.mark.parametrize(
    ("written", "script_name", "plain", "behind_cdn"),
    [
        ("/static/", None, "/static/", "/static/b1/"),
        ("/static", None, "/static/", "/static/b1/"),
        ("/a/b/", None, "/a/b/", "/a/b/b1/"),
        ("static/", None, "/static/", "/static/b1/"),
        ("static/", "/app", "/app/static/", "/app/static/b1/"),
        ("static/", "/app/", "/app/static/", "/app/static/b1/"),
        ("static/", "/", "/static/", "/static/b1/"),
        ("/static/", "/app", "/static/", "/static/b1/"),
    ],
)
def test_the_path_is_the_same_with_and_without_a_cdn(written, script_name, plain, behind_cdn):
    """The S3 keys are made of it, so it must not depend on who asks."""
    url = StaticURL.parse(written, script_name)

    assert url.plain() == plain
    assert url.of_build("b1", None) == f"{plain}b1/"
    assert url.of_build("b1", CDN) == CDN + behind_cdn


@pytest.mark.parametrize(
    ("written", "origin"),
    [
        ("https://static.test/assets/", "https://static.test"),
        ("http://static.test:8080/assets", "http://static.test:8080"),
        ("//static.test/assets/", "//static.test"),
    ],
)
def test_a_url_with_a_host_keeps_it(written, origin):
    url = StaticURL.parse(written, "/app")

    assert url == StaticURL(origin, "/assets/")
    assert url.plain() == f"{origin}/assets/"
    assert url.of_build("b1", None) == f"{origin}/assets/b1/"


def test_a_relative_url_is_below_where_the_server_mounts_the_site(mounted):
    url = StaticURL.parse("static/")

    assert url.plain() == "/mount/static/"
    assert url.of_build("b1", None) == "/mount/static/b1/"
    assert url.of_build("b1", CDN) == "https://cdn.test/static/b1/"


def test_force_script_name_is_applied_once_whatever_the_server_says(mounted):
    url = StaticURL.parse("static/", "/app")
    assert url.plain() == "/app/static/"


def test_what_django_has_to_resolve_stays_relative():
    relative = StaticURL.parse("static/")
    assert relative.pointed_at("b1", None) == "static/b1/"
    assert relative.pointed_at("b1", CDN) == "https://cdn.test/static/b1/"
    assert StaticURL.parse("static/", "/app").pointed_at("b1", None) == "/app/static/b1/"
    assert StaticURL.parse("/static/").pointed_at("b1", None) == "/static/b1/"


ADVICE = (
    "Builds are published below its path, so give it a path of its own, for example "
    "STATIC_URL = '/static/'."
)


@pytest.mark.parametrize(
    ("written", "static_url"),
    [("/", "/"), ("https://static.test", "https://static.test/"), ("https://a.test/", None)],
)
def test_the_whole_site_cannot_hold_builds(written, static_url):
    with pytest.raises(InvalidStaticURL) as caught:
        StaticURL.parse(written).check_holds_builds(None)
    assert str(caught.value) == (
        f"STATIC_URL is {static_url or written!r}: its path is the whole site. {ADVICE}"
    )


@pytest.mark.parametrize("written", ["/builds/", "/builds", "builds/"])
def test_the_path_of_the_records_cannot_hold_builds(written):
    with pytest.raises(InvalidStaticURL) as caught:
        StaticURL.parse(written).check_holds_builds(CDN)
    assert str(caught.value) == (
        f"STATIC_URL is '/builds/': the records of the builds are kept at that path. {ADVICE}"
    )


def test_a_path_below_the_records_name_is_another_path():
    StaticURL.parse("/static/builds/").check_holds_builds(CDN)
    StaticURL.parse("/builds/static/").check_holds_builds(CDN)


def test_the_host_and_the_cdn_have_to_be_the_same():
    url = StaticURL.parse("https://static.test/assets/")
    url.check_holds_builds(None)
    url.check_holds_builds("https://STATIC.test")
    with pytest.raises(InvalidStaticURL) as caught:
        url.check_holds_builds(CDN)
    assert str(caught.value) == (
        "STATIC_URL is 'https://static.test/assets/': it has another host than cdn_domain, "
        "'https://cdn.test'. Drop the host, STATIC_URL = '/assets/', or drop cdn_domain."
    )


# Pointing settings.STATIC_URL at a build


def test_pointing_twice_is_pointing_once():
    with override_settings(STATIC_URL="/static/"):
        static_url.point_at("b1", CDN)
        static_url.point_at("b1", CDN)
        assert settings.STATIC_URL == "https://cdn.test/static/b1/"
        assert static_url.as_written() == "/static/"


def test_pointing_at_another_build_starts_from_what_was_written():
    with override_settings(STATIC_URL="/static/"):
        static_url.point_at("b1", None)
        static_url.point_at("b2", CDN)
        assert settings.STATIC_URL == "https://cdn.test/static/b2/"
        assert static_url.current() == StaticURL("", "/static/")


def test_a_relative_url_is_pointed_at_and_still_resolved_by_django(mounted):
    with override_settings(STATIC_URL="static/", FORCE_SCRIPT_NAME=None):
        static_url.point_at("b1", None)
        static_url.point_at("b1", None)
        assert settings.STATIC_URL == "/mount/static/b1/"
        assert static_url.as_written() == "static/"
        assert static_url.current().plain() == "/mount/static/"


def test_force_script_name_is_in_the_pointed_url_once(mounted):
    with override_settings(STATIC_URL="static/", FORCE_SCRIPT_NAME="/app"):
        static_url.point_at("b1", None)
        static_url.point_at("b1", None)
        assert settings.STATIC_URL == "/app/static/b1/"
        assert static_url.current() == StaticURL("", "/app/static/")


def test_asking_the_settings_first_changes_nothing(mounted):
    """Django keeps the resolved value; it must not be taken for what was written."""
    with override_settings(STATIC_URL="static/"):
        assert settings.STATIC_URL == "/mount/static/"
        assert static_url.as_written() == "static/"


def test_override_settings_in_between_is_seen():
    with override_settings(STATIC_URL="/static/"):
        static_url.point_at("b1", None)
        with override_settings(STATIC_URL="/other/"):
            assert static_url.as_written() == "/other/"
            static_url.point_at("b1", None)
            assert settings.STATIC_URL == "/other/b1/"
            assert static_url.as_written() == "/other/"
        assert settings.STATIC_URL == "/static/b1/"
        assert static_url.as_written() == "/static/"


def test_a_url_that_looks_like_a_build_is_what_was_written_when_nothing_was_pointed():
    with override_settings(STATIC_URL="/static/never-pointed/"):
        assert static_url.as_written() == "/static/never-pointed/"


def test_whoever_derives_paths_gets_the_written_one_with_the_script_name():
    with override_settings(STATIC_URL="static/", FORCE_SCRIPT_NAME="/app"):
        static_url.point_at("b1", CDN)
        assert settings_as_written().STATIC_URL == "/app/static/"


@pytest.mark.parametrize("nothing", [None, ""])
def test_without_static_url_there_is_nothing_to_point(nothing):
    with override_settings(STATIC_URL=nothing):
        static_url.point_at("b1", CDN)
        assert nothing == settings._wrapped.STATIC_URL
        assert static_url.current() is None


def test_a_url_that_cannot_hold_builds_is_left_as_it_is():
    with override_settings(STATIC_URL="/"):
        with pytest.raises(InvalidStaticURL):
            static_url.point_at("b1", None)
        assert settings.STATIC_URL == "/"
