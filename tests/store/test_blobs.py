"""A blob is whole under its digest, or not there."""

from __future__ import annotations

import hashlib

import pytest

from roadworthy.core.errors import BadData, Missing
from roadworthy.store.blobs import Blobs


@pytest.fixture
def blobs(tmp_path):
    return Blobs(tmp_path / "blobs")


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"weights" * 300_000)
    return path


def test_a_file_is_found_under_the_digest_of_its_bytes(blobs, model):
    digest = blobs.put(model)
    assert digest == hashlib.sha256(model.read_bytes()).hexdigest()
    assert blobs.path(digest).read_bytes() == model.read_bytes()


def test_putting_it_again_changes_nothing(blobs, model):
    assert blobs.put(model) == blobs.put(model)
    assert [path for path in blobs.directory.rglob("*") if path.is_file()] == [blobs.path(blobs.put(model))]


def test_the_copy_does_not_follow_the_original(blobs, model):
    digest = blobs.put(model)
    model.write_bytes(b"other")
    assert blobs.check(digest).read_bytes() != b"other"


def test_a_damaged_copy_is_found_and_healed_by_putting_it_again(blobs, model):
    digest = blobs.put(model)
    blobs.path(digest).write_bytes(b"damaged")
    with pytest.raises(BadData, match="is damaged: its digest is now"):
        blobs.check(digest)
    blobs.put(model)
    assert blobs.check(digest) == blobs.path(digest)


@pytest.mark.parametrize("digest", ["0" * 64, "", "..", "../../etc/passwd", "A" * 64])
def test_an_unknown_digest_is_missing_and_leads_nowhere_else(blobs, digest):
    with pytest.raises(Missing, match="no file with the digest"):
        blobs.path(digest)


def test_a_missing_source_leaves_nothing_behind(blobs, tmp_path):
    with pytest.raises(Missing, match=r"no file `.*gone\.onnx` to keep"):
        blobs.put(tmp_path / "gone.onnx")
    assert list(blobs.directory.iterdir()) == []


def test_what_is_kept_is_listed_and_removed_for_good(tmp_path):
    blobs = Blobs(tmp_path / "blobs")
    (tmp_path / "file").write_bytes(b"12345")
    digest = blobs.put(tmp_path / "file")
    (blobs.directory / digest[:2] / "notes.txt").write_text("a person's own")
    (found,) = blobs.all()
    assert (found.digest, found.bytes) == (digest, 5)
    blobs.remove(digest)
    blobs.remove(digest)
    blobs.remove("../../file")
    assert list(blobs.all()) == []
    assert (tmp_path / "file").exists()


def test_what_a_killed_put_left_is_swept_once_it_is_old(tmp_path):
    blobs = Blobs(tmp_path / "blobs")
    half = blobs.directory / "incoming-killed"
    half.write_bytes(b"half")
    assert blobs.sweep(half.stat().st_mtime) == 0
    assert blobs.sweep(half.stat().st_mtime + 1) == 4
    assert not half.exists()
