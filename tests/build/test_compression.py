import gzip
import os
import stat
import tracemalloc
from dataclasses import replace
from functools import partial
from io import BytesIO

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import site
from versioned_storage.build.codecs import compressor
from versioned_storage.build.compression import EncodingJob, available_cores, compress, decodes_to
from versioned_storage.build.directory import CHUNK, BuildDirectory, digest_of
from versioned_storage.constants import ENCODINGS

TEXT = b"body { color: red }\n" * 200
OTHER = b"body { color: tan }\n" * 200
DECODE = {"br": brotli.decompress, "gzip": gzip.decompress}
both = pytest.mark.parametrize("encoding", ENCODINGS.values(), ids=list(ENCODINGS))


@pytest.fixture
def directory(tmp_path):
    return BuildDirectory(tmp_path / "root")


def encoded(encoding, content):
    encoder = compressor(encoding)
    return encoder.compress(content) + encoder.flush()


def opener(content):
    return partial(BytesIO, content)


def job_of(directory, *names, content=TEXT, **prebuilt):
    """A work whose files are there; ``prebuilt`` are the bytes of a bundler's encodings."""
    for name in names:
        directory.write(name, [content])
    openers = {encoding: opener(copy) for encoding, copy in prebuilt.items()}
    return EncodingJob(names, digest_of([content]), prebuilt=openers, kept=("br", "gzip"))


def compressed_jobs(directory, *jobs, encodings=("br", "gzip"), **options):
    return {first.names[0]: first for first in compress(jobs, directory, encodings, **options)}


def read(directory, name):
    return directory.path(name).read_bytes()


@both
def test_a_whole_encoding_of_the_content_decodes_to_it(encoding):
    assert decodes_to(opener(encoded(encoding, TEXT)), encoding, digest_of([TEXT]))
    assert decodes_to(opener(encoded(encoding, b"")), encoding, digest_of([]))


@both
def test_what_is_larger_than_a_chunk_decodes_too(encoding):
    content = os.urandom(2 * CHUNK + 7)
    copy = (
        encoded(encoding, content)
        if encoding.name == "gzip"
        else brotli.compress(content, quality=1)
    )
    assert len(copy) > CHUNK
    assert decodes_to(opener(copy), encoding, digest_of([content]))
    assert not decodes_to(opener(copy[:-1]), encoding, digest_of([content]))
    assert not decodes_to(opener(copy + b"\0"), encoding, digest_of([content]))


@both
@pytest.mark.parametrize(
    "damage",
    [
        lambda copy: copy[:-1],
        lambda copy: copy[: len(copy) // 2],
        lambda copy: copy[:1],
        lambda copy: copy[:0],
        lambda copy: copy + b"\0",
        lambda copy: copy + b"\n",
        lambda copy: copy + b"trailing garbage",
        lambda copy: copy + copy,
        lambda copy: b"\0" + copy,
        lambda _: TEXT,
        lambda copy: copy[:10] + bytes([copy[10] ^ 0xFF]) + copy[11:],
    ],
    ids=[
        "last byte gone",
        "half",
        "first byte",
        "empty",
        "NUL after it",
        "line break after it",
        "garbage after it",
        "twice",
        "NUL before it",
        "not encoded",
        "one byte changed",
    ],
)
def test_a_damaged_encoding_does_not_decode(encoding, damage):
    copy = damage(encoded(encoding, TEXT))
    assert not decodes_to(opener(copy), encoding, digest_of([TEXT]))


@both
def test_what_follows_in_another_chunk_is_seen(encoding):
    """The stream ends where a chunk does, so the decoder gets the rest by itself."""
    copy = encoded(encoding, TEXT)

    class InTwoChunks(BytesIO):
        def read(self, size=-1):
            return super().read(len(copy) if self.tell() == 0 else size)

    complete = digest_of([TEXT])
    assert decodes_to(lambda: InTwoChunks(copy), encoding, complete)
    assert not decodes_to(lambda: InTwoChunks(copy + b"x"), encoding, complete)
    assert not decodes_to(lambda: InTwoChunks(copy + copy), encoding, complete)


@both
def test_an_encoding_of_other_content_does_not_decode_to_it(encoding):
    assert len(OTHER) == len(TEXT)
    assert not decodes_to(opener(encoded(encoding, OTHER)), encoding, digest_of([TEXT]))


def test_one_encoding_is_not_the_other():
    br, gz = ENCODINGS["br"], ENCODINGS["gzip"]
    assert not decodes_to(opener(encoded(br, TEXT)), gz, digest_of([TEXT]))
    assert not decodes_to(opener(encoded(gz, TEXT)), br, digest_of([TEXT]))


@both
def test_a_file_that_is_not_there_does_not_decode(encoding, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "gone", tmp_path / "file" / "below"):
        assert not decodes_to(partial(path.open, "rb"), encoding, digest_of([b""]))


@both
@given(content=st.binary(max_size=3000), cut=st.integers(min_value=1))
def test_any_content_comes_back_and_no_part_of_it_does(encoding, content, cut):
    copy = encoded(encoding, content)
    complete = digest_of([content])
    assert decodes_to(opener(copy), encoding, complete)
    assert not decodes_to(opener(copy[: -1 - cut % len(copy)]), encoding, complete)
    assert not decodes_to(opener(copy), encoding, digest_of([content, b"\0"]))


@both
@given(content=st.binary(max_size=300), garbage=st.binary(min_size=1, max_size=300))
def test_whatever_follows_an_encoding_is_refused(encoding, content, garbage):
    copy = encoded(encoding, content) + garbage
    assert not decodes_to(opener(copy), encoding, digest_of([content]))


def test_every_encoding_is_beside_every_name(directory):
    job = job_of(directory, "css/app.1.css", "css/app.css")
    (first,) = compress([job], directory, ["br", "gzip"])
    assert sorted(path.name for path in directory.path("css").iterdir()) == [
        "app.1.css",
        "app.1.css.br",
        "app.1.css.gz",
        "app.css",
        "app.css.br",
        "app.css.gz",
    ]
    for name in job.names:
        assert brotli.decompress(read(directory, f"{name}.br")) == TEXT
        assert gzip.decompress(read(directory, f"{name}.gz")) == TEXT
    assert first is job
    assert first.reused == set()
    assert first.sizes == {
        "br": len(read(directory, "css/app.css.br")),
        "gzip": len(read(directory, "css/app.css.gz")),
    }


def test_only_the_encodings_that_are_asked_for_are_made(directory):
    (first,) = compressed_jobs(directory, job_of(directory, "a.css"), encodings=["gzip"]).values()
    assert list(first.sizes) == ["gzip"]
    assert not directory.path("a.css.br").exists()
    (first,) = compressed_jobs(directory, job_of(directory, "a.css"), encodings=[]).values()
    assert first.sizes == {}


def test_all_names_of_a_content_share_one_file_in_each_encoding(directory):
    compressed_jobs(directory, job_of(directory, "a.css", "b.css", "deep/c.css"))
    for suffix in (".br", ".gz"):
        assert directory.same_file(f"a.css{suffix}", f"b.css{suffix}")
        assert directory.same_file(f"a.css{suffix}", f"deep/c.css{suffix}")


def test_where_links_cannot_be_every_name_has_a_copy(directory, monkeypatch):
    def refuse(self, target):
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    compressed_jobs(directory, job_of(directory, "a.css", "b.css"))
    assert not directory.same_file("a.css.br", "b.css.br")
    assert read(directory, "a.css.br") == read(directory, "b.css.br")
    assert gzip.decompress(read(directory, "b.css.gz")) == TEXT


def test_encodings_get_the_mode_of_the_directory(tmp_path):
    directory = BuildDirectory(tmp_path / "root", file_mode=0o604)
    compressed_jobs(directory, job_of(directory, "a.css"))
    for name in ("a.css.br", "a.css.gz"):
        assert stat.S_IMODE(directory.path(name).stat().st_mode) == 0o604


def test_encodings_that_are_there_and_right_are_left_alone(directory):
    job = job_of(directory, "a.css", "b.css")
    compressed_jobs(directory, job)
    before = {name: directory.path(name).stat() for name in ("a.css.br", "a.css.gz", "b.css.br")}
    (first,) = compressed_jobs(directory, job).values()
    assert first.reused == {"br", "gzip"}
    for name, was in before.items():
        now = directory.path(name).stat()
        assert (now.st_ino, now.st_mtime_ns) == (was.st_ino, was.st_mtime_ns)


def test_an_encoding_of_which_nobody_knows_how_it_was_made_is_made_again(directory):
    job = job_of(directory, "a.css")
    directory.write("a.css.gz", [gzip.compress(TEXT, compresslevel=1)])
    (first,) = compressed_jobs(directory, replace(job, kept=())).values()
    assert first.reused == set()
    assert read(directory, "a.css.gz") == encoded(ENCODINGS["gzip"], TEXT)


def test_an_encoding_that_somebody_else_made_is_reused_as_it_is(directory):
    job = job_of(directory, "a.css")
    by_others = gzip.compress(TEXT, compresslevel=1)
    directory.write("a.css.gz", [by_others])
    (first,) = compressed_jobs(directory, job).values()
    assert first.reused == {"gzip"}
    assert first.sizes["gzip"] == len(by_others)
    assert read(directory, "a.css.gz") == by_others


@pytest.mark.parametrize("name", ["a.css", "b.css"])
@both
def test_a_stale_encoding_is_made_again_under_every_name(directory, encoding, name):
    job = job_of(directory, "a.css", "b.css")
    compressed_jobs(directory, job)
    directory.write(name + encoding.suffix, [encoded(encoding, OTHER)])
    compressed_jobs(directory, job)
    for each in ("a.css", "b.css"):
        assert DECODE[encoding.name](read(directory, each + encoding.suffix)) == TEXT


@both
def test_a_truncated_encoding_is_made_again(directory, encoding):
    job = job_of(directory, "a.css")
    compressed_jobs(directory, job)
    complete = read(directory, "a.css" + encoding.suffix)
    directory.write("a.css" + encoding.suffix, [complete[:-2]])
    (first,) = compressed_jobs(directory, job).values()
    assert first.reused == {"br", "gzip"} - {encoding.name}
    assert read(directory, "a.css" + encoding.suffix) == complete


def test_an_encoding_that_is_a_symlink_is_replaced_by_a_file(directory, tmp_path):
    job = job_of(directory, "a.css")
    outside = tmp_path / "outside.gz"
    outside.write_bytes(gzip.compress(TEXT, compresslevel=1, mtime=0))
    kept = outside.read_bytes()
    directory.path("a.css.gz").symlink_to(outside)
    (first,) = compressed_jobs(directory, job).values()
    assert first.reused == set()
    assert not directory.path("a.css.gz").is_symlink()
    assert outside.read_bytes() == kept


def test_what_a_bundler_brought_is_taken_byte_for_byte(directory):
    br, gz = brotli.compress(TEXT, quality=1), gzip.compress(TEXT, compresslevel=1)
    job = job_of(directory, "a.1.css", "a.css", br=br, gzip=gz)
    (first,) = compressed_jobs(directory, job).values()
    assert first.reused == {"br", "gzip"}
    assert first.sizes == {"br": len(br), "gzip": len(gz)}
    for name in ("a.1.css", "a.css"):
        assert read(directory, f"{name}.br") == br
        assert read(directory, f"{name}.gz") == gz


def test_what_an_earlier_build_has_of_other_bytes_is_not_taken(directory, tmp_path):
    base = BuildDirectory(tmp_path / "base")
    base.write("a.1.css.gz", [gzip.compress(OTHER)])
    base.write("a.1.css.br", [brotli.compress(TEXT, quality=1)])
    directory.write("a.css", [TEXT])
    job = EncodingJob(
        ("a.css",), digest_of([TEXT]), base_files={"gzip": "a.1.css.gz", "br": "a.1.css.br"}
    )
    compressed_jobs(directory, job, base=base)
    assert job.reused == {"br"}
    assert read(directory, "a.css.br") == read(base, "a.1.css.br")
    assert gzip.decompress(read(directory, "a.css.gz")) == TEXT


@pytest.mark.parametrize("damage", ["cut", "longer", "missing", "empty", "of less", "of more"])
@both
def test_a_damaged_encoding_of_an_earlier_build_is_not_taken(directory, tmp_path, encoding, damage):
    base = BuildDirectory(tmp_path / "base")
    whole = encoded(encoding, TEXT)
    damaged = {
        "cut": whole[:-1],
        "longer": whole + b"x",
        "empty": b"",
        "of less": encoded(encoding, TEXT[:-1]),
        "of more": encoded(encoding, TEXT + b"x"),
    }
    if damage in damaged:
        base.write("a.css" + encoding.suffix, [damaged[damage]])
    directory.write("a.css", [TEXT])
    job = EncodingJob(
        ("a.css",), digest_of([TEXT]), base_files={encoding.name: f"a.css{encoding.suffix}"}
    )
    compressed_jobs(directory, job, base=base, encodings=[encoding.name])
    assert job.reused == set()
    assert DECODE[encoding.name](read(directory, "a.css" + encoding.suffix)) == TEXT


def test_an_encoding_of_an_earlier_build_is_taken_as_a_hard_link(tmp_path):
    base, directory = (BuildDirectory(tmp_path / name, file_mode=0o644) for name in ("b1", "b2"))
    compressed_jobs(base, job_of(base, "a.css"))
    directory.write("a.css", [TEXT])
    job = EncodingJob(("a.css",), digest_of([TEXT]), base_files={"br": "a.css.br"})
    compressed_jobs(directory, job, base=base, encodings=["br"])
    assert directory.path("a.css.br").samefile(base.path("a.css.br"))


@both
def test_no_more_is_decoded_than_the_content_has(encoding):
    bomb = encoded(encoding, bytes(20_000_000))
    tracemalloc.start()
    try:
        assert not decodes_to(opener(bomb), encoding, digest_of([TEXT]))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5_000_000


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_the_bytes_do_not_depend_on_the_order_or_on_how_many_work(tmp_path, workers):
    contents = {f"{number}.css": TEXT * (number + 1) for number in range(6)}

    def run(where, names, workers):
        directory = BuildDirectory(where)
        jobs = [job_of(directory, name, content=contents[name]) for name in names]
        compressed_jobs(directory, *jobs, workers=workers)
        return {path.name: path.read_bytes() for path in where.iterdir()}

    first = run(tmp_path / "one", list(contents), 1)
    assert len(first) == 18
    assert run(tmp_path / "other", reversed(contents), workers) == first


def test_every_work_is_yielded_once(directory):
    jobs = [job_of(directory, f"{number}.css", content=b"%d" % number) for number in range(20)]
    finished = list(compress(jobs, directory, ["gzip"], workers=3))
    assert sorted(first.names for first in finished) == sorted(job.names for job in jobs)


def test_nothing_to_compress_is_no_error(directory):
    assert list(compress([], directory, ["br", "gzip"])) == []


def test_a_failure_is_raised_and_leaves_no_part_of_a_file(directory):
    jobs = [job_of(directory, "a.css"), EncodingJob(("gone.css",), digest_of([OTHER]))]
    with pytest.raises(FileNotFoundError, match=r"gone\.css"):
        compressed_jobs(directory, *jobs)
    assert not [path for path in directory.root.iterdir() if path.name.startswith((".", "gone"))]


def test_a_file_with_the_same_content_as_another_is_compressed_once(tmp_path):
    files = {"a.css": TEXT, "b/c.css": TEXT, "d.txt": OTHER}
    with site(tmp_path, files, BUILD_VERSION="b1") as here:
        here.collect()
        build = here.root / "b1"
        manifest = here.storage.manifest
        for suffix in (".br", ".gz"):
            same = {
                (build / (name + suffix)).stat().st_ino
                for name in ("a.css", "b/c.css", manifest.paths["a.css"], manifest.paths["b/c.css"])
            }
            assert len(same) == 1
            assert (build / f"d.txt{suffix}").stat().st_ino not in same


def test_there_is_a_core_to_work_on():
    assert 1 <= available_cores() <= (os.cpu_count() or 1)
