"""A signature by a trusted key lets a release be loaded; nothing else does."""

from __future__ import annotations

import stat
import subprocess
import sys

import pytest
from sqlalchemy import update

from roadworthy.core.errors import BadData, Denied, Missing, SpecError, Taken
from roadworthy.core.spec import Promotion
from roadworthy.registry.keeping.signing import make_key, sign, trusted_keys
from roadworthy.registry.releases import Registry


@pytest.fixture
def key(tmp_path):
    return tmp_path / "key.pem", make_key(tmp_path / "key.pem")


def test_the_private_key_is_for_its_owner_only_and_never_overwritten(key, tmp_path):
    file, public = key
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert public.startswith("ed25519:")
    with pytest.raises(Taken, match="a key is never overwritten"):
        make_key(file)
    with pytest.raises(BadData, match="cannot write the key"):
        make_key(tmp_path / "nowhere" / "key.pem")


def test_a_signed_release_is_loaded_and_the_signature_told(state, made, key, deeds):
    file, public = key
    registry, release = Registry(state, Promotion(signed=True, trusted=(public,))), made()
    signed = registry.sign(release.digest[:12], file, 5.0, "build")
    assert (signed.digest, signed.key) == (release.digest, public)
    assert registry.verify(release.digest) == [public]
    assert registry.files(registry.get(release.digest))["model"].read_bytes() == b"weights"
    assert deeds()[-1] == ("build", "release signed", release.digest)


def test_signing_again_changes_nothing(registry, made, key, deeds):
    digest = made().digest
    first = registry.sign(digest, key[0], 5.0, "build")
    before = deeds()
    registry.sign(digest, key[0], 6.0, "build")
    assert (registry.signatures(digest), deeds()) == ([first], before)


def test_an_unsigned_release_is_not_loaded(state, made, key):
    registry = Registry(state, Promotion(signed=True, trusted=(key[1],)))
    with pytest.raises(Denied, match="needs a signature by a trusted key, and it is not signed; sign it with one of"):
        registry.files(made())


def test_a_signature_by_a_stranger_is_named(state, made, key, tmp_path):
    stranger = make_key(tmp_path / "stranger.pem")
    registry, release = Registry(state, Promotion(signed=True, trusted=(key[1],))), made()
    registry.sign(release.digest, tmp_path / "stranger.pem", 5.0, "mallory")
    with pytest.raises(Denied) as refusal:
        registry.files(release)
    assert f"it is signed only by '{stranger}'" in str(refusal.value)


def test_a_signature_that_was_edited_or_taken_from_another_release_is_found(state, made, key):
    file, public = key
    registry, release, other = Registry(state, Promotion(signed=True, trusted=(public,))), made(), made(made_at=2.0)
    registry.sign(release.digest, file, 5.0, "build")
    table, genuine = state.tables["signatures"], sign(release.digest, file)[1]
    for forged in (sign(other.digest, file)[1], bytes([genuine[0] ^ 1]) + genuine[1:], b"short"):
        with state.engine.begin() as connection:
            connection.execute(update(table).values(signature=forged))
        with pytest.raises(Denied, match=f"the signature of release {release.digest[:12]} by .* is wrong"):
            registry.files(release)


def test_trusted_keys_may_be_files_of_the_project(state, made, key, tmp_path):
    file, public = key
    registry = Registry(state, Promotion(signed=True, trusted=("key.pem.pub",)), root=tmp_path)
    release = made()
    registry.sign(release.digest, file, 5.0, "build")
    assert registry.verify(release.digest) == [public]


@pytest.mark.parametrize("trusted", ["ed25519:AAAA", "ed25519:!!", "nowhere.pem", "key.pem"])
def test_a_trusted_key_that_is_none_is_named(key, tmp_path, trusted):
    with pytest.raises(SpecError, match=f"trusted key '{trusted}' "):
        trusted_keys([trusted], tmp_path)


def test_keys_of_another_kind_are_refused(tmp_path):
    subprocess.run(["openssl", "genpkey", "-algorithm", "x25519", "-out", str(tmp_path / "x.pem")], check=True)
    subprocess.run(["openssl", "pkey", "-in", str(tmp_path / "x.pem"), "-pubout", "-out", str(tmp_path / "x.pub")])
    with pytest.raises(BadData, match="holds a X25519PrivateKey, not an Ed25519 key"):
        sign("0" * 64, tmp_path / "x.pem")
    with pytest.raises(SpecError, match="holds a X25519PublicKey, not an Ed25519 key"):
        trusted_keys(["x.pub"], tmp_path)


def test_a_key_that_cannot_be_read_is_named(registry, made, tmp_path):
    (tmp_path / "text.pem").write_text("not a key")
    with pytest.raises(BadData, match=r"text.pem` is not a private key"):
        registry.sign(made().digest, tmp_path / "text.pem", 1.0, "build")
    with pytest.raises(Missing, match="cannot read the key"):
        registry.sign(made().digest, tmp_path / "gone.pem", 1.0, "build")


def test_asking_for_signatures_without_a_trusted_key_is_an_error(state, made):
    with pytest.raises(SpecError, match=r"`promotion.trusted` names no key"):
        Registry(state, Promotion(signed=True)).files(made())


def test_without_the_extra_it_is_named(tmp_path):
    code = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from pathlib import Path; from roadworthy.registry.keeping.signing import make_key\n"
        f"try: make_key(Path({str(tmp_path / 'key')!r}))\n"
        "except ImportError as gone: print(gone)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told == "a signature needs `cryptography`: pip install 'roadworthy[sign]'\n"
