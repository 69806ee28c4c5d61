"""Files of the registry that were truncated, or edited by hand, are found, and the error names them."""

from __future__ import annotations

import random

import pytest

from roadworthy.core.errors import BadData, RoadworthyError
from roadworthy.registry.releases import Registry
from roadworthy.store.files import StoreError
from roadworthy.store.state import State


@pytest.fixture
def metadata_url() -> str:
    """SQLite alone: PostgreSQL's files are its own affair."""
    return ""


@pytest.fixture
def written(tmp_path, made, registry, state):
    """A registry on SQLite that nobody has open any more, and a release in it."""
    release = made(b"weights of a model" * 100, training={"note": "z" * 3000}, measured=())
    registry.point("clinic", "stable", release.digest, 1.0, "anna", "")
    state.close()
    return state.directory, release


def read(directory, release):
    with State.open(directory, "process") as state:
        registry = Registry(state)
        found = registry.get(registry.alias("clinic", "stable") or "")
        assert registry.list() == [found]
        assert found == release
        return registry.files(found)


@pytest.mark.parametrize("flip", [0x01, 0x80])
def test_a_byte_of_a_manifest_that_was_flipped_is_found(written, flip):
    directory, release = written
    file = directory / "metadata.db"
    whole = bytearray(file.read_bytes())
    begin = whole.index(b'"clinic","artifacts"')
    rng = random.Random(7)
    for offset in [0, 1, *rng.sample(range(2500), 12)]:
        damaged = bytearray(whole)
        damaged[begin + 1 + offset] ^= flip
        file.write_bytes(damaged)
        with pytest.raises(RoadworthyError, match=r"metadata\.db`"):
            read(directory, release)
    file.write_bytes(whole)
    assert read(directory, release)["model"].is_file()


@pytest.mark.parametrize("cut", [1, 4096, 3 * 4096, 50_000, -4096, -300])
def test_a_truncated_database_is_found(written, cut):
    directory, release = written
    file = directory / "metadata.db"
    file.write_bytes(file.read_bytes()[:-cut])
    with pytest.raises(StoreError, match=r"metadata\.db`.*(truncated|CORRUPT).*restore it from a backup"):
        read(directory, release)


def test_an_emptied_database_is_not_taken_for_a_new_one(written):
    directory, release = written
    (directory / "metadata.db").write_bytes(b"")
    with pytest.raises(StoreError, match=r"metadata\.db` is empty although records lie beside it: .*restore it"):
        read(directory, release)


def test_a_file_of_a_release_that_was_cut_or_edited_is_found(written):
    directory, release = written
    digest = release.artifacts[0].digest
    file = directory / "blobs" / digest[:2] / digest
    whole = file.read_bytes()
    for damaged in (whole[:-1], b"", whole[:50] + b"?" + whole[51:]):
        file.write_bytes(damaged)
        with pytest.raises(BadData, match=f"{digest}` is damaged: .*restore it"):
            read(directory, release)
    file.unlink()
    with pytest.raises(RoadworthyError, match="no file with the digest"):
        read(directory, release)
