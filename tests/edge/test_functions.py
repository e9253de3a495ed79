"""The functions as they are shipped, in the runtimes that are there."""

import json
import random
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.edge.javascript import RUNTIMES, runtime
from versioned_storage.build.manifest import Manifest
from versioned_storage.constants import ENCODINGS, SKIP_COMPRESS_EXTENSIONS, is_eligible
from versioned_storage.edge.functions import (
    MAX_SIZE,
    VIEWER_REQUEST,
    VIEWER_RESPONSE,
    CompressionRules,
    Constants,
    FunctionTooLarge,
    constants_line,
    in_common,
    rendered,
    source,
)
from versioned_storage.serving.rfc9110 import NotAcceptable, choose_encoding

CSS = "/static/2f1c9ab/css/app.3f2a9c1b7d10.css"
ANYONE = {"value": "*"}
BROWSER = "gzip, deflate, br, zstd"


@pytest.fixture(params=RUNTIMES)
def js(request, tmp_path):
    return runtime(request.param, tmp_path)


def asked(uri, accept=None, method="GET", **query):
    """A viewer-request event."""
    headers = {} if accept is None else {"accept-encoding": {"value": accept}}
    request = {
        "method": method,
        "uri": uri,
        "querystring": {name: {"value": value} for name, value in query.items()},
        "headers": headers,
        "cookies": {},
    }
    return {"version": "1.0", "context": {"eventType": "viewer-request"}, "request": request}


def answered(uri, **headers):
    """A viewer-response event."""
    response = {
        "statusCode": 200,
        "headers": {name.replace("_", "-"): {"value": value} for name, value in headers.items()},
    }
    return {**asked(uri), "response": response}


def uris(js, events, code=None):
    """Where the request function sends each event; a number is the status that it answers with."""
    answers = js.run(code or rendered(VIEWER_REQUEST, Constants()), events)
    return [answer.get("uri", answer.get("statusCode")) for answer in answers]


def picked(js, accepts, code=None):
    """The suffix that is picked for a style sheet, for each Accept-Encoding."""
    found = uris(js, [asked(CSS, value) for value in accepts], code)
    return [uri if uri == 406 else uri.removeprefix(CSS) for uri in found]


def of_middleware(accept, available=tuple(ENCODINGS)):
    """The suffix of what the middleware sends."""
    try:
        chosen = choose_encoding(accept, available)
    except NotAcceptable:
        return 406
    return ENCODINGS[chosen].suffix if chosen in ENCODINGS else ""


def vary(js, events, code=None):
    """The Vary of each answer, None where there is none."""
    answers = js.run(code or rendered(VIEWER_RESPONSE, Constants()), events)
    return [answer["headers"].get("vary", {}).get("value") for answer in answers]


def site(**rules):
    return Constants(compression=CompressionRules(**rules))


# Which encoding


#: The suffix that each Accept-Encoding picks.
PICKED = {
    None: "",
    "": "",
    " ": "",
    ",": "",
    "br": ".br",
    "gzip": ".gz",
    "identity": "",
    BROWSER: ".br",
    "gzip, deflate": ".gz",
    "deflate, zstd": "",
    "br,gzip": ".br",
    "gzip,br": ".br",
    # Weights
    "br;q=0.5, gzip": ".gz",
    "br;q=0.5, gzip;q=0.5": ".br",
    "br;q=0.501, gzip;q=0.5": ".br",
    "br;q=0.001": ".br",
    "br;q=0": "",
    "br;q=0.000": "",
    "br;q=0, gzip": ".gz",
    "br;q=1.000, gzip;q=0.999": ".br",
    "br;q=0., gzip;q=1.": ".gz",
    # Identity
    "identity, br;q=0.5": "",
    "identity;q=0.5, br": ".br",
    "identity, br": ".br",
    "identity;q=0.6, br;q=0.5, gzip;q=0.6": ".gz",
    "identity;q=0, gzip;q=0.1": ".gz",
    "identity;q=0": 406,
    "identity;q=0, br;q=0": 406,
    "identity;q=0, br;q=0, gzip;q=0": 406,
    # Any
    "*": "",
    "*;q=0": 406,
    "*;q=0.5": "",
    "br;q=0, *": "",
    "br;q=0.5, *": "",
    "br;q=0.5, gzip;q=0.5, *": "",
    "identity;q=0, br;q=0, *": ".gz",
    "gzip, *;q=0": ".gz",
    "gzip;q=0.5, *;q=0": ".gz",
    "identity;q=0, *;q=0.1": ".br",
    # Case and whitespace
    "BR": ".br",
    "GZip;Q=0.8": ".gz",
    "Identity, bR;q=0.2": "",
    "\tbr\t;\tq=0.2\t,  gzip ; q=0.1 ": ".br",
    # What is not well-formed does not count
    "br;q=2, gzip": ".gz",
    "br;q=1.1, gzip": ".gz",
    "br;q=0.1234": "",
    "br;q=-1": "",
    "br;q=.5": "",
    "br;q=": "",
    "br;q": "",
    "br;q = 0.5": "",
    "br;level=3": "",
    "br gzip": "",
    "br;q=0.5;q=0.9": "",
    ";q=1, gzip": ".gz",
    # Names that are something else
    "brotli, gzip2, xbr": "",
    "__proto__, constructor;q=0.5": "",
}


def test_accept_encoding_picks_as_rfc_9110_says(js):
    assert dict(zip(PICKED, picked(js, PICKED), strict=True)) == PICKED


def test_a_header_that_came_on_several_lines_is_one_list(js):
    event = asked(CSS, "br;q=0.1")
    lines = [{"value": "gzip;q=0.5"}, {"value": "br;q=0.1"}]
    event["request"]["headers"]["accept-encoding"]["multiValue"] = lines
    assert uris(js, [event]) == [f"{CSS}.gz"]


def test_no_header_makes_it_fail(js):
    chance = random.Random(6)
    parts = ["br", "gzip", "identity", "*", ";", "q=", "0", ".5", "1", ",", ", ", " ", "\t", "é"]
    accepts = ["".join(chance.choices(parts, k=n % 40)) for n in range(5000)]
    assert set(picked(js, accepts)) <= {"", ".br", ".gz", 406}


def test_the_edge_picks_what_the_middleware_picks(js):
    chance = random.Random(9)
    codings = ["br", "gzip", "x-gzip", "identity", "*", "deflate", "BR"]
    weights = ["", ";q=0", ";q=0.5", ";q=1", "; q=0.501", ";q=2", ";q="]
    accepts = list(PICKED)
    for number in range(5000):
        members = chance.sample(codings, k=number % 6)
        accepts.append(", ".join(one + chance.choice(weights) for one in members))
    assert picked(js, accepts) == [of_middleware(accept) for accept in accepts]


def test_only_what_the_builds_have_is_asked_for(js):
    for encodings, suffixes in [
        (("br",), [".br", "", ".br"]),
        (("gzip",), ["", ".gz", ".gz"]),
        ((), ["", "", ""]),
    ]:
        code = rendered(VIEWER_REQUEST, site(encodings=encodings))
        assert picked(js, ["br", "gzip", "*, identity;q=0"], code) == suffixes


def test_all_else_of_the_request_stays_as_it_is(js):
    event = asked(CSS, "br")
    event["request"]["headers"]["if-none-match"] = {"value": '"etag"'}
    event["request"]["headers"]["range"] = {"value": "bytes=0-9"}
    expected = {**event["request"], "uri": f"{CSS}.br"}
    assert js.run(source(VIEWER_REQUEST), [event]) == [expected]


# Which files


@pytest.mark.parametrize("prefix", ["/static/", "/shop/static files/", "/статика/"])
def test_an_eligible_name_is_rewritten_and_keeps_how_the_viewer_wrote_it(js, prefix):
    code = rendered(VIEWER_REQUEST, Constants(prefix=prefix))
    names = ["app.css", "LICENSE", "a.b.c.js", "x.svg", "x.wasm", "a.", "größe.css", "a b+c.js"]
    listed = [quote(f"{prefix}b1/{name}") for name in names]
    assert uris(js, [asked(uri, "br") for uri in listed], code) == [f"{uri}.br" for uri in listed]


def test_a_bare_plus_is_encoded_because_s3_reads_it_as_a_space(js):
    """The way from the viewer to the origin has one spelling, which is also one cache key."""
    listed = {
        "/static/1+2/css/a+b.css": "/static/1%2B2/css/a%2Bb.css.br",
        "/static/b1/c++.png": "/static/b1/c%2B%2B.png",
        "/static/b1/a%2Bb%20c.css": "/static/b1/a%2Bb%20c.css.br",
    }
    assert uris(js, [asked(uri, "br") for uri in listed]) == list(listed.values())


def test_a_shared_asset_is_a_file_like_any_other(js):
    listed = {
        "/static/_shared/css/app.3f2a9c1b7d10.css": "/static/_shared/css/app.3f2a9c1b7d10.css.br",
        "/static/_s-2/img/logo.3f2a9c1b7d10.png": "/static/_s-2/img/logo.3f2a9c1b7d10.png",
        "/static/_shared/staticfiles.json": 404,
    }
    assert uris(js, [asked(uri, "br") for uri in listed]) == list(listed.values())


def test_what_is_compressed_already_is_left_alone(js):
    names = ["x.png", "x.PNG", "x.woff2", "x.css.br", "x.css.gz", "x.GZ", "x.%70ng", "x.pn%47"]
    listed = [f"/static/b1/{name}" for name in names]
    assert uris(js, [asked(uri, "br") for uri in listed]) == listed


def test_an_encoded_file_has_no_encodings_even_if_the_site_skips_nothing(js):
    code = rendered(VIEWER_REQUEST, site(skip=()))
    events = [asked(f"/static/b1/{name}", "br") for name in ("x.br", "x.gz", "x.png")]
    assert uris(js, events, code) == ["/static/b1/x.br", "/static/b1/x.gz", "/static/b1/x.png.br"]


def strange_names():
    """Thousands of names of files: any character, any place for a dot, any extension."""
    chance = random.Random(6)
    # The Kelvin sign is a k in lower case.
    characters = [chr(code) for code in range(1, 0x2FF)] + list("Σς中\u212a\u2028\ufb01\U0001f389")
    characters.remove("/")
    extensions = [*SKIP_COMPRESS_EXTENSIONS, "css", "js", "svg", "m\u212av"]
    for number in range(4000):
        stem = "".join(chance.choices(characters, k=1 + number % 5))
        extension = chance.choice([*extensions, "".join(chance.choices(characters, k=3))])
        name = stem + chance.choice(["", ".", f".{extension}", f".{extension.upper()}"])
        # The edge refuses a dotfile before it comes to this.
        if not name.startswith("."):
            yield name


def test_both_functions_agree_with_the_build_about_every_name(js):
    names = list(strange_names())
    paths = [quote(f"/static/b1/dir.png/{name}", safe="/~!*()'") for name in names]
    rewritten = uris(js, [asked(path, "br") for path in paths])
    for name, path, uri in zip(names, paths, rewritten, strict=True):
        assert uri == (f"{path}.br" if is_eligible(name) else path), name
    for sent in (paths, rewritten):
        varied = vary(js, [answered(uri) for uri in sent])
        for name, value in zip(names, varied, strict=True):
            assert (value is not None) == is_eligible(
                name.removesuffix(".br").removesuffix(".gz")
            ), name


# Who is refused


REFUSED = [
    "/",
    "/static",
    "/builds/b1.json",
    "/media/x.png",
    "/STATIC/b1/app.css",
    "/static/",
    "/static/b1/",
    "/static/b1/css//app.css",
    "/static/staticfiles.json",
    "/static/b1/staticfiles.json",
    "/static/b1%2Fstaticfiles.json",
    "/static/b1/%73taticfiles.json",
    "/static/b1/.env",
    "/static/b1/%2eenv",
    "/static/b1/.vite/manifest.json",
    "/static/../builds/b1.json",
    "/static/b1/../../builds/b1.json",
    "/static/b1/%2e%2e/%2E%2E/builds/b1.json",
    "/static/b1/./app.css",
    "/static/b1/app%zz.css",
    "/static/b1/gr%F6%DFe.css",
    "/other/../static/b1/app.css",
]


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_what_is_no_public_file_is_not_found(js, method):
    answers = js.run(source(VIEWER_REQUEST), [asked(uri, "br", method) for uri in REFUSED])
    for uri, answer in zip(REFUSED, answers, strict=True):
        assert answer.get("statusCode") == 404, uri
        assert answer["headers"]["cache-control"] == {"value": "no-store"}


def test_a_file_that_is_called_as_the_manifest_deeper_in_the_build_is_an_asset(js):
    uri = "/static/b1/vendor/staticfiles.json"
    assert uris(js, [asked(uri)]) == [uri]


def test_a_manifest_by_another_name_is_refused_by_that_name(js):
    code = rendered(VIEWER_REQUEST, Constants(manifest="assets.json"))
    listed = ["/static/b1/assets.json", "/static/b1/staticfiles.json"]
    assert uris(js, [asked(uri) for uri in listed], code) == [404, listed[1]]


# The rest of the request


def test_the_query_string_is_dropped(js):
    event = asked(CSS, **{"response-content-type": "text/html", "v": "1"})
    assert js.run(source(VIEWER_REQUEST), [event])[0]["querystring"] == {}


def test_a_preflight_is_answered_at_the_edge(js):
    (answer,) = js.run(source(VIEWER_REQUEST), [asked(CSS, method="OPTIONS")])
    assert answer == {
        "statusCode": 204,
        "statusDescription": "No Content",
        "headers": {
            "access-control-allow-origin": ANYONE,
            "access-control-allow-methods": {"value": "GET, HEAD, OPTIONS"},
            "access-control-allow-headers": ANYONE,
            "access-control-max-age": {"value": "86400"},
        },
    }


# The answer


def test_every_answer_has_the_headers_that_s3_cannot_keep(js):
    event = answered("/static/b1/logo.png", etag='"1"', cache_control="max-age=60")
    (answer,) = js.run(source(VIEWER_RESPONSE), [event])
    assert answer == {
        "statusCode": 200,
        "headers": {
            "etag": {"value": '"1"'},
            "cache-control": {"value": "max-age=60"},
            "access-control-allow-origin": ANYONE,
            "cross-origin-resource-policy": {"value": "cross-origin"},
            "timing-allow-origin": ANYONE,
            "x-content-type-options": {"value": "nosniff"},
        },
    }


def test_an_eligible_file_varies_in_each_of_its_encodings(js):
    events = [answered(CSS + suffix) for suffix in ("", ".br", ".gz")]
    assert vary(js, events) == ["Accept-Encoding"] * 3


def test_what_is_not_negotiated_does_not_vary(js):
    assert vary(js, [answered("/static/b1/logo.png"), answered("/static/b1/a.woff2")]) == [None] * 2
    assert vary(js, [answered(CSS)], rendered(VIEWER_RESPONSE, site(encodings=()))) == [None]


@pytest.mark.parametrize(
    ("there", "made"),
    [
        ("Sec-Fetch-Dest", "Sec-Fetch-Dest, Accept-Encoding"),
        ("accept-encoding", "accept-encoding"),
        ("Cookie,ACCEPT-ENCODING", "Cookie, ACCEPT-ENCODING"),
        ("*", "*"),
    ],
)
def test_what_the_origin_varies_by_stays(js, there, made):
    assert vary(js, [answered(CSS, vary=there)]) == [made]


def test_what_allows_every_origin_does_not_vary_by_it(js):
    """A browser would ask again for what a page loads with `crossorigin` and without."""
    of_s3 = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method"
    events = [answered(CSS, vary=of_s3), answered("/static/b1/logo.png", vary="origin")]
    assert vary(js, events) == ["Accept-Encoding", None]


def test_a_vary_that_came_on_several_lines_is_kept_whole(js):
    event = answered(CSS, vary="Cookie")
    lines = [{"value": "Origin"}, {"value": "Cookie"}, {"value": "Sec-Fetch-Dest"}]
    event["response"]["headers"]["vary"]["multiValue"] = lines
    assert vary(js, [event]) == ["Cookie, Sec-Fetch-Dest, Accept-Encoding"]


# What is written into them


@pytest.mark.parametrize("name", [VIEWER_REQUEST, VIEWER_RESPONSE])
def test_as_shipped_a_function_has_the_constants_of_a_default_site(name):
    assert constants_line(name, Constants()) in source(name)


@pytest.mark.parametrize("name", [VIEWER_REQUEST, VIEWER_RESPONSE])
def test_what_is_deployed_has_no_comments_and_every_other_line(name):
    lines = [line for line in source(name).splitlines() if line.strip()]
    code = [line for line in lines if not line.strip().startswith("//")]
    assert rendered(name, Constants()).splitlines() == code
    assert "//" not in "".join(code)
    assert len("\n".join(code).encode()) < MAX_SIZE


def test_a_file_without_encodings_is_refused_to_whoever_refuses_identity(js):
    """As by the middleware."""
    image = "/static/2f1c9ab/img/logo.3f2a9c1b7d10.png"
    accepts = ["br", "br, identity;q=0", "*;q=0", "identity;q=0.1", None]
    assert uris(js, [asked(image, value) for value in accepts]) == [image, 406, 406, image, image]
    assert [of_middleware(value, ()) for value in accepts] == ["", 406, 406, "", ""]


def test_an_application_that_negotiates_gets_what_refuses_identity(js):
    """The middleware answers in br, or with 406 itself."""
    code = rendered(VIEWER_REQUEST, Constants().without_encodings())
    assert picked(js, ["br, identity;q=0", "*;q=0", None], code) == ["", "", ""]


def test_each_function_has_what_it_needs():
    headers = {"Timing-Allow-Origin": "https://www.example.com"}
    constants = Constants("/assets/", "m.json", CompressionRules(("gzip",), ("png", "gz")), headers)
    negotiated = {
        "encodings": [{"name": "gzip", "suffix": ".gz"}],
        "skip": ["br", "gz", "png"],
    }
    request = {"prefix": "/assets/", "manifest": "m.json", **negotiated}
    response = {"headers": {"timing-allow-origin": "https://www.example.com"}, **negotiated}
    assert constants.data(VIEWER_REQUEST) == request
    assert constants.data(VIEWER_RESPONSE) == response
    assert f"const SITE = {json.dumps(request)};\n" in rendered(VIEWER_REQUEST, constants)
    assert f"const SITE = {json.dumps(response)};\n" in rendered(VIEWER_RESPONSE, constants)


def test_the_headers_can_be_other_ones(js):
    code = rendered(VIEWER_RESPONSE, Constants(headers={"X-Robots-Tag": "noindex"}))
    (answer,) = js.run(code, [answered("/static/b1/logo.png")])
    assert answer["headers"] == {
        "access-control-allow-origin": ANYONE,
        "x-robots-tag": {"value": "noindex"},
    }


@pytest.mark.parametrize("prefix", ["/a\\1b/", "/${x}/", '/it\'s "so"/', "/\u2028/"])
def test_a_strange_prefix_cannot_break_out_of_its_string(js, prefix):
    code = rendered(VIEWER_REQUEST, Constants(prefix=prefix))
    uri = quote(f"{prefix}b1/app.css")
    assert uris(js, [asked(uri, "br")], code) == [f"{uri}.br"]


def test_a_function_that_cloudfront_would_refuse_is_an_error_that_says_the_sizes():
    skip = tuple(f"extension{number}" for number in range(1000))
    with pytest.raises(FunctionTooLarge) as caught:
        rendered(VIEWER_REQUEST, site(skip=skip))
    assert caught.value.size > caught.value.allowed == 10_240
    assert str(caught.value) == (
        f"viewer_request.js has {caught.value.size:,} bytes with the constants of this site, and "
        "CloudFront allows 10,240. Shorten skip_compress_extensions, in the settings and in the "
        "kept builds."
    )


def test_what_the_builds_share_is_the_fewest_encodings_and_the_most_that_is_skipped():
    now = CompressionRules(("br", "gzip"), ("png",))
    before = [
        CompressionRules(("gzip",), ("svg",)),
        CompressionRules(("br", "gzip"), ("jpg", "png")),
    ]
    assert in_common(now, before) == CompressionRules(("gzip",), ("jpg", "png", "svg"))
    assert in_common(now, []) == now


compressions = st.builds(
    CompressionRules,
    st.lists(st.sampled_from(list(ENCODINGS)), unique=True).map(
        lambda some: tuple(name for name in ENCODINGS if name in some)
    ),
    st.lists(st.sampled_from(["css", "png", "svg"]), unique=True).map(
        lambda some: tuple(sorted(some))
    ),
)


@given(compressions, st.lists(compressions), st.sampled_from(["a.css", "a.png", "a", "a.svg"]))
def test_what_is_asked_for_is_there_in_every_build(now, builds, name):
    asked_for = in_common(now, builds)
    for build in (now, *builds):
        assert set(asked_for.encodings) <= set(build.encodings)
        if is_eligible(name, asked_for.skip):
            assert is_eligible(name, build.skip)


def test_a_build_says_what_it_has_by_its_manifest():
    manifest = Manifest(
        {}, encoders={"gzip": {"level": 9}}, skip_compress_extensions=("png", "zip")
    )
    assert CompressionRules.of(manifest) == CompressionRules(("gzip",), ("png", "zip"))
    assert CompressionRules.of(Manifest({"app.css": "app.123.css"})).encodings == ()
