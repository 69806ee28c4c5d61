"""The handler stack follows the store, and nobody who is being answered notices."""

from __future__ import annotations

import asyncio

import pytest

from roadworthy.app.deployment import Deployment
from roadworthy.core.errors import Missing, Overloaded
from roadworthy.core.spec import Rollout, Stage
from roadworthy.core.wire import Request, Tensor
from roadworthy.registry.releases import Registry
from roadworthy.rollout.controller import Controller
from roadworthy.store.events import read_events


def ask(id: str) -> Request:
    return Request(id, {"x": Tensor("x", "FP32", (1,), [1.0])}, at=1.0)


def follow(state, spec, story):
    """Run a story (a coroutine function) with a deployment that is closed at its end."""

    async def main():
        deployment = Deployment(state, Registry(state), spec, "toy", now=lambda: 9.0)
        try:
            return await story(deployment)
        finally:
            await deployment.close()

    return asyncio.run(main())


async def answers(deployment, n: int, prefix: str = "r") -> set[tuple[str, float]]:
    found = await asyncio.gather(*(deployment(ask(f"{prefix}{i}")) for i in range(n)))
    return {(r.arm, r.outputs["probability"].data[0]) for r in found}


def test_without_a_release_it_says_so_and_answers_nobody(state, spec):
    async def story(deployment):
        with pytest.raises(Missing, match="no stable release"):
            await deployment.sync()
        assert not deployment.ready
        with pytest.raises(Overloaded, match="'toy' has no release loaded"):
            deployment(ask("r"))

    follow(state, spec, story)


def test_the_stable_release_answers_and_every_answer_is_recorded(state, spec, made, tmp_path):
    stable = made("0.25")
    Registry(state).point("toy", "stable", stable, 1.0, "test", "first")

    async def story(deployment):
        assert await deployment.sync()
        assert not await deployment.sync()
        assert await answers(deployment, 5) == {("stable", 0.25)}
        assert deployment.versions == (stable,)
        assert deployment.ready

    follow(state, spec, story)
    assert state.records.counts() == {(stable, "stable"): 5}


def started(state, made, candidate: str, stage: Stage) -> tuple[str, str, Controller]:
    stable, other = made("0.25"), made(candidate)
    Registry(state).point("toy", "stable", stable, 1.0, "test", "first")
    controller = Controller(state, Registry(state), ())
    controller.start("toy", other, Rollout((stage,), ()), 2.0, "test")
    return stable, other, controller


def test_a_shadow_is_shown_every_request_and_answers_none(state, spec, made, tmp_path):
    stable, other, _ = started(state, made, "0.75", Stage("shadow"))

    async def story(deployment):
        await deployment.sync()
        assert await answers(deployment, 20) == {("stable", 0.25)}
        await deployment.drain()
        assert deployment.versions == (stable,)
        with pytest.raises(Missing):
            deployment.version(other)
        return deployment.status().shadow

    assert follow(state, spec, story) == {"in_flight": 0, "dropped": 0, "failed": 0}
    assert state.records.counts() == {(stable, "stable"): 20, (other, "shadow"): 20}


def test_a_canary_answers_its_share_and_promotion_makes_it_stable(state, spec, made, tmp_path):
    stable, other, controller = started(state, made, "0.75", Stage("canary", 0.5))

    async def story(deployment):
        await deployment.sync()
        assert await answers(deployment, 60) == {("stable", 0.25), ("canary", 0.75)}
        pinned = await deployment.version(other[:8])(ask("pinned"))
        assert pinned.release == other
        assert set(deployment.status().loaded) == {stable, other}
        controller.promote("toy", 3.0, "test", "good")
        assert await deployment.sync()
        assert await answers(deployment, 60, "later") == {("stable", 0.75)}
        assert deployment.status().loaded == [other]

    follow(state, spec, story)
    counts = state.records.counts()
    assert counts[stable, "stable"] + counts[other, "canary"] == 61
    assert counts[other, "stable"] == 60


def test_requests_under_way_end_on_the_stack_where_they_began(state, spec, made, tmp_path):
    stable, other = made(f"0.25 {tmp_path / 'go'}"), made("0.75")
    Registry(state).point("toy", "stable", stable, 1.0, "test", "first")

    async def story(deployment):
        await deployment.sync()
        early = asyncio.ensure_future(deployment(ask("early")))
        await asyncio.sleep(0)
        Registry(state).point("toy", "stable", other, 2.0, "test", "second")
        await deployment.sync()
        assert deployment.untidy
        late = await deployment(ask("late"))
        (tmp_path / "go").touch()
        first = await early
        await deployment.sync()
        assert not deployment.untidy
        assert deployment.status().loaded == [other]
        return first.outputs["probability"].data, late.outputs["probability"].data

    assert follow(state, spec, story) == ([0.25], [0.75])


@pytest.mark.parametrize("stage", [Stage("shadow"), Stage("canary", 0.5)])
def test_a_candidate_that_cannot_be_loaded_leaves_stable_alone(state, spec, made, tmp_path, stage):
    started(state, made, "no number", stage)

    async def story(deployment):
        await deployment.sync()
        assert await answers(deployment, 20) == {("stable", 0.25)}
        assert deployment.ready
        assert not await deployment.sync()
        assert await deployment.sync(again=True)
        return deployment.problem

    problem = follow(state, spec, story)
    assert "the candidate release" in problem
    assert "cannot be loaded" in problem
    assert [event.subject for event in read_events(state.engine, "load_failed")] == ["toy", "toy"]


def test_a_stable_release_that_cannot_be_loaded_leaves_the_one_before_answering(state, spec, made, tmp_path):
    first, broken = made("0.25"), made("no number")
    Registry(state).point("toy", "stable", first, 1.0, "test", "first")

    async def story(deployment):
        await deployment.sync()
        Registry(state).point("toy", "stable", broken, 2.0, "test", "second")
        await deployment.sync()
        assert await answers(deployment, 3) == {("stable", 0.25)}
        assert "the stable release" in deployment.problem
        assert not await deployment.sync()
        Registry(state).point("toy", "stable", first, 3.0, "test", "back")
        await deployment.sync()
        assert await answers(deployment, 3) == {("stable", 0.25)}
        return deployment.problem

    assert follow(state, spec, story) == ""
