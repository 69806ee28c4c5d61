"""Releases never change, and what each alias meant at any time can be answered."""

from __future__ import annotations

import math
import threading
from uuid import uuid4

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.errors import BadData, Missing, SpecError, Taken
from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Field, Signature
from roadworthy.registry.releases import AliasChange

SIGNATURE = Signature({"radius": Field("number", unit="mm")}, {"probability": Field()})


def draft(name="clinic", made_at=1.0, **more):
    return Release(name, (Artifact("model", "", 0, engine="onnx"),), SIGNATURE, made_at=made_at, **more)


def test_adding_fills_in_digest_and_size(registry, model):
    release = registry.add(draft(), {"model": model})
    assert release.artifacts[0].bytes == 7
    assert registry.files(release)["model"].read_bytes() == b"weights"
    assert registry.get(release.digest) == release


def test_adding_the_same_again_changes_nothing(registry, model):
    assert registry.add(draft(), {"model": model}) == registry.add(draft(), {"model": model})
    assert len(registry.list()) == 1


def test_everything_that_a_release_holds_comes_back(registry, model):
    measured = (
        Measurement("auc", 0.78, 1000, 0.77, 0.79, conditions={"seed": 1}),
        Measurement("nothing", math.nan, 0),
        Measurement("half bounded", 1.0, 5, 0.5),
    )
    release = registry.add(
        draft(
            preprocessing=({"impute": {"columns": ["a"]}},),
            wrappers=("isotonic",),
            data={"train": "d" * 64},
            serving={"most_rows": 64},
            made_by="train.py:train",
            measured=measured,
            note="weekly",
        ),
        {"model": model},
    )
    found = registry.get(release.digest)
    assert found.digest == release.digest
    assert repr(found) == repr(release)


def test_a_beginning_of_the_digest_is_enough_when_it_is_the_only_one(registry, model):
    release = registry.add(draft(), {"model": model})
    assert registry.get(release.digest[:8]) == release


def test_a_beginning_of_several_digests_names_them(registry, model):
    # Of seventeen digests two begin with the same digit.
    digests = [registry.add(draft(made_at=float(k)), {"model": model}).digest for k in range(17)]
    digit = next(d for d in "0123456789abcdef" if sum(digest.startswith(d) for digest in digests) > 1)
    with pytest.raises(
        Missing, match=rf"several releases begin with '{digit}': {digit}\w+ \(clinic\), .*give more digits"
    ):
        registry.get(digit)


@pytest.mark.parametrize("digest", ["beef", "", "%", "_"])
def test_an_unknown_digest_names_the_newest(registry, model, digest):
    release = registry.add(draft(), {"model": model})
    with pytest.raises(Missing, match=rf"no release with the digest '{digest}' \(newest: {release.digest[:12]}\)"):
        registry.get(digest)


def test_an_unknown_file_name_proposes_the_artifact(registry, model):
    with pytest.raises(SpecError, match="no artifact named 'modle'; did you mean 'model'"):
        registry.add(draft(), {"modle": model})


def test_an_artifact_without_file_and_digest_is_refused(registry):
    with pytest.raises(SpecError, match="artifact 'model' has neither a file nor a digest"):
        registry.add(draft(), {})


def test_a_file_that_is_not_the_stated_one_is_refused(registry, model):
    stated = msgspec.structs.replace(draft(), artifacts=(Artifact("model", "f" * 64, 0),))
    with pytest.raises(SpecError, match=rf"has digest '\w+', not '{'f' * 64}'"):
        registry.add(stated, {"model": model})


def test_a_release_may_use_a_file_that_is_here_already(registry, model):
    first = registry.add(draft(), {"model": model})
    second = registry.add(msgspec.structs.replace(first, note="other settings"), {})
    assert second.artifacts == first.artifacts
    assert second.digest != first.digest


def test_a_damaged_file_is_not_served(registry, model):
    release = registry.add(draft(), {"model": model})
    registry.files(release)["model"].write_bytes(b"damaged")
    with pytest.raises(BadData, match="is damaged"):
        registry.files(release)


@pytest.mark.parametrize(
    ("there", "instead", "says"), [("clinic", "cynic", "has changed"), ("{", "", "cannot be read")]
)
def test_a_manifest_that_was_tampered_with_is_found_out(registry, state, model, there, instead, says):
    release = registry.add(draft(), {"model": model})
    with state.engine.begin() as connection:
        change = text("UPDATE releases SET manifest = replace(manifest, :there, :instead)")
        connection.execute(change, {"there": there, "instead": instead})
    for read in (lambda: registry.get(release.digest), registry.list):
        with pytest.raises(BadData, match=f"the manifest of release '{release.digest}' {says}"):
            read()


@pytest.mark.parametrize("measured", [Measurement("auc", math.inf, 3), Measurement("auc", 0.5, 3, low=math.nan)])
def test_a_value_that_json_cannot_keep_is_refused(registry, model, measured):
    with pytest.raises(SpecError, match="holds a value that JSON cannot keep"):
        registry.add(draft(measured=(measured,)), {"model": model})
    assert registry.list() == []


def test_releases_are_listed_from_the_oldest(registry, model):
    for at in (3.0, 1.0, 2.0):
        registry.add(draft(made_at=at), {"model": model})
    assert [release.made_at for release in registry.list()] == [1.0, 2.0, 3.0]


def test_lineage_goes_back_as_far_as_it_is_known(registry, model):
    first = registry.add(draft(parent="a" * 64), {"model": model})
    second = registry.add(draft(made_at=2.0, parent=first.digest), {"model": model})
    third = registry.add(draft(made_at=3.0, parent=second.digest), {"model": model})
    assert registry.lineage(third) == [third, second, first]


@pytest.fixture
def two(registry, model):
    return [registry.add(draft(made_at=float(k)), {"model": model}).digest for k in range(2)]


def test_what_was_in_production_at_a_time_is_answered(registry, two):
    old, new = two
    registry.point("clinic", "stable", old, 10.0, "anna", "first")
    registry.point("clinic", "stable", new, 20.0, "rollout", "every gate passed")
    registry.point("clinic", "stable", old, 25.0, "rollout", "errors")
    registry.point("clinic", "stable", None, 30.0, "anna", "retired")
    meant = [registry.alias("clinic", "stable", at) for at in (9.9, 10.0, 19.9, 20.0, 24.0, 25.0, 30.0, 99.0)]
    assert meant == [None, old, old, new, new, old, None, None]
    assert registry.alias("clinic", "stable") is None


def test_aliases_and_deployments_do_not_mix(registry, two):
    registry.point("clinic", "stable", two[0], 1.0, "anna", "")
    registry.point("clinic", "canary", two[1], 2.0, "anna", "")
    registry.point("other", "stable", two[1], 3.0, "anna", "")
    assert registry.alias("clinic", "stable") == two[0]
    assert registry.history("clinic", "canary") == [AliasChange(2, "clinic", "canary", two[1], 2.0, "anna", "")]
    assert [change.alias for change in registry.history("clinic")] == ["stable", "canary"]
    assert registry.history("nobody") == []


def test_pointing_with_a_beginning_of_the_digest_keeps_the_whole(registry, two):
    digits = next(n for n in range(1, 65) if two[0][:n] != two[1][:n])
    assert registry.point("clinic", "stable", two[0][:digits], 1.0, "anna", "").digest == two[0]


def test_an_unknown_release_cannot_be_pointed_at(registry):
    with pytest.raises(Missing, match="no release with the digest 'beef'"):
        registry.point("clinic", "stable", "beef", 1.0, "anna", "")
    assert registry.history("clinic") == []


def test_history_is_not_written_into_the_past(registry, two):
    registry.point("clinic", "stable", two[0], 1000.0, "anna", "")
    with pytest.raises(Taken, match=r"was changed at 1000.0, after `at`=10.0: history is only added to; use one clock"):
        registry.point("clinic", "stable", two[1], 10.0, "anna", "")
    with pytest.raises(SpecError, match="must be Unix seconds, got nan"):
        registry.point("clinic", "stable", two[1], math.nan, "anna", "")


def test_a_clock_that_steps_back_a_little_does_not_stop_a_rollback(registry, two):
    registry.point("clinic", "stable", two[0], 1000.0, "rollout", "promoted")
    assert registry.point("clinic", "stable", two[1], 999.5, "rollout", "rolled back").at == 1000.0
    assert registry.alias("clinic", "stable", 1000.0) == two[1]


@pytest.mark.parametrize("change", ["UPDATE aliases SET digest = NULL", "DELETE FROM aliases"])
def test_nobody_rewrites_history(registry, state, two, change):
    registry.point("clinic", "stable", two[0], 1.0, "anna", "")
    with pytest.raises(DBAPIError, match="append-only"), state.engine.begin() as connection:
        connection.execute(text(change))
    assert registry.alias("clinic", "stable") == two[0]


def test_many_threads_point_and_every_change_is_in_the_history(registry, two):
    def point(who):
        for k in range(8):
            registry.point("clinic", "stable", two[k % 2], float(k), who, "")

    threads = [threading.Thread(target=point, args=(who,)) for who in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    history = registry.history("clinic")
    assert len(history) == 24
    assert [change.at for change in history] == sorted(change.at for change in history)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(st.integers(0, 3), st.sampled_from([None, 0, 1])), max_size=8))
def test_the_alias_at_any_time_is_the_last_change_until_then(registry, two, steps):
    # The database outlives an example, so each has a deployment of its own.
    deployment, at, told = uuid4().hex, 0.0, []
    for gap, which in steps:
        at += gap
        digest = None if which is None else two[which]
        registry.point(deployment, "stable", digest, at, "anna", "")
        told.append((at, digest))
    for moment in range(int(at) + 2):
        expected = next((digest for when, digest in reversed(told) if when <= moment), None)
        assert registry.alias(deployment, "stable", float(moment)) == expected
