"""What the application itself serves to a CDN that pulls from it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import Client, override_settings

from versioned_storage.origin.publish import CACHE_CONTROL

from .helpers import Site, site

FILES = {
    "css/app.css": "body { background: url(../img/dot.svg) }" + " " * 500,
    "img/dot.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
    ".hidden": "not for anybody",
}
MIDDLEWARE = ["versioned_storage.middleware.VersionedWhiteNoiseMiddleware"]


@pytest.fixture
def deployed(tmp_path: Path) -> Iterator[Site]:
    """A site with one build, served by the middleware."""
    with site(tmp_path, FILES, BUILD_VERSION="b1", MIDDLEWARE=MIDDLEWARE) as one:
        one.collect()
        yield one


def served(url: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    response = Client().get(url, headers=headers)
    body = b"".join(response.streaming_content) if response.streaming else response.content
    response.close()
    return response.status_code, dict(response.items()), body


@pytest.mark.parametrize("name", ["css/app.css", "img/dot.svg"])
def test_a_url_of_the_page_is_served_and_immutable(deployed: Site, name: str) -> None:
    status, headers, body = served(deployed.storage.url(name))
    assert status == 200
    assert headers["Cache-Control"] == CACHE_CONTROL
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert body == Path(deployed.storage.path(name)).read_bytes()


def test_an_original_name_in_a_build_is_immutable_too(deployed: Site) -> None:
    status, headers, _ = served("/static/b1/css/app.css")
    assert (status, headers["Cache-Control"]) == (200, CACHE_CONTROL)


def test_the_encoding_that_is_accepted_is_served(deployed: Site) -> None:
    url = deployed.storage.url("css/app.css")
    assert served(url, accept_encoding="gzip, br")[1]["Content-Encoding"] == "br"
    assert served(url, accept_encoding="gzip")[1]["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in served(url)[1]


def test_the_build_before_is_served_beside_the_new_one(deployed: Site) -> None:
    old = deployed.storage.url("css/app.css")
    (deployed.sources / "css/app.css").write_text("body { color: red }")
    with site(deployed.sources.parent, BUILD_VERSION="b2", MIDDLEWARE=MIDDLEWARE) as redeployed:
        redeployed.collect()
        new = redeployed.storage.url("css/app.css")
        assert old.startswith("/static/b1/")
        assert new.startswith("/static/b2/")
        assert served(old)[2].startswith(b"body { background")
        assert served(new)[2] == b"body { color: red }"


@pytest.mark.parametrize(
    "url",
    ["/static/b1/staticfiles.json", "/static/b1/.hidden", "/static/staticfiles.json"],
)
def test_manifests_and_dotfiles_are_not_served(deployed: Site, url: str) -> None:
    (Path(deployed.root) / "staticfiles.json").write_text("{}")
    (Path(deployed.root) / "b1" / ".hidden").write_text("not for anybody")
    assert served(url)[0] == 404
    with override_settings(WHITENOISE_AUTOREFRESH=True):
        assert served(url)[0] == 404


def test_a_staticfiles_json_of_an_app_is_served_as_any_other_file(tmp_path: Path) -> None:
    files = {"app/deep/staticfiles.json": "{}"}
    with site(tmp_path, files, BUILD_VERSION="b1", MIDDLEWARE=MIDDLEWARE) as one:
        one.collect()
        assert served("/static/b1/app/deep/staticfiles.json")[0] == 200


def test_the_neutral_layout_is_served_with_hashed_names_alone_immutable(tmp_path: Path) -> None:
    with site(tmp_path, FILES, MIDDLEWARE=MIDDLEWARE) as one:
        one.collect()
        assert served(one.storage.url("css/app.css"))[1]["Cache-Control"] == CACHE_CONTROL
        assert served("/static/css/app.css")[1]["Cache-Control"] == "max-age=60, public"


def test_a_bundler_s_hashed_name_is_immutable_in_the_neutral_layout_too(tmp_path: Path) -> None:
    files = {"assets/app-Ca81dQx_.js": "a()"}
    options = {"prehashed": r"^assets/.+-[\w-]{8}\.\w+$"}
    with site(tmp_path, files, options=options, MIDDLEWARE=MIDDLEWARE) as one:
        one.collect()
        assert one.storage.url("assets/app-Ca81dQx_.js") == "/static/assets/app-Ca81dQx_.js"
        assert served("/static/assets/app-Ca81dQx_.js")[1]["Cache-Control"] == CACHE_CONTROL


def test_paths_come_from_static_url_as_it_was_written(deployed: Site) -> None:
    pointed = {"STATIC_URL": "https://d111.cloudfront.net/assets/", "FORCE_SCRIPT_NAME": "/shop"}
    with override_settings(**pointed):
        assert served("/assets/b1/css/app.css")[0] == 200
    with override_settings(STATIC_URL="assets/", FORCE_SCRIPT_NAME="/shop"):
        assert served("/assets/b1/css/app.css")[0] == 200


def test_types_are_those_of_the_manifest_unless_the_site_says_otherwise(tmp_path: Path) -> None:
    files = {"site.webmanifest": "{}", "a.map": "{}"}
    with site(tmp_path, files, BUILD_VERSION="b1", MIDDLEWARE=MIDDLEWARE) as one:
        one.collect()
        manifest = served("/static/b1/site.webmanifest")[1]
        assert manifest["Content-Type"] == "application/manifest+json"
        with override_settings(WHITENOISE_MIMETYPES={".map": "text/x-map"}):
            assert served("/static/b1/a.map")[1]["Content-Type"].startswith("text/x-map")


def test_whitenoise_s_own_settings_work(deployed: Site) -> None:
    with override_settings(WHITENOISE_ALLOW_ALL_ORIGINS=False, WHITENOISE_STATIC_PREFIX="/files/"):
        status, headers, _ = served("/files/b1/css/app.css")
    assert status == 200
    assert "Access-Control-Allow-Origin" not in headers
    assert headers["Cache-Control"] == CACHE_CONTROL
