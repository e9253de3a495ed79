"""What WhiteNoise serves with builds in it, and with which headers; and its settings."""

from __future__ import annotations

import os
from pathlib import Path
from wsgiref.headers import Headers

import pytest
from django.core.files.storage import storages
from django.test import Client, override_settings

from versioned_storage.constants import CACHE_CONTROL

from .helpers import Site, site, write
from .pulled import FILES, MIDDLEWARE, served

# Headers


def test_the_header_of_a_file_can_be_switched_off_and_others_added(tmp_path: Path) -> None:
    options = {"response_headers": {"Timing-Allow-Origin": None, "X-Own": "1"}}
    with site(tmp_path, FILES, options=options, BUILD_VERSION="b1", MIDDLEWARE=MIDDLEWARE) as shop:
        shop.collect()
        headers = served(shop.storage.url("css/app.css"))[1]
    assert "Timing-Allow-Origin" not in headers
    assert headers["X-Own"] == "1"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Resource-Policy"] == "cross-origin"


def test_tags_are_those_of_the_content_and_of_each_encoding(deployed: Site, tmp_path: Path) -> None:
    url = deployed.storage.url("css/app.css")
    encodings = ("identity", "gzip", "br")
    tags = [served(url, accept_encoding=name)[1]["ETag"] for name in encodings]
    assert len(set(tags)) == 3
    assert not any(tag.startswith("W/") for tag in tags)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with site(elsewhere, FILES, BUILD_VERSION="b1", MIDDLEWARE=MIDDLEWARE) as other:
        other.collect()
        again = [served(url, accept_encoding=name)[1]["ETag"] for name in encodings]
    assert again == tags


def test_cors_is_on_every_answer_about_a_file(deployed: Site) -> None:
    url = deployed.storage.url("css/app.css")
    etag = served(url)[1]["ETag"]
    for status, headers in (
        (304, {"if_none_match": etag}),
        (412, {"if_match": '"other"'}),
        (416, {"range": "bytes=99999-"}),
        (206, {"range": "bytes=0-0"}),
        (406, {"accept_encoding": "*;q=0"}),
    ):
        answered_status, answered, _ = served(url, **headers)
        assert answered_status == status
        assert answered["Access-Control-Allow-Origin"] == "*"
        assert answered["Vary"] == "Accept-Encoding"
        assert ("Cross-Origin-Resource-Policy" in answered) == (status != 304)
        stored = "immutable" in answered.get("Cache-Control", "")
        assert stored == (status in (206, 304))


def test_a_range_of_another_representation_is_not_joined_to_it(deployed: Site) -> None:
    url = deployed.storage.url("css/app.css")
    etag = served(url)[1]["ETag"]
    assert served(url, range="bytes=0-0", if_range=etag)[0] == 206
    status, _, body = served(url, range="bytes=0-0", if_range=etag, accept_encoding="br")
    assert status == 200
    assert len(body) > 1


def test_whitenoise_s_hook_for_headers_has_the_last_word(tmp_path: Path) -> None:
    def add_headers(headers: Headers, path: str, url: str) -> None:
        assert Path(path).is_file()
        headers["X-Url"] = url
        headers["Vary"] = "Origin"
        headers["ETag"] = '"own"'
        del headers["X-Content-Type-Options"]

    with site(
        tmp_path,
        FILES,
        BUILD_VERSION="b1",
        MIDDLEWARE=MIDDLEWARE,
        WHITENOISE_ADD_HEADERS_FUNCTION=add_headers,
    ) as shop:
        shop.collect()
        url = shop.storage.url("css/app.css")
        headers = served(url, accept_encoding="br")[1]
        assert headers["X-Url"] == url
        assert headers["Vary"] == "Origin, Accept-Encoding"
        assert headers["ETag"].startswith('"own-br-')
        assert "X-Content-Type-Options" not in headers
        assert served(url)[1]["ETag"] == '"own"'


def test_the_rest_of_whitenoise_s_settings_work(tmp_path: Path) -> None:
    root = tmp_path / "public"
    write(root, {"robots.txt": "all", "docs/index.html": "<p>", "app.v1.js": "a()"})
    with site(
        tmp_path,
        FILES,
        BUILD_VERSION="b1",
        MIDDLEWARE=MIDDLEWARE,
        WHITENOISE_ROOT=str(root),
        WHITENOISE_INDEX_FILE=True,
        WHITENOISE_MAX_AGE=7,
        WHITENOISE_CHARSET="latin-1",
        WHITENOISE_IMMUTABLE_FILE_TEST=r"\.v1\.",
    ) as shop:
        shop.collect()
        assert served("/robots.txt")[1]["Cache-Control"] == "max-age=7, public"
        assert served("/robots.txt")[1]["Content-Type"] == "text/plain; charset=latin-1"
        assert served("/app.v1.js")[1]["Cache-Control"] == CACHE_CONTROL
        assert served("/docs/")[2] == b"<p>"
        assert served("/docs")[0] == served("/docs/index.html")[0] == 302
        assert served("/static/b1/css/app.css")[1]["Cache-Control"] == CACHE_CONTROL


def test_a_staticfiles_json_of_an_app_is_served_as_any_other_file(tmp_path: Path) -> None:
    files = {"app/deep/staticfiles.json": "{}"}
    with site(tmp_path, files, BUILD_VERSION="b1", MIDDLEWARE=MIDDLEWARE) as shop:
        shop.collect()
        assert served("/static/b1/app/deep/staticfiles.json")[0] == 200


def test_the_neutral_layout_is_served_with_hashed_names_alone_immutable(tmp_path: Path) -> None:
    with site(tmp_path, FILES, MIDDLEWARE=MIDDLEWARE) as shop:
        shop.collect()
        assert served(shop.storage.url("css/app.css"))[1]["Cache-Control"] == CACHE_CONTROL
        assert served("/static/css/app.css")[1]["Cache-Control"] == "max-age=60, public"


def test_a_bundler_s_hashed_name_is_immutable_in_the_neutral_layout_too(tmp_path: Path) -> None:
    files = {"assets/app-Ca81dQx_.js": "a()"}
    options = {"prehashed": r"^assets/.+-[\w-]{8}\.\w+$"}
    with site(tmp_path, files, options=options, MIDDLEWARE=MIDDLEWARE) as shop:
        shop.collect()
        assert shop.storage.url("assets/app-Ca81dQx_.js") == "/static/assets/app-Ca81dQx_.js"
        assert served("/static/assets/app-Ca81dQx_.js")[1]["Cache-Control"] == CACHE_CONTROL


def test_paths_come_from_static_url_as_it_was_written(deployed: Site) -> None:
    pointed = {"STATIC_URL": "https://d111.cloudfront.net/assets/", "FORCE_SCRIPT_NAME": "/shop"}
    with override_settings(**pointed):
        assert served("/assets/b1/css/app.css")[0] == 200
    with override_settings(STATIC_URL="assets/", FORCE_SCRIPT_NAME="/shop"):
        assert served("/assets/b1/css/app.css")[0] == 200


def test_types_are_those_of_the_manifest_unless_the_site_says_otherwise(tmp_path: Path) -> None:
    files = {"site.webmanifest": "{}", "a.map": "{}"}
    with site(tmp_path, files, BUILD_VERSION="b1", MIDDLEWARE=MIDDLEWARE) as shop:
        shop.collect()
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


def test_outside_the_builds_http_is_as_right(tmp_path: Path) -> None:
    with site(tmp_path, FILES, MIDDLEWARE=MIDDLEWARE) as shop:
        shop.collect()
        plain = served("/static/css/app.css", accept_encoding="br;q=0, gzip;q=0")[1]
        encoded = served("/static/css/app.css", accept_encoding="BR")[1]
        assert encoded["Content-Encoding"] == "br"
        assert plain["ETag"] != encoded["ETag"]
        assert served("/static/css/app.css", if_none_match=f"W/{plain['ETag']}")[0] == 304
        assert served("/static/css/app.css", range="bytes=0-0")[2] == b"b"
        assert served("/static/missing.css")[1]["Cache-Control"] == "no-store"


@pytest.mark.parametrize("name", ["staticfiles.json", ".env", "css/.env", ".git/config"])
def test_manifests_and_dotfiles_are_not_served_there_either(tmp_path: Path, name: str) -> None:
    with site(tmp_path, FILES, MIDDLEWARE=MIDDLEWARE) as shop:
        shop.collect()
        write(shop.root, {".env": "", "css/.env": "", ".git/config": ""})
        assert served(f"/static/{name}")[0] == 404


@pytest.mark.parametrize("autorefresh", [False, True])
def test_at_the_root_of_a_site_the_files_of_whitenoise_root_are_nobody_s_secrets(
    tmp_path: Path, autorefresh: bool
) -> None:
    """With STATIC_URL = "/" they are below the static prefix too."""
    write(tmp_path / "public", {".well-known/security.txt": "Contact: x"})
    settings = {
        "STATIC_ROOT": str(tmp_path / "sources" / ".." / "static_root"),
        "STATIC_URL": "/",
        "MEDIA_URL": "/media/",
        "MIDDLEWARE": MIDDLEWARE,
        "WHITENOISE_ROOT": str(tmp_path / "public"),
        "WHITENOISE_AUTOREFRESH": autorefresh,
    }
    with site(tmp_path, FILES, **settings) as shop:
        shop.collect()
        write(shop.root, {".env": ""})
        assert served("/.well-known/security.txt")[0] == 200
        for private in ("/.env", "/staticfiles.json"):
            assert served(private)[0] == 404


def test_a_hashed_name_has_the_tag_of_its_content_there_too(tmp_path: Path) -> None:
    with site(tmp_path, FILES, MIDDLEWARE=MIDDLEWARE) as shop:
        shop.collect()
        url = shop.storage.url("css/app.css")
        etag = served(url)[1]["ETag"]
        os.utime(shop.root / url.removeprefix("/static/"), (1, 1))
        assert served(url)[1]["ETag"] == etag
        assert served("/static/css/app.css")[1]["ETag"] != etag
        (shop.root / "staticfiles.json").write_text("{")
        storages["staticfiles"].hashed_files = {}
        assert served(url)[0] == 200


def test_a_file_without_a_time_has_no_tag_of_it(tmp_path: Path) -> None:
    with site(tmp_path, FILES, MIDDLEWARE=MIDDLEWARE) as shop:
        shop.collect()
        os.utime(shop.root / "css" / "app.css", (0, 0))
        headers = served("/static/css/app.css")[1]
        assert "ETag" not in headers
        assert "Last-Modified" not in headers


def test_a_file_that_changed_since_the_start_is_served_as_it_is_now(tmp_path: Path) -> None:
    root = tmp_path / "public"
    write(root, {"robots.txt": "first"})
    with site(tmp_path, FILES, MIDDLEWARE=MIDDLEWARE, WHITENOISE_ROOT=str(root)) as shop:
        shop.collect()
        client = Client()
        assert b"".join(client.get("/robots.txt").streaming_content) == b"first"
        write(root, {"robots.txt": "the second"})
        assert b"".join(client.get("/robots.txt").streaming_content) == b"the second"
        (root / "robots.txt").unlink()
        assert client.get("/robots.txt")["Content-Type"].startswith("text/html")
        assert client.get("/robots.txt").status_code == 404


def test_without_a_build_version_behind_a_cdn_the_site_starts_all_the_same(tmp_path: Path) -> None:
    """What no page can have is for the page to say."""
    with site(tmp_path, FILES) as shop:
        shop.collect()
    options = {"cdn_domain": "cdn.test"}
    with site(tmp_path, options=options, MIDDLEWARE=MIDDLEWARE):
        assert served("/static/css/app.css")[1]["Cache-Control"] == "max-age=60, public"
