from __future__ import annotations

import gc
import hashlib
import os
import shutil
from pathlib import Path

import pytest

from roadworthy.core.errors import BadData, Missing
from roadworthy.serve.formats.base import LIMITS
from roadworthy.serve.formats.folder import opened, pack
from roadworthy.serve.formats.kind import kind_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "model"
    (made / "data" / "__pycache__").mkdir(parents=True)
    (made / "MLmodel").write_text("flavors: {}")
    (made / "data" / "weights").write_bytes(bytes(range(256)) * 40)
    (made / "data" / "__pycache__" / "x.pyc").write_bytes(b"cache")
    (made / ".DS_Store").write_bytes(b"hidden")
    return made


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_same_content_is_the_same_file_whenever_and_wherever_it_is_packed(folder: Path, tmp_path: Path) -> None:
    first = digest(pack(folder, tmp_path / "first.zip"))
    again = shutil.copytree(folder, tmp_path / "again")
    os.utime(again / "MLmodel", (0, 0))
    (again / "MLmodel").chmod(0o600)
    assert digest(pack(again, tmp_path / "again.zip")) == first
    (again / "MLmodel").write_text("flavors: {x: 1}")
    assert digest(pack(again, tmp_path / "again.zip")) != first


def test_what_was_packed_is_unpacked_for_as_long_as_its_owner_lives(folder: Path, tmp_path: Path) -> None:
    class Owner:
        pass

    owner = Owner()
    packed = pack(folder, tmp_path / "model.zip")
    there = opened(packed, owner, LIMITS)
    found = {path.relative_to(there).as_posix() for path in there.rglob("*") if path.is_file()}
    assert found == {"MLmodel", "data/weights"}
    assert (there / "data" / "weights").read_bytes() == (folder / "data" / "weights").read_bytes()
    del owner
    gc.collect()
    assert not there.exists()


def test_what_is_no_packed_folder_is_opened_as_it_is(folder: Path, tmp_path: Path) -> None:
    for file in (folder, folder / "MLmodel", folder / "data" / "weights", tmp_path / "none"):
        assert opened(file, object(), LIMITS) == file
    with pack(folder, tmp_path / "model.zip").open("rb") as stream:
        assert kind_of(stream) == "folder"


def test_a_folder_in_an_ordinary_zip_file_is_opened_too(folder: Path, tmp_path: Path) -> None:
    class Owner:
        pass

    owner = Owner()
    packed = Path(shutil.make_archive(str(tmp_path / "model"), "zip", tmp_path, "model"))
    assert (opened(packed, owner, LIMITS) / "MLmodel").read_text() == "flavors: {}"


def test_a_link_and_an_empty_folder_cannot_be_kept(folder: Path, tmp_path: Path) -> None:
    (folder / "data" / "link").symlink_to("/etc/hostname")
    with pytest.raises(BadData, match=r"data/link' is a link, which a release cannot keep"):
        pack(folder, tmp_path / "model.zip")
    (tmp_path / "empty").mkdir()
    with pytest.raises(Missing, match="no files in the folder"):
        pack(tmp_path / "empty", tmp_path / "model.zip")
