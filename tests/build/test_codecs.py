import gzip
import zlib
from itertools import chain

import brotli
import pytest

from versioned_storage.build.codecs import PIECE, compressor, decompressor
from versioned_storage.constants import ENCODINGS, SKIP_COMPRESS_EXTENSIONS, is_eligible

CONTENTS = [b"", b"x", b"body { color: red }\n" * 500, bytes(range(256)) * 40]
both = pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=list(ENCODINGS))


def encoded(encoding, content):
    encoder = compressor(encoding)
    return encoder.compress(content) + encoder.flush()


def test_brotli_is_preferred_and_the_names_are_those_of_http():
    table = [(encoding.name, encoding.suffix) for encoding in ENCODINGS.values()]
    assert table == [("br", ".br"), ("gzip", ".gz")]
    assert list(ENCODINGS) == ["br", "gzip"]


@pytest.mark.parametrize("content", CONTENTS, ids=len)
def test_what_is_encoded_is_what_any_decoder_reads(content):
    assert brotli.decompress(encoded(ENCODINGS["br"], content)) == content
    assert gzip.decompress(encoded(ENCODINGS["gzip"], content)) == content


@both
@pytest.mark.parametrize("content", CONTENTS, ids=len)
def test_what_is_encoded_decodes_byte_by_byte(encoding, content):
    decoder = decompressor(encoding.name)
    assert not decoder.finished()
    parts = [b"".join(decoder.decompress(bytes([byte]))) for byte in encoded(encoding, content)]
    assert b"".join(parts) == content
    assert decoder.finished()


def test_the_settings_that_are_recorded_are_those_in_use():
    content = CONTENTS[2]
    br, gz = ENCODINGS["br"], ENCODINGS["gzip"]
    assert br.settings == {"quality": 11, "window": 22}
    assert gz.settings == {"level": 9}
    by_hand = brotli.Compressor(quality=br.settings["quality"], lgwin=br.settings["window"])
    assert encoded(br, content) == by_hand.process(content) + by_hand.finish()
    deflated = zlib.compressobj(gz.settings["level"], zlib.DEFLATED, zlib.MAX_WBITS | 16)
    assert encoded(gz, content) == deflated.compress(content) + deflated.flush()


@both
def test_the_same_bytes_are_always_encoded_to_the_same(encoding):
    assert encoded(encoding, CONTENTS[3]) == encoded(encoding, CONTENTS[3])


def test_gzip_says_neither_a_time_nor_a_name():
    """RFC 1952, 2.3: flags in byte 3, MTIME in the four after it."""
    header = encoded(ENCODINGS["gzip"], b"content")[:8]
    assert header == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"


@both
def test_a_part_of_a_stream_is_not_finished(encoding):
    decoder = decompressor(encoding.name)
    b"".join(decoder.decompress(encoded(encoding, CONTENTS[2])[:-1]))
    assert not decoder.finished()


def test_gzip_is_not_finished_when_something_follows():
    complete = encoded(ENCODINGS["gzip"], b"content")
    for chunks in (
        [complete + b"more"],
        [complete, b"more"],
        [complete + complete],
        [complete, complete],
    ):
        decoder = decompressor("gzip")
        assert b"".join(chain.from_iterable(map(decoder.decompress, chunks))) == b"content"
        assert not decoder.finished()


def test_brotli_refuses_what_follows():
    complete = encoded(ENCODINGS["br"], b"content")
    for chunks in (
        [complete + b"more"],
        [complete, b"more"],
        [complete + complete],
        [complete, complete],
    ):
        decoder = decompressor("br")
        with pytest.raises(brotli.error):
            list(chain.from_iterable(map(decoder.decompress, chunks)))


def test_the_skip_list_is_sorted_lower_case_and_without_dots():
    assert list(SKIP_COMPRESS_EXTENSIONS) == sorted(set(SKIP_COMPRESS_EXTENSIONS))
    assert all(extension.isalnum() for extension in SKIP_COMPRESS_EXTENSIONS)
    assert all(extension == extension.lower() for extension in SKIP_COMPRESS_EXTENSIONS)


def test_what_encodings_make_is_not_encoded_again():
    for encoding in ENCODINGS.values():
        assert not is_eligible(f"app.css{encoding.suffix}")


@pytest.mark.parametrize(
    "name",
    [
        "css/app.css",
        "app.3f2a9c1b7d10.js",
        "a.js.map",
        "img/logo.svg",
        "data.json",
        "favicon.ico",
        "fonts/a.ttf",
        "LICENSE",
        "png",
        "a.png/LICENSE",
        ".well-known",
        "module.wasm",
    ],
)
def test_text_and_what_has_no_extension_is_eligible(name):
    assert is_eligible(name)


@pytest.mark.parametrize(
    "name",
    ["img/a.png", "img/A.PNG", "a.min.JpEg", "fonts/a.woff2", "a.tar.gz", "v.mp4", "a.svgz.zip"],
)
def test_what_is_compressed_already_is_not_eligible(name):
    assert not is_eligible(name)


def test_another_list_stands_in_the_place_of_the_own_one():
    assert is_eligible("a.png", ("css",))
    assert not is_eligible("a.css", ("css",))
    assert is_eligible("a.css", ())


@both
@pytest.mark.parametrize("size", [PIECE - 1, PIECE, PIECE + 1, 50 * PIECE + 7])
def test_a_bomb_comes_in_pieces_that_fit_into_memory(encoding, size):
    decoder = decompressor(encoding.name)
    sizes = [len(piece) for piece in decoder.decompress(encoded(encoding, bytes(size)))]
    assert sum(sizes) == size
    assert max(sizes) <= 2 * PIECE
    assert decoder.finished()
