from urllib.parse import urljoin

import pytest
from django.utils.encoding import filepath_to_uri

from versioned_storage.build.resolver import Resolver, Target

NAMES = (
    "app.css",
    "css/app.css",
    "css/parts/base.css",
    "img/logo.svg",
    "img/my logo.svg",
    "img/größe.png",
    "img/100%.png",
    "img/a#b.png",
    "img/a:b.png",
    "img/c+d.png",
    "img/c+d/e~f,g.png",
    "js/logo.svg",
    "st",
)
CDN = "https://d111111abcdef8.cloudfront.net/static/"
OWN = (f"{CDN}b1/", CDN, "/static/b1/", "/static/")

neutral = Resolver(NAMES, "/static/")
versioned = Resolver(NAMES, "/static/", OWN, versioned=True)
each = pytest.mark.parametrize("resolver", [neutral, versioned], ids=["neutral", "versioned"])


def name_of(resolver, source, url):
    target = resolver.find(source, url)
    return target and target.name


def respelled(resolver, source, url):
    """``url`` in ``source`` once its asset has a hash in its name."""
    target = resolver.find(source, url)
    assert target is not None
    assert target.name in NAMES
    directory, slash, name = target.name.rpartition("/")
    stem, dot, extension = name.rpartition(".")
    hashed = f"{stem}.1a2b{dot}{extension}" if dot else f"{name}.1a2b"
    return resolver.spell(source, target, directory + slash + hashed)


@each
@pytest.mark.parametrize(
    ("source", "url", "name"),
    [
        ("css/app.css", "parts/base.css", "css/parts/base.css"),
        ("css/app.css", "./parts/base.css", "css/parts/base.css"),
        ("css/app.css", "parts/../parts/./base.css", "css/parts/base.css"),
        ("css/app.css", "../img/logo.svg", "img/logo.svg"),
        ("css/app.css", "app.css", "css/app.css"),
        ("app.css", "img/logo.svg", "img/logo.svg"),
        ("css/app.css", "/static/img/logo.svg", "img/logo.svg"),
        ("css/app.css", "/static/css/../img/logo.svg", "img/logo.svg"),
        ("app.css", "img/my%20logo.svg", "img/my logo.svg"),
        ("app.css", "img/my logo.svg", "img/my logo.svg"),
        ("app.css", "img/gr%C3%B6%C3%9Fe.png", "img/größe.png"),
        ("app.css", "img/größe.png", "img/größe.png"),
        ("app.css", "img/100%25.png", "img/100%.png"),
        ("app.css", "img/a%23b.png", "img/a#b.png"),
        ("css/app.css", "gone.png", "css/gone.png"),
        ("css/app.css", "../../x.png", "../x.png"),
        ("app.css", "/static/../x.png", "../x.png"),
    ],
)
def test_a_reference_means_the_asset_at_the_end_of_its_path(resolver, source, url, name):
    assert name_of(resolver, source, url) == name


@each
@pytest.mark.parametrize(
    ("url", "tail"),
    [
        ("img/logo.svg", ""),
        ("img/logo.svg#icon", "#icon"),
        ("img/logo.svg?v=2", "?v=2"),
        ("img/logo.svg?#iefix", "?#iefix"),
        ("img/logo.svg#a?b", "#a?b"),
    ],
)
def test_query_and_fragment_are_the_tail(resolver, url, tail):
    assert resolver.find("app.css", url) == Target("img/logo.svg", "img/", tail)
    assert respelled(resolver, "app.css", url) == f"img/logo.1a2b.svg{tail}"


@each
@pytest.mark.parametrize(
    "url",
    [
        "",
        "#icon",
        "?query",
        "?a/b#c",
        "data:image/svg+xml,%3Csvg/%3E",
        "DATA:,x",
        "https://example.com/static/img/logo.svg",
        "HTTP://example.com/a.css",
        "//example.com/static/img/logo.svg",
        "about:blank",
        "blob:x",
        "/img/logo.svg",
        "/",
        "/staticfiles/img/logo.svg",
        "/static",
        "/static/",
        "/static/?v=1",
        "img/",
        "img",
        "css/parts",
        ".",
        "./",
        "/static/img",
    ],
)
def test_what_is_not_ours_or_no_file_is_no_target(resolver, url):
    assert resolver.find("app.css", url) is None


def test_what_leads_out_of_the_tree_says_so():
    for url in ("../x.png", "../../x.png", "..", "/static/../x.png"):
        assert neutral.find("app.css", url).leads_out
    for url in ("..x.png", "gone.png", "css/../img/logo.svg"):
        assert not neutral.find("app.css", url).leads_out


@pytest.mark.parametrize(
    "url",
    [
        "https://d111111abcdef8.cloudfront.net/static/b1/img/logo.svg",
        "https://d111111abcdef8.cloudfront.net/static/img/logo.svg",
        "/static/b1/img/logo.svg",
        "/static/img/logo.svg",
    ],
)
def test_in_a_build_every_url_of_its_own_means_the_asset_and_becomes_relative(url):
    assert name_of(versioned, "css/app.css", url) == "img/logo.svg"
    assert respelled(versioned, "css/app.css", url) == "../img/logo.1a2b.svg"
    assert respelled(versioned, "css/parts/base.css", url) == "../../img/logo.1a2b.svg"
    assert respelled(versioned, "app.css", url) == "./img/logo.1a2b.svg"
    assert respelled(versioned, "img/x.css", f"{url}#i") == "./logo.1a2b.svg#i"


def test_in_a_build_the_url_of_another_build_is_no_asset_of_this_one():
    assert name_of(versioned, "app.css", "/static/b0/img/logo.svg") == "b0/img/logo.svg"


def test_in_the_neutral_layout_the_url_of_a_cdn_is_somebody_else_s():
    assert neutral.find("app.css", f"{CDN}img/logo.svg") is None
    assert Resolver(NAMES, "/static/", OWN).find("app.css", f"{CDN}img/logo.svg") is None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/static/img/logo.svg", "/static/img/logo.1a2b.svg"),
        ("/static/css/../img/logo.svg?v#i", "/static/css/../img/logo.1a2b.svg?v#i"),
        ("/static/app.css", "/static/app.1a2b.css"),
        ("/static/st", "/static/st.1a2b"),
    ],
)
def test_in_the_neutral_layout_a_rooted_reference_stays_rooted(url, expected):
    assert respelled(neutral, "css/app.css", url) == expected


@each
@pytest.mark.parametrize(
    ("source", "url", "expected"),
    [
        ("css/app.css", "../img/logo.svg", "../img/logo.1a2b.svg"),
        ("css/app.css", "./parts/base.css", "./parts/base.1a2b.css"),
        ("css/app.css", "parts/../parts/base.css", "parts/../parts/base.1a2b.css"),
        ("css/app.css", "app.css", "app.1a2b.css"),
    ],
)
def test_a_relative_reference_keeps_the_author_s_way(resolver, source, url, expected):
    assert respelled(resolver, source, url) == expected


@each
@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("img/my logo.svg", "img/my%20logo.1a2b.svg"),
        ("img/my%20logo.svg", "img/my%20logo.1a2b.svg"),
        ("img/gr%C3%B6%C3%9Fe.png", "img/gr%C3%B6%C3%9Fe.1a2b.png"),
        ("img/größe.png", "img/gr%C3%B6%C3%9Fe.1a2b.png"),
        ("img/100%25.png", "img/100%25.1a2b.png"),
        ("img/a%23b.png", "img/a%23b.1a2b.png"),
    ],
)
def test_what_a_url_cannot_have_in_a_name_is_escaped(resolver, url, expected):
    assert respelled(resolver, "app.css", url) == expected
    again = resolver.find("app.css", expected)
    assert again.name.replace(".1a2b", "") == resolver.find("app.css", url).name


@each
def test_a_colon_in_a_name_does_not_make_a_scheme_of_it(resolver):
    spelled = respelled(resolver, "img/x.css", "a%3Ab.png")
    assert spelled == "a%3Ab.1a2b.png"
    assert name_of(resolver, "img/x.css", spelled) == "img/a:b.1a2b.png"
    assert respelled(resolver, "app.css", "img/a:b.png") == "img/a%3Ab.1a2b.png"


@each
@pytest.mark.parametrize(
    "url",
    [
        "..//img/logo.svg",
        "../img//logo.svg",
        "..///img////logo.svg",
        "../css//../../img/logo.svg",
        "..\\img\\logo.svg",
        "../img\\logo.svg",
        "..\\/img/logo.svg",
        "../img%2Flogo.svg",
        "%2e%2e/img/logo.svg",
        ".%2E/img/%2e/logo.svg",
        "../img/lo\ngo.svg",
        "/static//img/logo.svg",
        "/static/./img//logo.svg",
        "/x/../static/img/logo.svg",
        "/static\\img/logo.svg",
    ],
)
def test_however_a_path_is_written_the_url_leads_to_the_hashed_file(resolver, url):
    assert name_of(resolver, "css/app.css", url) == "img/logo.svg"
    spelled = urljoin("https://host/static/css/app.css", respelled(resolver, "css/app.css", url))
    assert spelled == "https://host/static/img/logo.1a2b.svg"


@each
@pytest.mark.parametrize("url", ["\\\\example.com\\static\\img\\logo.svg", "/\\example.com/a.css"])
def test_two_backslashes_begin_a_host_as_two_slashes_do(resolver, url):
    assert resolver.find("css/app.css", url) is None


@each
@pytest.mark.parametrize(
    "url",
    ["c+d.png", "c%2Bd.png", "c%2bd.png", "../img/c+d.png", "c+d/e~f,g.png", "c+d/e%7Ef%2Cg.png"],
)
def test_a_reference_says_the_same_text_as_the_static_tag(resolver, url):
    spelled = respelled(resolver, "img/x.css", url)
    name = resolver.find("img/x.css", url).name
    stem, _, extension = name.rpartition(".")
    assert spelled.removeprefix("../img/") == filepath_to_uri(f"{stem}.1a2b.{extension}")[4:]


def test_the_scheme_and_host_of_the_site_s_own_url_are_compared_without_case():
    url = "HTTPS://D111111ABCDEF8.cloudfront.net/static/img/logo.svg"
    assert name_of(versioned, "css/app.css", url) == "img/logo.svg"


def test_a_name_in_another_unicode_form_is_near():
    composed, decomposed = "img/gr\u00f6\u00dfe.png", "img/gro\u0308\u00dfe.png"
    assert name_of(Resolver([decomposed], "/static/"), "a.css", composed) == composed
    assert Resolver([decomposed], "/static/").near(composed) == (decomposed,)


def test_a_rooted_reference_is_escaped_where_it_becomes_relative():
    assert respelled(versioned, "css/app.css", "/static/img/my%20logo.svg") == (
        "../img/my%20logo.1a2b.svg"
    )
    assert respelled(versioned, "css/app.css", "/static/img/a%23b.png?q") == (
        "../img/a%23b.1a2b.png?q"
    )


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("css/logo.svg", ("img/logo.svg", "js/logo.svg")),
        ("js/deep/logo.svg", ("js/logo.svg", "img/logo.svg")),
        ("IMG/LOGO.SVG", ("img/logo.svg", "js/logo.svg")),
        ("img/logos.svg", ("img/logo.svg", "img/my logo.svg", "js/logo.svg")),
        ("css/parts/bose.css", ("css/parts/base.css",)),
        ("nothing/like/it.txt", ()),
    ],
)
def test_near_names_are_those_that_may_have_been_meant(name, near):
    assert neutral.near(name) == near


def test_near_names_are_three_at_most():
    resolver = Resolver([f"{letter}/logo.svg" for letter in "abcdef"], "/static/")
    assert resolver.near("c/x/logo.svg") == ("c/logo.svg", "a/logo.svg", "b/logo.svg")


def test_a_name_that_differs_in_case_is_near():
    assert Resolver(["img/LOGO.SVG"], "/static/").near("img/logo.svg") == ("img/LOGO.SVG",)
