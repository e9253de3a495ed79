"""The storage: what collectstatic and {% static %} may rely on, versioned and neutral."""

import json
import re
from contextlib import contextmanager
from pathlib import Path

import django
import pytest
from django.contrib.staticfiles import finders
from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from django.core.management import CommandError
from django.template import Context, Template, engines
from django.templatetags.static import static
from django.test import override_settings
from django.urls import set_script_prefix

from tests.helpers import BACKEND, CDN, FILES, ORIGIN, run_python, site, tree, write
from tests.pulled import served
from tests.shared import mark_shared
from versioned_storage.conf import UnknownOption
from versioned_storage.errors import (
    MissingBuildVersion,
    MissingEntry,
    MissingManifest,
    MissingMarks,
)
from versioned_storage.source_names import MissingSource
from versioned_storage.static_url import InvalidStaticURL
from versioned_storage.storage import VersionedStaticFilesStorage
from versioned_storage.validators import InvalidOption

OTHER = {
    "css/app.css": "body { background: url(../img/logo.svg); color: red }",
    "js/new.js": "console.log(2)",
}
HASH = r"[0-9a-f]{12}"


def hashed(path):
    """A URL with the hash in it made readable."""
    return re.sub(rf"(?<=\.){HASH}(?=\.)", "HASH", path)


@pytest.fixture
def mounted():
    """A site that its server mounts at /mount/."""
    set_script_prefix("/mount/")
    yield
    set_script_prefix("/")


# The object


@pytest.mark.parametrize(
    "configured",
    [
        {},
        {"options": {"cdn_domain": CDN}},
        {"options": {"origin": ORIGIN}},
        {"options": {"origin": ORIGIN}, "BUILD_VERSION": "b1"},
        {"STATIC_ROOT": None},
        {"STATIC_ROOT": None, "BUILD_VERSION": "b1"},
        {"STATIC_ROOT": "/nowhere/at/all", "BUILD_VERSION": "b1"},
        {"STATIC_URL": "/", "MEDIA_URL": "/media/"},
    ],
)
def test_making_the_object_never_raises_for_what_is_not_configured_yet(tmp_path, configured):
    with site(tmp_path, **configured) as it:
        assert it.storage.manifest_name == "staticfiles.json"


def test_making_the_object_reads_no_manifest(tmp_path):
    with site(tmp_path, BUILD_VERSION="b1") as it:
        write(it.root / "b1", {"staticfiles.json": "not json"})
        assert it.storage.location == str(it.root / "b1")


def test_an_unknown_option_lists_the_known_ones_of_django_too(tmp_path):
    with site(tmp_path, options={"cdn_domian": CDN}) as it, pytest.raises(UnknownOption) as caught:
        _ = it.storage
    assert str(caught.value).startswith(
        'STORAGES["staticfiles"]["OPTIONS"] has the unknown option '
        "'cdn_domian'. Did you mean 'cdn_domain'? The options are: "
    )
    assert {"cdn_domain", "location", "manifest_storage"} <= set(caught.value.options)


def test_an_option_that_cannot_be_is_an_error_when_the_object_is_made(tmp_path):
    with (
        site(tmp_path, BUILD_VERSION="a/b") as it,
        pytest.raises(InvalidOption, match=r"^BUILD_VERSION is 'a/b'\. It takes 1 to 64 letters"),
    ):
        _ = it.storage


def test_the_arguments_of_djangos_storage_are_taken(tmp_path):
    other = FileSystemStorage(tmp_path / "manifests")
    with site(tmp_path, BUILD_VERSION="b1"):
        storage = VersionedStaticFilesStorage(
            tmp_path / "there",
            "/here/",
            0o640,
            manifest_storage=other,
            directory_permissions_mode=0o750,
        )
    assert storage.location == str(tmp_path / "there" / "b1")
    assert storage.base_url == "/here/b1/"
    assert storage.file_permissions_mode == 0o640
    assert storage.directory_permissions_mode == 0o750
    assert storage.manifest_storage is other
    assert storage.path("a.css") == str(tmp_path / "there" / "b1" / "a.css")


@pytest.mark.parametrize(
    "name", ["a.css", "css/a b.css", "css/.hidden", "./a.css", "css//a.css", "css/", "", Path("a")]
)
def test_a_path_is_that_of_djangos_storage(tmp_path, name):
    storage = VersionedStaticFilesStorage(tmp_path / "there", "/here/")
    assert storage.path(name) == FileSystemStorage(tmp_path / "there").path(name)


@pytest.mark.parametrize("name", ["../a.css", "css/../../a.css", "/etc/passwd", "..", "a/.."])
def test_a_path_leads_nowhere_else_than_djangos(tmp_path, name):
    def path_or_refusal(storage):
        try:
            return storage.path(name)
        except SuspiciousFileOperation as error:
            return str(error)

    storage = VersionedStaticFilesStorage(tmp_path / "there", "/here/")
    assert path_or_refusal(storage) == path_or_refusal(FileSystemStorage(tmp_path / "there"))


# Where a build is


def test_a_build_is_below_static_root_and_static_url(tmp_path):
    with site(tmp_path, BUILD_VERSION="b1", STATIC_URL="/static/") as it:
        assert it.storage.build_version == "b1"
        assert it.storage.location == str(it.root / "b1")
        assert it.storage.base_url == "/static/b1/"


def test_the_neutral_layout_is_static_root_and_static_url_themselves(tmp_path):
    with site(tmp_path, STATIC_URL="/static/") as it:
        assert it.storage.build_version is None
        assert it.storage.location == str(it.root)
        assert it.storage.base_url == "/static/"


@pytest.mark.parametrize(
    ("written", "script_name", "cdn", "base_url"),
    [
        ("/static/", None, None, "/static/b1/"),
        ("/static/", "/app", None, "/static/b1/"),
        ("/static/", None, CDN, f"https://{CDN}/static/b1/"),
        ("/static/", None, "http://localhost:8000/x/", "http://localhost:8000/x/static/b1/"),
        ("https://s.test/x/", None, None, "https://s.test/x/b1/"),
        ("https://s.test/x/", None, "s.test", "https://s.test/x/b1/"),
        ("static/", None, None, "/mount/static/b1/"),
        ("static/", "/app", None, "/app/static/b1/"),
        ("static/", None, CDN, f"https://{CDN}/static/b1/"),
        ("static/", "/app", CDN, f"https://{CDN}/app/static/b1/"),
    ],
)
def test_the_base_url_of_a_build(tmp_path, mounted, written, script_name, cdn, base_url):
    """On a server that mounts the site at /mount/."""
    with site(
        tmp_path,
        FILES,
        options={"cdn_domain": cdn},
        BUILD_VERSION="b1",
        STATIC_URL=written,
        FORCE_SCRIPT_NAME=script_name,
    ) as it:
        it.collect()
        assert it.storage.base_url == base_url
        assert hashed(it.storage.url("css/app.css")) == f"{base_url}css/app.HASH.css"
        assert it.storage.url("") == base_url


@pytest.mark.parametrize(("build", "below"), [(None, ""), ("b1", "b1/")])
def test_an_overridden_static_url_is_seen(tmp_path, build, below):
    with site(tmp_path, BUILD_VERSION=build, STATIC_URL="/static/") as it:
        assert it.storage.base_url == f"/static/{below}"
        with override_settings(STATIC_URL="/other/", STORAGES=it.settings["STORAGES"]):
            assert it.storage.base_url == f"/other/{below}"
        with override_settings(STORAGES=it.settings["STORAGES"]):
            assert it.storage.base_url == f"/static/{below}"


@pytest.mark.parametrize("written", ["/", "/builds/", "https://s.test/"])
def test_a_static_url_that_cannot_hold_builds_is_refused(tmp_path, written):
    with (
        site(tmp_path, BUILD_VERSION="b1", STATIC_URL=written) as it,
        pytest.raises(InvalidStaticURL),
    ):
        _ = it.storage


@pytest.mark.parametrize("written", ["/", "/builds/"])
def test_a_static_url_that_cannot_hold_builds_is_fine_without_one(tmp_path, written):
    with site(tmp_path, FILES, STATIC_URL=written, MEDIA_URL="/media/") as it:
        it.collect()
        assert it.storage.url("css/app.css").startswith(written)


# URLs


def test_a_url_has_the_hashed_name(tmp_path):
    with site(tmp_path, FILES, options={"cdn_domain": CDN}, BUILD_VERSION="b1") as it:
        it.collect()
        assert it.storage.stored_name("img/logo.svg") == it.storage.hashed_files["img/logo.svg"]
        page = Template("{% load static %}{% static 'img/logo.svg' %}").render(Context())
        name = it.storage.hashed_files["img/logo.svg"]
    assert re.fullmatch(rf"img/logo\.{HASH}\.svg", name)
    assert page == f"https://{CDN}/static/b1/{name}"


@pytest.mark.parametrize("build", [None, "b1"])
def test_with_debug_the_url_is_the_plain_local_one(tmp_path, build):
    options = {"cdn_domain": CDN, "origin": ORIGIN}
    with site(tmp_path, options=options, BUILD_VERSION=build, DEBUG=True) as it:
        assert it.storage.url("css/app.css") == "/static/css/app.css"
        assert it.storage.url("no/such file+1#é.css?v=1") == "/static/no/such%20file%2B1#é.css?v=1"
        assert it.storage.url("css/") == "/static/css/"


@contextmanager
def developed(directory, **options):
    """A site at work on, with a template in a file."""
    templates = [
        {"BACKEND": f"django.template.backends.{backend}", "DIRS": [directory / "templates"]}
        for backend in ("django.DjangoTemplates", "jinja2.Jinja2")
    ]
    with site(directory, FILES, options=options, DEBUG=True, TEMPLATES=templates) as it:
        yield it


@pytest.mark.parametrize("engine", ["django", "jinja2"])
def test_with_debug_a_name_that_production_will_not_have_is_warned_of_once(
    tmp_path, caplog, engine
):
    page = "\n{% load static %}\n{% static 'css/ap.css' %}"
    if engine == "jinja2":
        page = "\n\n{{ static('css/ap.css') }}"
    write(tmp_path / "templates", {"page.html": page})
    with developed(tmp_path):
        for _ in range(2):
            assert "/static/css/ap.css" in engines[engine].get_template("page.html").render(
                {"static": static}
            )
    (message,) = caplog.messages
    assert message == (
        f"{tmp_path}/templates/page.html:3: 'css/ap.css' fails in production: collectstatic "
        "collects no file of that name. Did you mean 'css/app.css'?"
    )


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("/css/app.css?v=1", "Did you mean 'css/app.css'?"),
        ("./css/app.css", "Did you mean 'css/app.css'?"),
        ("css/../css/app.css", "Did you mean 'css/app.css'?"),
        ("css//app.css", "Did you mean 'css/app.css'?"),
        ("CSS/APP.css", "Did you mean 'css/app.css'?"),
        ("../../x", "collects no file of that name."),
        ("https://js.example/v3", "It is a URL: use it as it is, without static()."),
        ("//js.example/v3", "It is a URL: use it as it is, without static()."),
        ("css", "It is a directory: 'css/', with a slash, has a URL."),
    ],
)
def test_with_debug_the_warning_says_what_is_wrong_with_a_name(tmp_path, caplog, name, reason):
    with developed(tmp_path) as it:
        it.storage.url(name)
    (message,) = caplog.messages
    assert message.startswith(f"{__file__}:")
    assert message.endswith(reason)


def test_with_debug_a_suggestion_has_the_prefix_of_its_directory(tmp_path, caplog):
    write(tmp_path / "brand", {"logo.svg": "<svg/>"})
    with (
        developed(tmp_path) as it,
        override_settings(STATICFILES_DIRS=[("brand", tmp_path / "brand")]),
    ):
        it.storage.url("brand/lgo.svg")
    (message,) = caplog.messages
    assert message.endswith("Did you mean 'brand/logo.svg'?")


@pytest.mark.parametrize(
    "name",
    [
        "css/app.css?v=1",
        " css/app.css ",
        "img/logo.svg#a",
        "js/a%23b.js",
        "js/a#b.js",
        "css/",
        "",
        None,
    ],
)
def test_with_debug_a_name_that_production_has_is_not_warned_of(tmp_path, caplog, name):
    with developed(tmp_path) as it:
        write(it.sources, {"js/a#b.js": ""})
        it.storage.url(name)
    assert caplog.messages == []


def test_with_debug_strict_a_page_fails_as_in_production(tmp_path):
    write(tmp_path / "templates", {"page.html": "{% load static %}{% static '/css/app.css' %}"})
    with developed(tmp_path, debug_strict=True):
        for _ in range(2):
            with pytest.raises(MissingSource, match=r"page\.html:1: '/css/app\.css' fails"):
                engines["django"].get_template("page.html").render()


def test_with_debug_another_case_is_another_name_on_any_disk(tmp_path, caplog, monkeypatch):
    with developed(tmp_path) as it:
        # What a finder answers on a disk without upper and lower case.
        monkeypatch.setattr(finders, "find", lambda name: f"{it.sources}/{name}")
        it.storage.url("css/App.css")
        monkeypatch.setattr(finders, "find", lambda _: f"{it.sources}/css/app.css")
        it.storage.url("prefix/css/app.css")
    (message,) = caplog.messages
    assert "'css/App.css' fails in production" in message
    assert message.endswith("Did you mean 'css/app.css'?")


def test_with_debug_many_missing_names_list_the_sources_once(tmp_path, caplog, monkeypatch):
    listed = []
    finder = finders.FileSystemFinder
    list_files = finder.list
    monkeypatch.setattr(
        finder, "list", lambda self, patterns: listed.append(1) or list_files(self, patterns)
    )
    with developed(tmp_path) as it:
        for number in range(25):
            it.storage.url(f"css/app{number}.css")
    assert len(listed) == 1
    assert [message.endswith("Did you mean 'css/app.css'?") for message in caplog.messages] == [
        number < 20 for number in range(25)
    ]


def test_with_debug_the_hashed_url_can_be_forced(tmp_path):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as it:
        it.collect()
        with override_settings(DEBUG=True):
            assert it.storage.url("js/app.js") == "/static/js/app.js"
            url = it.storage.url("js/app.js", force=True)
    assert hashed(url) == "/static/b1/js/app.HASH.js"


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("img/logo.svg?v=1", "img/logo.HASH.svg?v=1"),
        ("img/logo.svg#icon", "img/logo.HASH.svg#icon"),
        ("img/logo.svg?#iefix", "img/logo.HASH.svg?#iefix"),
        ("img/logo.svg?a=1&b=2#icon", "img/logo.HASH.svg?a=1&b=2#icon"),
        ("img/a b.svg", "img/a%20b.HASH.svg"),
        ("img/a+b.svg", "img/a%2Bb.HASH.svg"),
        ("img/a#b.svg", "img/a%23b.HASH.svg"),
        ("img/größe.svg", "img/gr%C3%B6%C3%9Fe.HASH.svg"),
        ("img/gr%C3%B6%C3%9Fe.svg", "img/gr%C3%B6%C3%9Fe.HASH.svg"),
        ("img/a%20b.svg", "img/a%20b.HASH.svg"),
        ("img/", "img/"),
        ("nowhere/", "nowhere/"),
        ("", ""),
        (None, ""),
    ],
)
@pytest.mark.parametrize("build", [None, "b1"])
def test_names_become_urls_that_a_browser_takes_apart_as_they_were_meant(
    tmp_path, build, name, url
):
    svg = FILES["img/logo.svg"]
    names = ["img/logo.svg", "img/a b.svg", "img/a+b.svg", "img/a#b.svg", "img/größe.svg"]
    with site(tmp_path, dict.fromkeys(names, svg), BUILD_VERSION=build) as it:
        it.collect()
        files = hashed(it.storage.url(name))
    assert files == f"/static/{'b1/' if build else ''}{url}"


# What is missing

ADVICE = (
    "BUILD_VERSION is not set, and with cdn_domain or origin every file is in a build. Set it in "
    "the environment or the settings to what names this deploy, for example "
    "BUILD_VERSION=$(git rev-parse --short HEAD). Builds in STATIC_ROOT: {}."
)


@pytest.mark.parametrize("options", [{"cdn_domain": CDN}, {"origin": ORIGIN}])
def test_a_missing_build_version_names_the_setting(tmp_path, options):
    with site(tmp_path, FILES, options=options) as it:
        for name in ("b2", "b1"):
            write(it.root, {f"{name}/staticfiles.json": "{}", "no-build/x.css": ""})
        before = tree(it.root)
        with pytest.raises(MissingBuildVersion) as caught:
            it.storage.url("css/app.css")
        assert str(caught.value) == ADVICE.format("b1, b2")
        assert isinstance(caught.value, ImproperlyConfigured)
        with pytest.raises(CommandError) as refused:
            it.collect()
        assert str(refused.value) == ADVICE.format("b1, b2")
        with pytest.raises(MissingBuildVersion):
            it.collect(clear=True)
        with pytest.raises(MissingBuildVersion):
            it.collect(dry_run=True)
        assert tree(it.root) == before


def test_without_strictness_no_build_version_and_no_manifest_give_the_plain_url(tmp_path):
    options = {"cdn_domain": CDN, "origin": ORIGIN, "manifest_strict": False}
    with site(tmp_path, options=options) as it:
        assert it.storage.url("css/app.css?v=1#x") == "/static/css/app.css?v=1#x"
        with pytest.raises(MissingBuildVersion):
            it.collect()


def test_without_strictness_an_unknown_name_gives_the_plain_url_in_the_build(tmp_path):
    options = {"cdn_domain": CDN, "origin": ORIGIN, "manifest_strict": False}
    with site(tmp_path, options=options, BUILD_VERSION="b1") as it:
        assert it.storage.url("img/a b.svg#x") == f"https://{CDN}/static/b1/img/a%20b.svg#x"


def test_without_strictness_known_names_are_hashed_and_others_plain(tmp_path):
    options = {"manifest_strict": False}
    with site(tmp_path, FILES, options=options, BUILD_VERSION="b1") as it:
        it.collect()
        assert hashed(it.storage.url("js/app.js")) == "/static/b1/js/app.HASH.js"
        assert it.storage.url("js/new.js") == "/static/b1/js/new.js"


def test_strictness_is_a_setting_and_a_class_attribute(tmp_path):
    class Loose(VersionedStaticFilesStorage):
        manifest_strict = False

    with site(tmp_path, BUILD_VERSION="b1"):
        assert VersionedStaticFilesStorage().manifest_strict is True
        assert Loose().url("a.css") == "/static/b1/a.css"
        with override_settings(VERSIONED_STORAGE={"manifest_strict": True}):
            assert Loose().manifest_strict is True
        with override_settings(VERSIONED_STORAGE={"manifest_strict": False}):
            assert VersionedStaticFilesStorage().url("a.css") == "/static/b1/a.css"


def test_a_missing_manifest_names_where_it_was_looked_for_and_the_command(tmp_path):
    with (
        site(tmp_path, FILES, BUILD_VERSION="b1") as it,
        pytest.raises(MissingManifest) as caught,
    ):
        it.storage.url("css/app.css")
    assert str(caught.value) == (
        "Missing staticfiles manifest entry for 'css/app.css': there is no manifest. Looked at "
        f"{it.root}/b1/staticfiles.json. Run 'python manage.py collectstatic' with the "
        "BUILD_VERSION that this process runs with."
    )
    assert isinstance(caught.value, ValueError)


def test_a_missing_entry_names_what_is_near(tmp_path):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as it:
        it.collect()
        with pytest.raises(MissingEntry) as caught:
            it.storage.url("img/logos.svg")
    assert str(caught.value) == (
        "Missing staticfiles manifest entry for 'img/logos.svg'. Did you mean 'img/logo.svg'? If "
        "the file is new, run 'python manage.py collectstatic' with a new BUILD_VERSION."
    )
    assert isinstance(caught.value, ValueError)


def test_a_missing_entry_of_a_page_is_logged_once_for_each_name(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("versioned_storage.storage._LOGGED_NAMES", 2)
    with site(tmp_path, FILES, BUILD_VERSION="b1") as it:
        it.collect()
        for name in ("img/logos.svg", "b.css", "img/logos.svg", "c.css"):
            with pytest.raises(MissingEntry):
                it.storage.url(name)
    lines = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert [line.partition(": ")[0] for line in lines] == [
        "No URL for 'img/logos.svg'",
        "No URL for 'b.css'",
    ]
    assert "Did you mean 'img/logo.svg'?" in lines[0]


def test_a_hashed_name_says_whose_it_is(tmp_path):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as it:
        it.collect()
        hashed_name = it.storage.hashed_files["img/logo.svg"]
        with pytest.raises(MissingEntry) as caught:
            it.storage.url(hashed_name)
    assert str(caught.value) == (
        f"Missing staticfiles manifest entry for '{hashed_name}'. It is the hashed name of "
        "'img/logo.svg': use that name."
    )


def test_a_directory_says_how_to_ask_for_it(tmp_path):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as it:
        it.collect()
        with pytest.raises(MissingEntry) as caught:
            it.storage.url("img")
        assert str(caught.value) == (
            "Missing staticfiles manifest entry for 'img'. It is a directory: 'img/', with a "
            "slash, has a URL."
        )
        assert it.storage.url("img/") == "/static/b1/img/"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("CSS/APP.css", "Did you mean 'css/app.css'? If the file is new, "),
        ("./css//app.css", "Did you mean 'css/app.css'? If the file is new, "),
        ("https://js.example/v3.js", "It is a URL: use it as it is, without static()."),
        ("none", "If the file is new, "),
    ],
)
def test_a_missing_entry_says_what_is_wrong_with_the_name(tmp_path, name, hint):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as it:
        it.collect()
        with pytest.raises(MissingEntry) as caught:
            it.storage.url(name)
    assert str(caught.value).startswith(f"Missing staticfiles manifest entry for '{name}'. {hint}")


# Shared assets


@pytest.mark.parametrize(
    ("written", "script_name", "cdn", "below"),
    [
        ("/static/", None, None, "/static/"),
        ("/static/", None, CDN, f"https://{CDN}/static/"),
        ("/static/", None, "http://localhost:8000/x/", "http://localhost:8000/x/static/"),
        ("https://s.test/x/", None, None, "https://s.test/x/"),
        ("https://s.test/x/", None, "s.test", "https://s.test/x/"),
        ("static/", None, None, "/mount/static/"),
        ("static/", "/app", None, "/app/static/"),
        ("static/", "/app", CDN, f"https://{CDN}/app/static/"),
    ],
)
def test_the_url_of_a_shared_asset_has_no_build(
    tmp_path, mounted, written, script_name, cdn, below
):
    with site(
        tmp_path,
        {**FILES, "img/a b.svg": "<svg/>"},
        options={"cdn_domain": cdn},
        BUILD_VERSION="b1",
        STATIC_URL=written,
        FORCE_SCRIPT_NAME=script_name,
    ) as it:
        it.collect()
        mark_shared(it.root / "b1", "img/logo.svg", "img/a b.svg")
        del it.storage.hashed_files
        assert hashed(it.storage.url("img/logo.svg")) == f"{below}_shared/img/logo.HASH.svg"
        assert hashed(it.storage.url("img/a b.svg?x#y")) == (
            f"{below}_shared/img/a%20b.HASH.svg?x#y"
        )
        assert hashed(it.storage.url("js/app.js")) == f"{below}b1/js/app.HASH.js"
        page = Template("{% load static %}{% static 'img/logo.svg' %}").render(Context())
        assert page == it.storage.url("img/logo.svg")
        assert it.storage.url("") == f"{below}b1/"


@pytest.mark.parametrize("option", [False, True])
def test_the_manifest_decides_what_is_shared_and_not_the_option(tmp_path, option):
    """A site that switched shared assets off goes back to a build that has some, or the reverse."""
    with site(tmp_path, FILES, options={"shared_assets": option}, BUILD_VERSION="b1") as it:
        it.collect()
        mark_shared(it.root / "b1", "img/logo.svg", prefix="_old")
        del it.storage.hashed_files
        assert hashed(it.storage.url("img/logo.svg")) == "/static/_old/img/logo.HASH.svg"
        assert it.storage.url("js/app.js").startswith("/static/b1/")


class OnlyPaths(VersionedStaticFilesStorage):
    def load_manifest(self):
        with (Path(self.location) / "staticfiles.json").open("rb") as file:
            return json.load(file)["paths"], ""


def test_a_manifest_without_marks_gives_urls_below_the_build(tmp_path):
    """A build directory has every file, so the application serves them all there."""
    options = {"shared_assets": True}
    backend = f"{__name__}.OnlyPaths"
    middleware = ["versioned_storage.middleware.VersionedWhiteNoiseMiddleware"]
    with site(
        tmp_path, FILES, options=options, backend=backend, BUILD_VERSION="b1", MIDDLEWARE=middleware
    ) as it:
        it.collect()
        mark_shared(it.root / "b1")
        fresh = OnlyPaths(**options)
        assert hashed(fresh.url("img/logo.svg")) == "/static/b1/img/logo.HASH.svg"
        assert served(fresh.url("img/logo.svg"))[0] == 200


def test_a_manifest_without_marks_is_refused_where_builds_are_on_s3(tmp_path):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as it:
        it.collect()
        options = {"shared_assets": True, "origin": ORIGIN}
        with pytest.raises(MissingMarks) as caught:
            OnlyPaths(**options).url("img/logo.svg")
        assert OnlyPaths(origin=ORIGIN).url("js/app.js").startswith("/static/b1/js/app.")
    assert str(caught.value) == (
        "shared_assets is on and builds are published to S3, where a shared asset is not below its "
        f"build. {__name__}.OnlyPaths loads a manifest that has only paths, so the URLs of shared "
        "assets are unknown. Let load_manifest() call super().load_manifest(), which reads "
        "staticfiles.json or the record on S3, or set 'shared_assets': False and publish a new "
        "build."
    )


# Subclasses


class Sha1(VersionedStaticFilesStorage):
    def file_hash(self, name, content=None):
        return f"{sum(content.read()):05d}"


class NoHash(VersionedStaticFilesStorage):
    def file_hash(self, name, content=None):
        return None


class OtherName(VersionedStaticFilesStorage):
    def hashed_name(self, name, content=None, filename=None):
        path, dot, extension = super().hashed_name(name, content, filename).rpartition(".")
        return f"{path}-mine{dot}{extension}"


class MorePatterns(VersionedStaticFilesStorage):
    patterns = (
        *VersionedStaticFilesStorage.patterns,
        ("*.html", (r"""(?P<matched>data-src=["'](?P<url>.*?)["'])""",)),
        ("*.tpl", ((r"""(?P<matched>load\((?P<url>.*?)\))""", "load(%(url)s)"),)),
    )


class NamedManifest(VersionedStaticFilesStorage):
    manifest_name = "assets.json"


def collected(tmp_path, backend, files=FILES, build="b1"):
    with site(tmp_path, files, backend=f"{__name__}.{backend}", BUILD_VERSION=build) as it:
        it.collect()
        return it.storage, tree(it.storage.location)


@pytest.mark.parametrize("build", [None, "b1"])
def test_a_subclass_computes_the_hash(tmp_path, build):
    storage, files = collected(tmp_path, "Sha1", build=build)
    name = f"js/app.{sum(FILES['js/app.js'].encode()):05d}.js"
    assert storage.hashed_files["js/app.js"] == name
    assert {name, f"{name}.br", f"{name}.gz"} <= files.keys()
    svg = storage.hashed_files["img/logo.svg"]
    assert f'url("../{svg}")'.encode() in files[storage.hashed_files["css/app.css"]]


@pytest.mark.parametrize("build", [None, "b1"])
def test_a_subclass_that_computes_no_hash_leaves_the_names_as_they_are(tmp_path, build):
    storage, files = collected(tmp_path, "NoHash", build=build)
    assert storage.hashed_files == {name: name for name in FILES}
    assert files["js/app.js"] == FILES["js/app.js"].encode()
    assert storage.url("js/app.js") == f"/static/{'b1/' if build else ''}js/app.js"


def test_a_subclass_makes_the_hashed_name(tmp_path):
    storage, files = collected(tmp_path, "OtherName")
    name = storage.hashed_files["img/logo.svg"]
    assert re.fullmatch(rf"img/logo\.{HASH}-mine\.svg", name)
    assert name in files
    assert f'url("../{name}")'.encode() in files["css/app.css"]


def test_a_subclass_adds_patterns(tmp_path):
    files = {
        **FILES,
        "a.html": "<img data-src='img/logo.svg'>",
        "b.tpl": "load(img/logo.svg) load(js/app.js)",
    }
    storage, files = collected(tmp_path, "MorePatterns", files)
    svg, script = (storage.hashed_files[name] for name in ("img/logo.svg", "js/app.js"))
    assert files["a.html"] == f'<img url("{svg}")>'.encode()
    assert files["b.tpl"] == f"load({svg}) load({script})".encode()


def test_a_subclass_names_the_manifest(tmp_path):
    storage, files = collected(tmp_path, "NamedManifest")
    assert "assets.json" in files
    assert "staticfiles.json" not in files
    with site(tmp_path, BUILD_VERSION="b1"):
        assert NamedManifest().url("js/app.js") == storage.url("js/app.js")


def test_the_neutral_layout_knows_builds_by_the_manifest_name_of_the_subclass(tmp_path):
    collected(tmp_path, "NamedManifest")
    with site(tmp_path, FILES, backend=f"{__name__}.NamedManifest") as it:
        it.collect(clear=True)
        assert (it.root / "b1/assets.json").exists()


def test_the_manifest_can_live_in_another_storage(tmp_path):
    elsewhere = FileSystemStorage(tmp_path / "elsewhere")
    options = {"manifest_storage": elsewhere}
    with site(tmp_path, FILES, options=options) as it:
        it.collect()
        it.collect()
        assert list(tree(elsewhere.location)) == ["staticfiles.json"]
        assert not (it.root / "staticfiles.json").exists()
        fresh = VersionedStaticFilesStorage(manifest_storage=elsewhere)
        assert hashed(fresh.url("js/app.js")) == "/static/js/app.HASH.js"


def test_one_manifest_storage_serves_one_build_after_the_other(tmp_path):
    elsewhere = FileSystemStorage(tmp_path / "elsewhere")
    options = {"manifest_storage": elsewhere}
    with site(tmp_path, FILES, options=options, BUILD_VERSION="b1") as it:
        it.collect()
    with site(tmp_path, OTHER, options=options, BUILD_VERSION="b2") as it:
        it.collect()
        it.collect()
        assert hashed(it.storage.url("js/new.js")) == "/static/b2/js/new.HASH.js"


def test_modules_are_rewritten_where_the_subclass_says_so(tmp_path):
    pytest.importorskip("tree_sitter_javascript")
    files = {"a.js": 'import { b } from "./b.js";\n', "b.js": "export const b = 1;\n"}
    storage, files = collected(tmp_path, "Modules", files)
    assert files["a.js"] == f'import {{ b }} from "./{storage.hashed_files["b.js"]}";\n'.encode()


class Modules(VersionedStaticFilesStorage):
    support_js_module_import_aggregation = True


def test_post_process_yields_each_file_and_whether_it_was_written(tmp_path):
    with site(tmp_path, FILES, BUILD_VERSION="b1") as it:
        paths = {name: (FileSystemStorage(it.sources), name) for name in FILES}
        first = list(it.storage.post_process(paths))
        again = list(it.storage.post_process(paths))
        names = it.storage.hashed_files
        dry = list(it.storage.post_process(paths, dry_run=True))
    assert sorted(first) == [(name, names[name], True) for name in sorted(FILES)]
    assert sorted(again) == [(name, names[name], False) for name in sorted(FILES)]
    assert dry == []


def test_post_process_yields_what_is_wrong_with_the_sources(tmp_path):
    with site(tmp_path, {"a.css": "a { background: url(x.png) }"}, BUILD_VERSION="b1") as it:
        ((name, hashed_name, error),) = it.storage.post_process(
            {"a.css": (FileSystemStorage(it.sources), "a.css")}
        )
    assert (name, hashed_name) == ("a.css", None)
    assert isinstance(error, ValueError)
    assert "a.css:1: x.png: there is no 'x.png'" in str(error)


def test_a_file_that_is_overwritten_leaves_its_hashed_twin_alone(tmp_path):
    if django.VERSION < (5, 1):
        pytest.skip("allow_overwrite came with Django 5.1")
    options = {"allow_overwrite": True}
    with site(tmp_path, FILES, options=options, BUILD_VERSION="b1") as it:
        it.collect()
        it.storage.save("js/app.js", ContentFile(b"other"))
        assert Path(it.storage.path("js/app.js")).read_bytes() == b"other"
        twin = Path(it.storage.path(it.storage.hashed_files["js/app.js"]))
        assert twin.read_text() == FILES["js/app.js"]


# The old setting


@pytest.mark.skipif(django.VERSION >= (5, 1), reason="STATICFILES_STORAGE is gone since 5.1")
@pytest.mark.filterwarnings("ignore:The STATICFILES_STORAGE setting is deprecated")
def test_the_old_setting_takes_its_options_from_versioned_storage(tmp_path):
    code = (
        "import django\n"
        "from django.conf import settings\n"
        "settings.configure(\n"
        "    INSTALLED_APPS=['versioned_storage', 'django.contrib.staticfiles'],\n"
        f"    STATIC_URL='/static/', STATIC_ROOT={str(tmp_path)!r}, BUILD_VERSION='b1',\n"
        f"    STATICFILES_STORAGE={BACKEND!r},\n"
        f"    VERSIONED_STORAGE={{'cdn_domain': {CDN!r}, 'manifest_strict': False}},\n"
        ")\n"
        "django.setup()\n"
        "from django.templatetags.static import static\n"
        "print(static('a.css'), settings.STATIC_URL)\n"
    )
    prefix = f"https://{CDN}/static/b1/"
    assert run_python(code).stdout.split() == [f"{prefix}a.css", prefix]


def test_options_come_from_versioned_storage_where_the_storage_is_given_none(tmp_path):
    more = {
        "cdn_domain": CDN,
        "build_version": "b7",
        "encodings": ["gzip"],
        "shared_assets": True,
    }
    with site(tmp_path, FILES, VERSIONED_STORAGE=more) as it:
        it.collect()
        assert it.storage.base_url == f"https://{CDN}/static/b7/"
        assert it.storage.url("img/logo.svg").startswith(f"https://{CDN}/static/_shared/img/logo.")
        assert not list(it.root.rglob("*.br"))
        assert list(it.root.rglob("*.gz"))


def test_hashed_files_can_be_deleted_and_are_looked_for_again(tmp_path):
    with site(tmp_path, {"a.png": b"one"}) as shop:
        shop.collect()
        files = dict(shop.storage.hashed_files)
        del shop.storage.hashed_files
        assert shop.storage.hashed_files == files


WORKER = """
import sys
import django
from django.conf import settings

settings.configure(
    INSTALLED_APPS=["versioned_storage", "django.contrib.staticfiles"],
    MIDDLEWARE=["versioned_storage.middleware.VersionedWhiteNoiseMiddleware"],
    STATIC_URL="/static/",
    STATIC_ROOT=sys.argv[1],
    STORAGES={"staticfiles": {"BACKEND": "versioned_storage.storage.VersionedStaticFilesStorage"}},
)
django.setup()
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.handlers.wsgi import WSGIHandler

WSGIHandler()
staticfiles_storage.url("css/app.css")
package = "versioned_storage."
makers = ("collect", "build.assemble", "build.fingerprint", "build.references", "origin")
print([name for name in makers if package + name in sys.modules], "boto3" in sys.modules)
"""


def test_a_process_that_serves_pages_imports_nothing_that_makes_builds(tmp_path):
    with site(tmp_path, {"css/app.css": "a{}"}) as shop:
        shop.collect()
        worker = run_python(WORKER, str(shop.root))
    assert worker.stdout == "[] False\n", worker.stderr
