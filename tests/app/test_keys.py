"""API keys as they are made and kept."""

from __future__ import annotations

import random
import re
import stat
import subprocess
import sys

import pytest

from roadworthy.app.keys import DAY_SECONDS, KeyFile, digest_of, is_text, make_text
from roadworthy.core.errors import BadRequest, Missing, SpecError, Taken


@pytest.fixture
def file(tmp_path) -> KeyFile:
    return KeyFile(tmp_path, now=lambda: 1000.0)


def test_a_key_is_kept_as_a_hash_in_a_file_of_its_owner(file):
    text = file.new("ada", ["infer", "control", "infer"], days=2)
    (key,) = file.read()
    assert (key.name, key.scopes, key.created, key.expires) == (
        "ada",
        ("infer", "control"),
        1000.0,
        1000.0 + 2 * DAY_SECONDS,
    )
    assert bytes.fromhex(key.digest) == digest_of(text.encode())
    kept = file.path.read_text()
    assert text not in kept
    assert text[3:20] not in kept
    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_a_scanner_can_tell_a_key_from_chance():
    rng = random.Random(7)
    for _ in range(200):
        text = make_text(rng.randbytes(32))
        assert re.fullmatch("rw_[0-9A-Za-z]{49}", text)
        assert is_text(text.encode())
        i = rng.randrange(3, len(text))
        wrong = text[:i] + rng.choice([c for c in "0Aa" if c != text[i]]) + text[i + 1 :]
        assert not is_text(wrong.encode())
    assert not is_text(b"rw_")
    assert not is_text(b"\xff" * 52)


def test_two_keys_are_never_alike(file):
    assert file.new("a") != file.new("b")


def test_a_name_is_free_again_after_its_key_is_revoked_or_has_expired(tmp_path):
    clock = [1000.0]
    file = KeyFile(tmp_path, now=lambda: clock[0])
    file.new("ada", days=1)
    with pytest.raises(Taken, match="a valid key named 'ada'"):
        file.new("ada")
    assert file.revoke("ada").revoked == 1000.0
    file.new("ada", days=1)
    clock[0] += DAY_SECONDS
    file.new("ada")
    assert [key.state(clock[0]) for key in file.read()] == ["revoked", "expired", "valid"]


def test_what_cannot_be_a_key_is_refused_with_a_sentence(file):
    file.new("ada")
    with pytest.raises(Missing, match="no valid key named 'bob' \\(known: ada\\)"):
        file.revoke("bob")
    with pytest.raises(BadRequest, match="no scope named 'infr'; did you mean 'infer'\\?"):
        file.new("bob", ["infr"])
    for name in ("", "x" * 101, "a\nb"):
        with pytest.raises(BadRequest, match="1 to 100 printable characters"):
            file.new(name)
    with pytest.raises(BadRequest, match="`days` must be positive"):
        file.new("bob", days=-1)
    assert len(file.read()) == 1


def test_a_broken_file_is_named_and_not_taken_for_an_empty_one(file):
    file.path.write_text('[{"name":')
    with pytest.raises(SpecError, match=r"cannot read the API keys in .*keys\.json"):
        file.read()
    with pytest.raises(SpecError, match="restore it"):
        file.new("ada")


def test_several_processes_may_add_at_once(file, tmp_path):
    code = "import sys; from pathlib import Path; from roadworthy.app.keys import KeyFile\n"
    code += "print(flush=True); input()\n"
    code += "for i in range(40): KeyFile(Path(sys.argv[1])).new(sys.argv[2] + str(i))"
    adding = [
        subprocess.Popen([sys.executable, "-c", code, tmp_path, name], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for name in ("a", "b")
    ]
    for process in adding:
        process.stdout.readline()
    for process in adding:  # both are there: now they begin together
        process.stdin.write(b"\n")
        process.stdin.flush()
    for process in adding:
        process.communicate(timeout=30)
    assert len({key.name for key in file.read()}) == 80


def test_use_is_noted_and_never_moves_back(file):
    file.new("ada")
    digest = file.read()[0].digest
    for at in (5.0, 3.0):
        file.mark_used({digest: at, "of nobody": 9.0})
    assert file.read()[0].used == 5.0
