"""The handler stack follows the store, and nobody who is being answered notices."""

from __future__ import annotations

import asyncio
import os
import subprocess

import pytest
from msgspec.structs import replace

from roadworthy.app.deployment import Deployment
from roadworthy.core.errors import Late, Missing, Overloaded
from roadworthy.core.spec import Rollout, Stage
from roadworthy.core.wire import Request, Response, Tensor
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
    controller = Controller(state, Registry(state))
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

    counts = follow(state, spec, story)
    assert {name: n for name, n in counts.items() if n} == {"seen": 20, "mirrored": 20}
    assert state.records.counts() == {(stable, "stable"): 20, (other, "shadow"): 20}


def test_a_shadow_whose_process_dies_too_often_is_told_to_whoever_decides(state, spec, made, until):
    _, other, controller = started(state, made, "0.75", Stage("shadow"))

    async def story(deployment):
        await deployment.sync()
        for k in range(3):
            await answers(deployment, 1, f"r{k}")
            await deployment.drain()
            await deployment.tell_stopped()
            assert not read_events(state.engine, "load_failed", "toy")
            kill = ["pkill", "-KILL", "-P", str(os.getpid()), "-f", "apart_process"]
            await asyncio.to_thread(subprocess.run, kill, check=True)
            await asyncio.sleep(0.3)
        await deployment.tell_stopped()
        await deployment.tell_stopped()

    follow(state, spec, story)
    (told,) = read_events(state.engine, "load_failed", "toy")
    assert told.data["release"] == other
    assert "its process ended 3 times" in told.data["error"]
    assert controller.look("toy", 10.0).status == "rolled_back"


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


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def test_a_model_that_nobody_asks_for_is_unloaded_and_comes_back_with_the_next_request(state, spec, made):
    stable = made("0.25")
    Registry(state).point("toy", "stable", stable, 1.0, "test", "first")

    async def story(deployment):
        deployment.spec = replace(spec, serving=replace(spec.serving, idle_seconds=60.0))
        deployment.clock = clock = Clock()
        await deployment.sync()
        await deployment.rest()
        clock.at = 59.0
        await deployment(ask("keeps it awake"))
        await deployment.rest()
        clock.at = 118.0
        await deployment.rest()
        assert deployment.status().loaded == [stable]
        clock.at = 119.0
        await deployment.rest()
        assert deployment.status().loaded == []
        assert deployment.rests
        assert deployment.ready
        assert deployment.versions == (stable,)
        assert not await deployment.sync()
        assert await answers(deployment, 20) == {("stable", 0.25)}
        assert not deployment.rests
        await deployment.rest()
        clock.at = 300.0
        await deployment.rest()
        return await deployment.version(stable[:8])(ask("by its version"))

    assert follow(state, spec, story).release == stable
    assert state.records.count() == 22


def test_whoever_cannot_wait_for_the_load_is_told_so_at_the_deadline(state, spec, made, tmp_path):
    stable = made("0.25")
    Registry(state).point("toy", "stable", stable, 1.0, "test", "first")

    async def story(deployment):
        deployment.spec = replace(spec, serving=replace(spec.serving, idle_seconds=1.0))
        deployment.clock = clock = Clock()
        await deployment.sync()
        for clock.at in (0.0, 2.0):
            await deployment.rest()
        async with deployment._changing:  # somebody else is loading, and takes long
            with pytest.raises(Late, match="still being loaded at the deadline"):
                await deployment(replace(ask("hurried"), deadline=clock.at + 0.01))
        assert await answers(deployment, 1) == {("stable", 0.25)}

    follow(state, spec, story)


def test_an_unloaded_model_answers_nobody_until_it_is_loaded(state, spec, made):
    stable = made("0.25")
    Registry(state).point("toy", "stable", stable, 1.0, "test", "first")

    async def story(deployment):
        await deployment.sync()
        await deployment.unload()
        assert not deployment.ready
        assert not await deployment.sync(again=True)
        with pytest.raises(Overloaded, match="'toy' was unloaded"):
            deployment(ask("r"))
        await deployment.load()
        return await answers(deployment, 1)

    assert follow(state, spec, story) == {("stable", 0.25)}


def test_a_stream_keeps_its_model_until_it_ends(state, spec, made, tmp_path):
    stable, other = made("0.25"), made("0.75")
    Registry(state).point("toy", "stable", stable, 1.0, "test", "first")

    async def pieces():
        for k in range(2):
            yield Tensor("token", "INT64", (1,), [k])

    async def story(deployment):
        await deployment.sync()
        stack = deployment._stack

        async def streams(request):
            return Response(request.id, pieces())

        response = await stack.ask(streams, ask("s"))
        assert [piece.data async for piece in one(response.outputs)] == [[0]]
        Registry(state).point("toy", "stable", other, 2.0, "test", "second")
        await deployment.sync()
        assert deployment.untidy
        assert [piece.data async for piece in response.outputs] == [[1]]
        await deployment.sync()
        assert not deployment.untidy

    follow(state, spec, story)


async def one(stream):
    """The first piece, without ending the stream."""
    yield await anext(stream)


@pytest.mark.parametrize(
    ("fallback", "answer"), [("previous", 0.25), ({"default": {"outputs": {"probability": 0.5}}}, 0.5)]
)
def test_a_model_that_fails_is_replaced_by_the_fallback_and_its_failure_stays_on_record(
    state, spec, made, tmp_path, fallback, answer
):
    first, second = made("0.25"), made("0.75")
    Registry(state).point("toy", "stable", first, 1.0, "test", "first")
    Registry(state).point("toy", "stable", second, 2.0, "test", "second")

    async def story(deployment):
        await deployment.sync()
        assert await answers(deployment, 3) == {("stable", 0.75)}
        deployment._loaded[second].core._runner.engine = fails
        return await deployment(ask("fallen"))

    def fails(columns):
        raise OSError("the model's disk is gone")

    spec = replace(spec, serving=replace(spec.serving, fallback=(fallback,)))
    response = follow(state, spec, story)
    assert (response.arm, response.outputs["probability"].data) == ("fallback", [answer])
    assert response.release == (first if fallback == "previous" else second)
    assert "the model's disk is gone" in response.path[0].because
    failed, fallen = sorted(state.records.get("fallen"), key=lambda record: record.error is None)
    assert (failed.arm, failed.release, fallen.arm) == ("stable", second, "fallback")


def test_a_canary_that_fails_is_replaced_by_the_stable_release(state, spec, made):
    stable, other, _ = started(state, made, "0.75", Stage("canary", 0.999))

    async def story(deployment):
        await deployment.sync()
        deployment._loaded[other].core._runner.engine = None  # whatever calls it fails
        return await deployment(ask("fallen"))

    spec = replace(spec, serving=replace(spec.serving, fallback=("previous",)))
    response = follow(state, spec, story)
    assert (response.arm, response.release, response.outputs["probability"].data) == ("fallback", stable, [0.25])
    assert {(r.arm, r.release, r.error is None) for r in state.records.get("fallen")} == {
        ("canary", other, False),
        ("fallback", stable, True),
    }
