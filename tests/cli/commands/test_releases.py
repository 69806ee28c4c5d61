"""`roadworthy releases`, `diff` and `lineage` answer for what is and was in production."""

from __future__ import annotations

import time

import pytest

from roadworthy.registry.releases import Registry


@pytest.fixture
def digest(released, state) -> str:
    """The stable release."""
    return Registry(state).alias("clinic", "stable") or ""


@pytest.fixture
def second(call, released, rewrite) -> str:
    """A release of the same model with another setting."""
    rewrite("  engine: onnx", "  engine: {onnx: {threads: 2}}")
    return str(call("release", "--project", released, "--by", "ben", "--json").body["digest"])


def test_releases_are_listed_with_what_they_are_now(call, released, digest, second):
    body = call("releases", "--project", released, "--json").body
    assert body["total"] == 2
    assert {r["digest"]: r["aliases"] for r in body["releases"]} == {digest: ["clinic/stable"], second: []}
    assert second[:8] in call("releases", "--project", released).out


def test_what_was_in_production_at_a_time_is_answered(call, released, digest):
    told = call("releases", "at", "1h ago", "--project", released, "--json")
    assert told.body["aliases"] == {}
    time.sleep(1.1)
    now = call("releases", "at", "1s ago", "--project", released)
    assert digest[:12] in now.out
    assert digest[:12] in call("releases", "at", "now", "--project", released).out
    assert "roadworthy releases at" in call("releases", "at", "--project", released).err


def test_who_made_a_release_cannot_approve_it_and_others_can(call, released, second, rewrite):
    rewrite("cost: {", "promotion: {approvals: 1}\ncost: {")
    assert call("releases", "may", second, "--project", released).code == 3
    own = call("releases", "approve", second, "--by", "ben", "--why", "mine", "--project", released)
    assert (own.code, "ask somebody else" in own.err) == (2, True)
    assert call("releases", "approve", second, "--by", "ada", "--why", "looked", "--project", released).code == 0
    assert call("releases", "may", second, "--project", released).code == 0
    assert "release approved" in call("audit", "--project", released).out


def test_a_release_is_signed_with_a_key_that_is_made_once(call, released, digest, tmp_path):
    key = tmp_path / "key.pem"
    public = call("releases", "key", key, "--json").body["public"]
    assert call("releases", "key", key).code == 2
    assert call("releases", "sign", digest, "--key", key, "--project", released).code == 0
    assert public.startswith("ed25519:")
    assert "which release?" in call("releases", "sign", "--key", key, "--project", released).err
    assert "--key FILE" in call("releases", "sign", digest, "--project", released).err


def test_a_held_release_is_not_collected(call, released, digest, second, state):
    held = call("releases", "hold", second, "--by", "ada", "--why", "the audit of May", "--project", released, "--json")
    collected = call("releases", "collect", "--least-hours", "0", "--really", "--project", released, "--json").body
    assert collected["releases"] == []
    assert call("releases", "lift", held.body["seq"], "--why", "over", "--project", released).code == 0
    told = call("releases", "collect", "--least-hours", "0", "--project", released)
    assert "1 releases and 0 files: would free" in told.out
    gone = call("releases", "collect", "--least-hours", "0", "--really", "--project", released, "--json").body
    assert [r["digest"] for r in gone["releases"]] == [second]
    assert [r.digest for r in Registry(state).list()] == [digest]
    assert "takes the number of a hold" in call("releases", "lift", "x", "--project", released).err


def test_two_releases_are_set_side_by_side(call, released, digest, second):
    told = call("diff", digest, second, "--project", released)
    assert (told.code, "threads" in told.out) == (1, True)
    assert call("diff", digest, "--project", released).code == 0
    assert "no release with the digest 'ffff'" in call("diff", "ffff", "--project", released).err


def test_the_lineage_is_drawn(call, lived):
    told = call("lineage", "--project", lived)
    assert told.code == 0
    body = call("lineage", "--project", lived, "--json").body
    assert body["of"][:8] in told.out
    assert call("lineage", "--mermaid", "--project", lived).out.startswith(("graph", "flowchart"))
