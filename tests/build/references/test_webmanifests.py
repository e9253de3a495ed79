import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from versioned_storage.build.references import rewrite, webmanifest_references


def actual(text):
    return [(text[ref.start : ref.end], ref.url) for ref in webmanifest_references(text)]


def test_the_sources_of_icons_screenshots_and_shortcuts_are_found():
    manifest = {
        "name": "a",
        "icons": [{"src": "icon.png", "sizes": "48x48"}, {"src": "icon.svg"}],
        "screenshots": [{"src": "wide.png", "label": "src"}],
        "shortcuts": [{"name": "b", "url": "/b", "icons": [{"src": "b.png"}]}, {"name": "c"}],
    }
    expected = ["icon.png", "icon.svg", "wide.png", "b.png"]
    for indent in (None, 2):
        text = json.dumps(manifest, indent=indent)
        assert actual(text) == [(f'"{url}"', url) for url in expected]


@pytest.mark.parametrize("key", ["name", "short_name", "start_url", "display"])
def test_one_key_of_an_app_makes_a_manifest(key):
    assert actual(f'{{"icons": [{{"src": "a"}}], "{key}": ""}}') == [('"a"', "a")]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "not JSON",
        '"icons"',
        '[{"name": "", "icons": [{"src": "a"}]}]',
        '{"icons": [{"src": "a"}]}',
        '{"name": "a", "src": "b"}',
        '{"name": "a", "icons": {"src": "b"}}',
        '{"name": "a", "icons": "b"}',
        '{"name": "a", "icons": ["b", ["src", "c"], null, {"src": 1}, {"src": ["d"]}]}',
        '{"name": "a", "icons": [{"x": {"src": "b"}}, {"src": {"src": "b"}}]}',
        '{"name": "a", "x": {"icons": [{"src": "b"}]}, "icons": []}',
        '{"name": "a", "shortcuts": [{"src": "b", "screenshots": [{"src": "c"}]}]}',
        "{'name': 'a', 'icons': [{'src': 'b'}]}",
        '{"name": "a", "icons": [{"src": "b"}]} trailing',
    ],
)
def test_what_looks_like_a_manifest_has_none(text):
    assert actual(text) == []


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "", "icons": [{"src": "b", "src": "a"}]}',
        '{"name": "", "icons": [{"src": "b"}, {"src": "c"}], "icons": [{"src": "a"}]}',
        '{"name": "", "icons": [{"src": "a"}], "name": ""}',
        '{"name": "", "icons": 1, "icons": [{"x": "}]", "src": "a"}]}',
        '{"name": "", "icons": ["x", "x", [], [{}], 1, true, {"y": ["[", {}]}, {"src": "a"}]}',
    ],
)
def test_where_a_key_is_there_twice_the_last_counts(text):
    assert actual(text) == [('"a"', "a")]
    assert [ref.start for ref in webmanifest_references(text)] == [text.rindex('"a"')]


@pytest.mark.parametrize(
    ("literal", "url"),
    [
        (r'"a\/b\u0063"', "a/bc"),
        (r'"\"\\"', '"\\'),
        (r'"\ud83d\ude00\ud800"', "\U0001f600\ufffd"),
        ('" a b "', "a b"),
        ('"é日\U0001f600"', "é日\U0001f600"),
    ],
)
def test_escapes_are_resolved(literal, url):
    assert actual(f'{{"na\\u006de": "{{", "ic\\u006fns": [{{"src": {literal}}}]}}') == [
        (literal, url)
    ]


def test_a_byte_order_mark_is_no_part_of_it():
    text = '\ufeff{"name": "", "icons": [{"src": "a"}]}'
    assert actual(text) == [('"a"', "a")]


@pytest.mark.parametrize("part", ["[", '{"icons":', '"', "{", "\\", '{"icons":[],'])
def test_no_depth_is_too_deep(part):
    assert actual(part * 100_000) == []
    assert actual('{"name": "", "icons": [' + part * 100_000) == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=3)
        | st.dictionaries(st.sampled_from(["icons", "shortcuts", "src", "a"]), children, max_size=3)
    ),
)


@given(
    st.lists(json_values, max_size=3),
    st.lists(json_values, max_size=3),
    st.integers(0, 2),
    st.text(),
)
def test_rewriting_changes_the_sources_alone(icons, shortcuts, indent, url):
    manifest = {"x": icons, "icons": icons, "name": "a", "shortcuts": shortcuts}
    text = json.dumps(manifest, indent=indent or None, ensure_ascii=False)
    rewritten = rewrite(text, [(reference, url) for reference in webmanifest_references(text)])
    for image in _images(manifest):
        image["src"] = url
    assert json.loads(rewritten) == json.loads(json.dumps(manifest))


def _images(manifest):
    manifest["x"] = json.loads(json.dumps(manifest["x"]))  # the same objects as in "icons" before
    shortcuts = [shortcut for shortcut in manifest["shortcuts"] if isinstance(shortcut, dict)]
    for parent in [manifest, *shortcuts]:
        images = parent.get("icons")
        for image in images if isinstance(images, list) else []:
            if isinstance(image, dict) and isinstance(image.get("src"), str):
                yield image
