"""verify --page: what a page names, and whether it is there."""

from dataclasses import dataclass

import pytest

from tests.edge.edges import Reply
from versioned_storage.edge.client import EdgeClient
from versioned_storage.edge.pages import PageProbe, PageReference, references_in

PAGE = "https://shop.example/shop/cart"


@dataclass
class Outcome:
    """The results of a page and of its files, taken together."""

    results: list

    @property
    def faults(self):
        return [fault for result in self.results for fault in result.faults]

    @property
    def lines(self):
        return [line for result in self.results for line in result.lines()]

    @property
    def served_by(self):
        return [result.served_by for result in self.results if result.served_by]


def names(html, url=PAGE):
    return [reference.url for reference in references_in(url, html.encode())]


@pytest.fixture
def page(edge, build):
    """Fetches a page with that HTML, which the edge serves too."""

    def put(html, **reply):
        served = Reply(200, {"content-type": "text/html"}, html.encode())
        edge.twist = lambda request, right: (
            served.having(**reply) if request.path == "/cart" else right
        )
        client = EdgeClient(timeout=5, sleep=lambda _: None)
        probe = PageProbe(f"{edge.url}/cart", build.manifest, f"{edge.url}/static/", "/static/")
        return Outcome(list(probe.run(client)))

    return put


def test_everything_that_a_browser_loads_by_an_attribute_is_named():
    html = """
        <link rel=stylesheet href="/a.css"><script src="//cdn.example/b.js"></script>
        <img src=c.png srcset="c.png 1x, /c@2.png 2x"><video poster='/d.jpg'></video>
        <object data="/e.svg"></object><meta property="og:image" content="https://cdn.example/f.png">
        <link rel=preload as=image imagesrcset=",/g.png 400w,, /h.png">
    """
    assert names(html) == [
        "https://shop.example/a.css",
        "https://cdn.example/b.js",
        "https://shop.example/shop/c.png",
        "https://shop.example/c@2.png",
        "https://shop.example/d.jpg",
        "https://shop.example/e.svg",
        "https://cdn.example/f.png",
        "https://shop.example/g.png",
        "https://shop.example/h.png",
    ]


def test_a_base_element_a_fragment_and_an_entity_are_understood():
    html = '<base href="https://cdn.example/x/"><use href="a.svg#b"></use><img src="c&amp;d.png">'
    assert names(html) == ["https://cdn.example/x/a.svg", "https://cdn.example/x/c&d.png"]


def test_comments_are_not_read_and_what_is_no_url_is_left_alone():
    assert names('<!-- <img src="/a.png"> --><a href="http://[">') == [PAGE]


def test_integrity_is_taken_from_the_element_that_has_it():
    html = '<link rel=preload href="/a.js"><script src="/a.js" integrity="x" crossorigin></script>'
    assert references_in(PAGE, html.encode()) == [
        PageReference("https://shop.example/a.js", "x", "")
    ]


def test_a_page_of_the_build_is_well(page, edge, build):
    css = edge.url + build.path("css/app.css")
    outcome = page(
        f'<base href="{edge.url}/static/b1/"><link href="{css}"><img src="img/logo.png">'
        f'<script src="/elsewhere.js"></script><body data-static="{edge.url}/static/b1/">'
        '<img src="data/a%20%2B%20b%20%C3%A9.json?v=1">'
    )
    assert outcome.faults == []
    requested = [request.path for request in edge.requests]
    assert build.path("css/app.css") in requested
    assert "/static/b1/img/logo.png" in requested
    assert "/elsewhere.js" not in requested
    assert len(outcome.served_by) == 4


def test_a_file_that_the_edge_does_not_have_is_found(page, edge, build):
    outcome = page(f'<img src="{build.path("img/logo.png")}"><img src="/static/b1/gone.png">')
    assert len(outcome.faults) == 1
    assert outcome.lines[0] == (
        f"{edge.url}/static/b1/gone.png (on: {edge.url}/cart): its name is 'gone.png', expected "
        "one of the manifest"
    )


@pytest.mark.parametrize(
    ("path", "found"),
    [("b0/css/app.css", "'b0'"), ("app.css", "'app.css'"), ("css/a.css", "'css'")],
)
def test_a_file_of_another_build_is_found(page, path, found):
    outcome = page(f'<link href="/static/{path}">')
    assert [(fault.found, fault.expected) for fault in outcome.faults] == [(found, "'b1'")]
    assert "BUILD_VERSION" in outcome.faults[0].remedy


def test_a_link_without_a_build_is_found(page):
    outcome = page('<link href="/static/css/app.css">')
    assert [(fault.what, fault.found) for fault in outcome.faults] == [("its build", "none")]
    assert outcome.faults[0].remedy == "Write {% static 'css/app.css' %} in the template."


@pytest.fixture
def sharing_page(sharing_edge, sharing_build):
    """A page of a build with shared assets, with an image at that path."""

    def put(path):
        html = f'<img src="/static/{path}">'.encode()
        sharing_edge.twist = lambda request, right: (
            Reply(200, {"content-type": "text/html"}, html) if request.path == "/cart" else right
        )
        client = EdgeClient(timeout=5, sleep=lambda _: None)
        static_url = f"{sharing_edge.url}/static/"
        probe = PageProbe(
            f"{sharing_edge.url}/cart", sharing_build.manifest, static_url, "/static/"
        )
        return Outcome(list(probe.run(client)))

    return put


def test_a_shared_url_is_that_of_the_build(sharing_page, sharing_build, sharing_edge):
    for name in ("img/logo.png", "js/app.js"):
        path = sharing_build.path(name)
        assert sharing_page(path.removeprefix("/static/")).faults == []
        assert path in [request.path for request in sharing_edge.requests]
    assert sharing_page("b1/img/logo.png").faults == []


def test_a_shared_name_that_the_build_does_not_have_is_of_another_deploy(sharing_page):
    (fault,) = sharing_page("_shared/img/logo.0123456789ab.png").faults
    assert (fault.what, fault.found) == ("its name", "'img/logo.0123456789ab.png'")
    assert "another deploy" in fault.remedy
    (fault,) = sharing_page("_other/img/logo.png").faults
    assert (fault.what, fault.found) == ("its build", "'_other'")


def test_a_url_made_of_static_url_and_a_name_leads_nowhere(sharing_page, sharing_build):
    logo = sharing_build.manifest.paths["img/logo.png"]
    script = sharing_build.manifest.paths["js/app.js"]
    for path, right in (
        (f"b1/{logo}", f"_shared/{logo}"),
        ("_shared/img/logo.png", f"_shared/{logo}"),
        (f"_shared/{script}", f"b1/{script}"),
    ):
        (fault,) = sharing_page(path).faults
        assert (fault.what, fault.found, fault.expected) == ("its path", repr(path), repr(right))
        assert "{% static '" in fault.remedy


def test_a_wrong_integrity_is_found(page, build):
    path = build.path("js/app.js")
    outcome = page(f'<script src="{path}" integrity="sha384-wrong" crossorigin></script>')
    assert [fault.what for fault in outcome.faults] == ["its integrity"]
    assert outcome.faults[0].expected == build.manifest.asset("js/app.js").integrity


def test_integrity_on_another_origin_without_crossorigin_is_found(edge, build):
    asset = build.manifest.asset("js/app.js")
    html = f'<script src="{edge.url}{build.path("js/app.js")}" integrity="{asset.integrity}">'
    other = edge.url.replace("127.0.0.1", "localhost")
    edge.twist = lambda request, right: (
        Reply(200, {}, html.encode()) if request.path == "/cart" else right
    )
    probe = PageProbe(f"{other}/cart", build.manifest, f"{edge.url}/static/", "/static/")
    assert [fault.what for fault in Outcome(list(probe.run(EdgeClient()))).faults] == [
        "its crossorigin"
    ]


def test_a_page_without_a_static_file_is_found(page):
    outcome = page("<p>nothing here</p>")
    assert outcome.faults[0].what == "number of static files"
    assert "{% static %}" in outcome.faults[0].remedy


def test_a_page_that_redirects_is_not_followed(page, edge):
    edge_reply = page("")
    assert edge_reply.faults
    edge.twist = lambda *_: Reply(302, {"location": "/login"})
    probe = PageProbe(f"{edge.url}/cart", None, f"{edge.url}/static/", "/static/")
    outcome = Outcome(list(probe.run(EdgeClient())))
    assert outcome.faults[0].found == "302 to /login"
    assert "/login" not in [request.path for request in edge.requests]


def test_a_page_that_nobody_serves_is_found(edge, build):
    edge.twist = lambda *_: None
    probe = PageProbe(f"{edge.url}/cart", build.manifest, f"{edge.url}/static/", "/static/")
    outcome = Outcome(list(probe.run(EdgeClient(sleep=lambda _: None))))
    assert outcome.served_by == []
    assert outcome.faults[0].what == "response"
