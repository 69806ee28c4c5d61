"""A served cascade whose promise breaks sends every row on at once, and opens again with thresholds certified anew."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import numpy as np
import pytest

from roadworthy.app.apart import Apart
from roadworthy.app.deployment import Deployment
from roadworthy.app.turning import Turning
from roadworthy.cli import dialling
from roadworthy.cli.dialling import Dialling, cascade_standing
from roadworthy.core.artifact import Artifact, Member, Release
from roadworthy.core.dials import Dial
from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Field, Serving, Signature
from roadworthy.core.wire import Request, Response, Tensor
from roadworthy.observe.alerts import history
from roadworthy.observe.root_cause.change_log import changes
from roadworthy.registry.releases import Registry
from roadworthy.route.cascades.fits import CascadeFit, Level, Target
from roadworthy.route.cascades.standing import standing_text
from roadworthy.serve.assemble import Recipe
from roadworthy.store.dials import dial_history, newest_dials, put_dial

CODE = """
import numpy as np


def small(columns):
    return {"scores": np.stack([columns["x"].reshape(-1), 1 - columns["x"].reshape(-1)], 1)}


def large(columns):
    says = columns["truth"].reshape(-1)
    return {"scores": np.stack([0.01 + 0.98 * says, 0.99 - 0.98 * says], 1)}
"""
SIGNATURE = Signature({"x": Field(), "truth": Field()}, {"scores": Field(width=2)})
FIT = CascadeFit(
    Target(agreement=0.9), "traffic", (Level(keep_from=0.7, name="small"),), 9, 9, Measurement("delegation", 0.5, 9), ""
)


@pytest.fixture
def cascade(state, tmp_path) -> Callable[..., Release]:
    """`cascade(follow=...)`: a stable release of a small and a large model, and its files."""

    def make(**settings) -> Release:
        (tmp_path / "code.py").write_text(CODE)
        (tmp_path / "fit.json").write_bytes(msgspec.json.encode(FIT))
        names = ("small", "large")
        artifacts = tuple(Artifact(n, "", 0, engine=f'{{"function": {{"code": "code.py:{n}"}}}}') for n in names)
        plan = {"cascade": {"audit": 0.25, "over_hours": 0.0, **settings}}
        members = tuple(Member(name) for name in names)
        release = Release(
            "toy",
            (*artifacts, Artifact("policy", "", 0)),
            SIGNATURE,
            members=members,
            policy=msgspec.json.encode(plan).decode(),
        )
        files = {**dict.fromkeys(names, tmp_path / "code.py"), "policy": tmp_path / "fit.json"}
        registry = Registry(state)
        added = registry.add(release, files)
        registry.point("toy", "stable", added.digest, 1.0, "test", "first")
        return added

    return make


def rows(number: int, right: float, n: int = 400) -> Request:
    """Scores between one half and one, that name the class the large model names with this chance, and more if sure."""
    rng = np.random.default_rng(number)
    sure = rng.uniform(0.5, 1.0, n)
    truth = rng.random(n) < np.clip(right + 0.2 * (sure - 0.75), 0, 1)
    inputs = {"x": sure, "truth": truth.astype(float)}
    tensors = {name: Tensor(name, "FP32", (n,), values.tolist()) for name, values in inputs.items()}
    return Request(f"r{number}", tensors, float(number))


def words(response: Response) -> set[str]:
    return {response.row_path(k)[0].because.rpartition(": ")[2] for k in range(400)}


def served(state, spec, *story) -> list[set[str]]:
    """The words on the paths of requests, which are answered between what else happens in a story."""

    async def main() -> list[set[str]]:
        deployment, said = Deployment(state, Registry(state), spec, "toy", now=lambda: 9.0), []
        try:
            for step in story:
                await deployment.sync()
                if isinstance(step, Request):
                    said.append(words(await deployment(step)))
                else:
                    await asyncio.to_thread(step)
        finally:
            await deployment.close()
        return said

    return asyncio.run(main())


def watching(state, spec) -> Dialling:
    return Dialling(state, Registry(state), "toy", spec.root)


def standing(state, spec, release):
    return cascade_standing(state, "toy", release, Registry(state).files(release), spec.root)


def test_a_broken_promise_shuts_the_cascade_at_once_and_whoever_looks_after_it_is_told(state, spec, cascade):
    release, look = cascade(), watching(state, spec)
    good = [rows(k, 1.0) for k in range(2)]
    bad = [rows(k, 0.5) for k in range(2, 5)]
    story = (*good, lambda: look.follow(10.0), *bad, lambda: look.follow(20.0), rows(6, 0.5))
    *open_, shut = served(state, spec, *story)
    assert all(said == {"kept", "sent on"} for said in open_)
    assert shut == {"every row is sent on since the promise broke"}
    (alert,) = history(state.engine, "toy")
    assert (alert.detector, alert.status) == ("cascade", "raised")
    assert "agreement fell below 0.9" in alert.because
    assert [change.kind for change in changes(state, "toy", 11.0, 30.0)].count("dial_turned") == 1
    assert standing(state, spec, release).shut
    assert "until a release with a new fit" in standing_text(standing(state, spec, release))
    # Nothing opens it again, however good the times are.
    served(state, spec, *(rows(k, 1.0) for k in range(7, 12)), lambda: look.follow(30.0))
    assert standing(state, spec, release).shut


def test_a_refit_opens_it_again_with_thresholds_that_it_certified(state, spec, cascade):
    release, look = cascade(follow="refit"), watching(state, spec)
    bad = (rows(k, 0.5) for k in range(3))
    served(state, spec, *bad, lambda: look.follow(10.0))
    assert standing(state, spec, release).shut
    other = (rows(k, 0.87) for k in range(3, 16))
    (*_, said) = served(state, spec, *other, lambda: look.follow(20.0), rows(20, 0.87))
    assert said == {"kept", "sent on"}
    now = standing(state, spec, release)
    assert (now.shut, now.alarms) == (False, 1)
    assert now.levels[0].keep_from not in (None, 0.7)
    assert "thresholds learnt anew: agreement 0.9" in standing_text(now)
    assert [alert.status for alert in history(state.engine, "toy")] == ["raised", "resolved"]


def test_each_row_is_followed_once_whenever_the_follower_was_started_anew(state, spec, cascade):
    release = cascade(follow="refit", over_hours=1.0)
    served(state, spec, *(rows(k, 0.95) for k in range(4)))
    at_once = watching(state, spec)
    at_once.follow(10.0)
    (first,) = newest_dials(state.engine, "toy", release.digest).values()
    assert first.position == state.records.position() == 1600
    # What is not worth a dial of its own is not kept at once, and read again by the next process.
    served(state, spec, rows(5, 0.95))
    assert watching(state, spec).follow(11.0) == []
    assert newest_dials(state.engine, "toy", release.digest)["cascade"] == first
    watching(state, spec).follow(10.0 + dialling.KEEP_SECONDS)
    (last,) = dial_history(state.engine, "toy", release.digest, "cascade")[1:]
    assert (last.position, last.because) == (2000, first.because)


def test_it_comes_to_the_same_in_one_part_or_in_many(state, spec, cascade):
    release = cascade(follow="refit")
    served(state, spec, *(rows(k, 0.95) for k in range(4)))
    (follower,) = dialling.followers(release, Registry(state).files(release), spec.root)
    records = state.records.read(until=4.0)
    whole, stand = follower.follow(records, None, 5.0), None
    for start in range(0, len(records), 37):
        stand = follower.follow(records[start : start + 37], stand, 5.0) or stand
    assert stand.n == whole.n > 400
    for name, value in whole.value.items():
        assert stand.value[name] == pytest.approx(value), name


def test_what_is_told_to_stay_as_it_is_stays(state, spec, cascade):
    release, look = cascade(follow="never"), watching(state, spec)
    served(state, spec, *(rows(k, 0.5) for k in range(3)))
    assert look.follow(10.0) == []
    assert standing(state, spec, release) is None
    assert "nothing follows" in standing_text(None)


def test_the_process_of_a_shadow_turns_its_dials_too_also_after_it_died(state, spec, cascade):
    release = cascade()
    files = Registry(state).files(release)
    shut = Dial("cascade", 2.0, {"shut": 1.0, "opening": 2.0, "watched": 0.0, "purses": (0.0,) * 5}, 5, "it broke")

    async def story() -> list[set[str]]:
        apart = Apart(Recipe.of(release, files, spec.root, Serving(place="loop")))
        turning, said = Turning(state.engine, "toy"), []
        try:
            said.append(words(await apart(rows(1, 1.0))))
            put_dial(state.engine, "toy", release.digest, shut)
            await turning.turn_apart({release.digest: apart})
            said.append(words(await apart(rows(2, 1.0))))
            first = apart.pid
            apart._child.process.kill()
            while apart.pid == first:  # noqa: ASYNC110 it is about to be noticed
                await asyncio.sleep(0.01)
            said.append(words(await apart(rows(3, 1.0))))
        finally:
            apart.close()
        return said

    told = {"every row is sent on since the promise broke"}
    assert asyncio.run(asyncio.wait_for(story(), 30)) == [{"kept", "sent on"}, told, told]
