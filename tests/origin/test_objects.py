import hashlib

import pytest

from versioned_storage.origin.objects import IN_MEMORY, UploadBody


@pytest.mark.parametrize("size", [0, 1, IN_MEMORY, IN_MEMORY + 1, 3 << 20])
def test_a_body_is_known_by_its_size_and_its_sha256(tmp_path, size):
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    (tmp_path / "a.js").write_bytes(content)
    body = UploadBody.of(tmp_path / "a.js")
    assert (body.size, body.sha256) == (size, hashlib.sha256(content).hexdigest())
    # Many are under way at once, so only what is small is in memory.
    assert body.data == (content if size <= IN_MEMORY else None)


@pytest.mark.parametrize("size", [1, IN_MEMORY + 1])
def test_a_sha256_that_is_known_is_not_computed_again(tmp_path, size):
    (tmp_path / "a.js").write_bytes(b"x" * size)
    assert UploadBody.of(tmp_path / "a.js", "known").sha256 == "known"
    assert UploadBody.of(tmp_path / "a.js", "known").size == size


def test_a_file_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        UploadBody.of(tmp_path / "a.js")
