"""What is odd on disk costs its own file or build: no start fails, no request, and none waits."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import RequestFactory, override_settings

from versioned_storage.middleware import VersionedWhiteNoiseMiddleware

from .helpers import Site, site, write
from .pulled import FILES, MIDDLEWARE, served

NAME = "css/app.css"


def in_time(function: Callable[[], Any]) -> Any:
    """What a function returns; fails if it waits for what never comes."""
    results: list[Any] = []
    thread = threading.Thread(target=lambda: results.append(function()), daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive(), "it waits"
    assert results, "it raised"
    return results[0]


def manifest_with(site: Site, change: Callable[[dict[str, Any]], None]) -> None:
    """Change what the manifest of the build b1 says."""
    path = site.root / "b1" / "staticfiles.json"
    stored = json.loads(path.read_text())
    change(stored)
    path.write_text(json.dumps(stored))


def set_in_assets(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(stored: dict[str, Any]) -> None:
        for entry in stored["assets"].values():
            entry[key] = value

    return change


ODD_TEXTS = {
    "deep list": '{"version": "1.1", "assets": ' + "[" * 200_000 + "]" * 200_000 + "}",
    "deep object": '{"a": ' * 200_000,
    "list": "[]",
    "number": "1",
    "huge number": '{"version": "1.1", "build": "b1", "assets": ' + "9" * 10_000 + "}",
    "not JSON": "{",
}


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS.keys())
def test_a_manifest_that_is_none_costs_its_own_build(deployed: Site, text: str) -> None:
    write(deployed.root, {"b0/staticfiles.json": text, "b0/css/app.css": "old"})
    assert served("/static/b0/css/app.css")[0] == 404
    assert served(deployed.storage.url(NAME))[0] == 200


ODD_VALUES = {
    "size": ["1", None, 1.5, [], -1, 10**30],
    "integrity": [None, 1, [], "", "sha384-", 'sha384-"\r\nX-Injected: 1'],
    "type": [None, 1, []],
    "encodings": [None, 1, [], ["br"], {"br": "1"}, {"br": None}, {"zip": 1}],
}


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in ODD_VALUES.items() for value in values]
)
def test_a_value_of_a_wrong_type_costs_its_own_build(
    deployed: Site, tmp_path: Path, key: str, value: Any
) -> None:
    url = deployed.storage.url(NAME)
    manifest_with(deployed, set_in_assets(key, value))
    status, headers, _ = served(url)
    assert status in (200, 404)
    assert "X-Injected" not in headers
    assert served("/static/css/app.css")[0] in (302, 404)


@pytest.mark.parametrize("name", ["a\0.css", "\ud800.css", "../secret", "/etc/passwd", "", "css"])
def test_an_odd_name_in_a_manifest_answers_404(deployed: Site, name: str) -> None:
    (deployed.root.parent / "secret").write_bytes(b"x" * 10)

    def change(stored: dict[str, Any]) -> None:
        stored["paths"]["odd.css"] = name
        entry = next(iter(stored["assets"].values()))
        stored["assets"][name] = {**entry, "size": 10}

    url = deployed.storage.url(NAME)
    manifest_with(deployed, change)
    middleware = VersionedWhiteNoiseMiddleware(lambda _: HttpResponse(b"the site"))
    for below in (name, "odd.css", f"{name}.br"):
        request = RequestFactory().get("/")
        request.path_info = f"/static/b1/{below}"
        assert middleware(request).status_code == 404
    request.path_info = "/static/odd.css"
    assert middleware(request).status_code in (302, 404)
    assert served(url)[0] in (200, 404)


@pytest.mark.parametrize("autorefresh", [False, True])
def test_a_path_with_a_nul_answers_404(deployed: Site, autorefresh: bool) -> None:
    with override_settings(WHITENOISE_AUTOREFRESH=autorefresh):
        for url in ("/static/b1/a%00.css", "/static/a%00.css", "/static/b1%00/a.css", "/a%00.br"):
            assert served(url)[0] == 404


@pytest.mark.parametrize("autorefresh", [False, True])
def test_a_pipe_in_the_place_of_a_file_answers_404_and_does_not_block(
    deployed: Site, autorefresh: bool
) -> None:
    url = deployed.storage.url("img/dot.svg")
    path = deployed.root / url.removeprefix("/static/")
    path.unlink()
    os.mkfifo(path)
    with override_settings(WHITENOISE_AUTOREFRESH=autorefresh):
        assert in_time(lambda: served(url)[0]) == 404


def test_an_empty_file_that_became_a_pipe_answers_404(tmp_path: Path) -> None:
    with site(tmp_path, {"a.css": ""}, BUILD_VERSION="b1", MIDDLEWARE=MIDDLEWARE) as shop:
        shop.collect()
        url = shop.storage.url("a.css")
        middleware = VersionedWhiteNoiseMiddleware(lambda _: HttpResponse(b"the site"))
        request = RequestFactory().get(url)
        middleware(request).close()
        path = shop.root / url.removeprefix("/static/")
        path.unlink()
        os.mkfifo(path)
        assert in_time(lambda: middleware(request).status_code) == 404


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir], ids=["pipe", "directory"])
@pytest.mark.parametrize("autorefresh", [False, True])
def test_a_special_file_in_the_place_of_a_manifest_costs_its_own_build(
    deployed: Site, make: Callable[[Path], None], autorefresh: bool
) -> None:
    write(deployed.root, {"b0/css/app.css": "old"})
    make(deployed.root / "b0" / "staticfiles.json")
    url = deployed.storage.url(NAME)
    with override_settings(WHITENOISE_AUTOREFRESH=autorefresh):
        assert in_time(lambda: served(url)[0]) == 200
        if not autorefresh:
            assert in_time(lambda: served("/static/b0/css/app.css")[0]) == 404


def test_a_manifest_that_is_a_device_costs_its_own_build(deployed: Site) -> None:
    (deployed.root / "b0").mkdir()
    (deployed.root / "b0" / "staticfiles.json").symlink_to("/dev/zero")
    assert in_time(lambda: served("/static/b0/css/app.css")[0]) == 404


@pytest.mark.parametrize("autorefresh", [False, True])
def test_special_files_beside_the_builds_answer_404(tmp_path: Path, autorefresh: bool) -> None:
    with site(tmp_path, FILES, MIDDLEWARE=MIDDLEWARE) as shop:
        shop.collect()
        os.mkfifo(shop.root / "pipe.css")
        os.mkfifo(shop.root / "css" / "app.css.zz")
        (shop.root / "device.css").symlink_to("/dev/zero")
        (shop.root / "nowhere.css").symlink_to("nothing")
        (shop.root / "loop.css").symlink_to("loop.css")
        with override_settings(WHITENOISE_AUTOREFRESH=autorefresh):
            for name in ("pipe.css", "device.css", "nowhere.css", "loop.css", "css"):
                assert in_time(lambda name=name: served(f"/static/{name}")[0]) == 404
            assert served("/static/css/app.css")[0] == 200


def test_a_file_that_became_a_pipe_since_the_start_answers_404(tmp_path: Path) -> None:
    write(tmp_path / "public", {"empty.txt": ""})
    public = str(tmp_path / "public")
    with site(tmp_path, FILES, MIDDLEWARE=MIDDLEWARE, WHITENOISE_ROOT=public) as shop:
        shop.root.mkdir()
        middleware = VersionedWhiteNoiseMiddleware(lambda _: HttpResponse(status=404))
        (tmp_path / "public/empty.txt").unlink()
        os.mkfifo(tmp_path / "public/empty.txt")
        request = RequestFactory().get("/empty.txt")
        assert in_time(lambda: middleware(request).status_code) == 404


def test_a_directory_of_a_build_that_became_a_link_out_is_not_followed(deployed: Site) -> None:
    middleware = VersionedWhiteNoiseMiddleware(lambda _: HttpResponse(b"the site"))
    url = deployed.storage.url(NAME)
    request = RequestFactory().get(url)
    first = middleware(request)
    size = len(first.getvalue())
    first.close()
    outside = deployed.root.parent / "outside"
    write(outside, {Path(url).name: b"s" * size})
    (deployed.root / "b1" / "css").rename(deployed.root / "b1" / "was")
    (deployed.root / "b1" / "css").symlink_to(outside)
    for _ in range(2):
        assert middleware(request).status_code == 404


def test_a_file_that_nobody_may_read_answers_404(
    deployed: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = deployed.storage.url(NAME)

    def refuse(path: Any, *args: Any, **kwargs: Any) -> int:
        raise PermissionError(13, "Permission denied", path)

    middleware = VersionedWhiteNoiseMiddleware(lambda _: HttpResponse(b"the site"))
    monkeypatch.setattr("versioned_storage.serving.regular_files.os.open", refuse)
    assert middleware(RequestFactory().get(url)).status_code == 404


def test_a_pipe_in_the_place_of_the_current_build_s_manifest_makes_a_miss(
    deployed: Site, caplog: pytest.LogCaptureFixture
) -> None:
    path = deployed.root / "b1" / "staticfiles.json"
    path.unlink()
    os.mkfifo(path)
    with site(deployed.root.parent, BUILD_VERSION="b1", MIDDLEWARE=MIDDLEWARE):
        assert in_time(lambda: served("/static/css/app.css")[0]) == 404
    assert "Not a regular file" in caplog.text


def test_a_manifest_that_is_no_file_is_logged(
    deployed: Site, caplog: pytest.LogCaptureFixture
) -> None:
    (deployed.root / "b0" / "staticfiles.json").mkdir(parents=True)
    (deployed.root / "empty").mkdir()
    served("/static/b0/css/app.css")
    assert "The build b0 is not served: " in caplog.text
    assert "build empty" not in caplog.text


def test_a_file_that_may_not_be_read_is_logged(
    deployed: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    url = deployed.storage.url(NAME)
    middleware = VersionedWhiteNoiseMiddleware(lambda _: HttpResponse(b"the site"))

    def refuse(path: Any, *args: Any, **kwargs: Any) -> int:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr("versioned_storage.serving.regular_files.os.open", refuse)
    middleware(RequestFactory().get(url))
    path = deployed.root / url.removeprefix("/static/")
    assert f"{path} is not served: Permission denied" in caplog.text


def test_with_finders_a_pipe_among_the_sources_costs_nothing_else(tmp_path: Path) -> None:
    settings = {"WHITENOISE_USE_FINDERS": True, "MIDDLEWARE": MIDDLEWARE}
    with site(tmp_path, {"a.css": "a {}"}, **settings) as shop:
        shop.root.mkdir()
        os.mkfifo(shop.sources / "pipe.css")
        assert served("/static/a.css")[0] == 200
        assert in_time(lambda: served("/static/pipe.css")[0]) == 404
