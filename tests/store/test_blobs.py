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
