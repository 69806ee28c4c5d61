"""Which release answers whom on each kind of stage, and on which arm it is recorded."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest
from msgspec.structs import replace

from roadworthy.app.stack import Arranger, Loaded, Stack
from roadworthy.core.artifact import Release
from roadworthy.core.spec import Spec
from roadworthy.core.wire import Request, Response, Tensor
from roadworthy.registry.releases import Registry
from roadworthy.rollout.traffic import Traffic
from roadworthy.route.policies.split import Split
from roadworthy.serve.assemble import Recipe, assemble


def asked(k: int, origin: str = "LGA") -> Request:
    tags = {"origin": origin, "tenant": f"tenant {k % 7}"}
    return Request(f"r{k}", {"x": Tensor("x", "FP32", (1,), [1.0])}, 1.0, f"user {k}", tags)


@pytest.fixture
def loaded(state, spec: Spec, made):
    """`loaded(content)`: a release in memory that answers the number `content`."""

    def load(content: str) -> Loaded:
        registry = Registry(state)
        release: Release = registry.get(made(content))
        handler = assemble(release, registry.files(release), spec.root, spec.serving)
        handler.warm_up()
        return Loaded(release.digest, handler)

    return load


@pytest.fixture
def recipe(state, spec: Spec, made):
    """`recipe(content)`: what it takes to run a release that answers the number `content` elsewhere."""

    def of(content: str) -> Recipe:
        registry = Registry(state)
        release: Release = registry.get(made(content))
        return Recipe.of(release, registry.files(release), spec.root, spec.serving)

    return of


def tell(state, arranger: Arranger, stack: Stack, requests: list[Request]) -> list[Response]:
    async def main() -> list[Response]:
        answers = [await stack.ask(stack.handler, request) for request in requests]
        if stack.shadow is not None:
            await stack.shadow.drain()
        return answers

    return asyncio.run(main())


def arms(state) -> dict[str, Counter[str]]:
    """Of each release, how many rows were recorded on which arm."""
    found: dict[str, Counter[str]] = {}
    for (release, arm), n in state.records.counts().items():
        found.setdefault(release, Counter())[arm] = n
    return found


def value(response: Response) -> float:
    assert isinstance(response.outputs, dict)
    return float(response.outputs["probability"].data[0])


@pytest.mark.parametrize("mode", ["canary", "ab"])
def test_the_candidate_of_a_canary_and_of_an_ab_test_answers_its_share_on_the_arm_canary(state, spec, loaded, mode):
    old, new = loaded("0.25"), loaded("0.75")
    arranger = Arranger(spec, state.records.append)
    stack = arranger(Traffic(old.digest, new.digest, mode, 0.4, "salt"), old, new, None)
    answers = tell(state, arranger, stack, [asked(k) for k in range(60)])
    split = Split(0.4, "salt")
    assert [a.arm for a in answers] == [split.arm(asked(k)) for k in range(60)]
    assert {(a.arm, value(a)) for a in answers} == {("stable", 0.25), ("canary", 0.75)}
    up = sum(a.arm == "canary" for a in answers)
    assert arms(state) == {old.digest: {"stable": 60 - up}, new.digest: {"canary": up}}


def test_a_holdback_keeps_the_last_keys_on_the_former_release(state, spec, loaded):
    old, new = loaded("0.25"), loaded("0.75")
    arranger = Arranger(spec, state.records.append)
    stack = arranger(Traffic(new.digest, old.digest, "holdback", 0.2, "salt"), new, old, None)
    answers = tell(state, arranger, stack, [asked(k) for k in range(60)])
    assert {(a.arm, value(a)) for a in answers} == {("stable", 0.75), ("holdback", 0.25)}
    held = [k for k in range(60) if answers[k].arm == "holdback"]
    # Whoever is held back would have been the last to see the candidate in a ramp.
    assert held == [k for k in range(60) if Split(0.8, "salt").arm(asked(k)) == "stable"]
    assert arms(state) == {new.digest: {"stable": 60 - len(held)}, old.digest: {"holdback": len(held)}}


@pytest.mark.parametrize(("mode", "where_value"), [("canary", 0.25), ("holdback", 0.25)])
def test_requests_outside_of_where_are_answered_by_stable(state, spec, loaded, mode, where_value):
    stable, other = loaded("0.25"), loaded("0.75")
    arranger = Arranger(spec, state.records.append)
    wanted = Traffic(stable.digest, other.digest, mode, 0.5, "salt", "origin=LGA")
    stack = arranger(wanted, stable, other, None)
    outside = tell(state, arranger, stack, [asked(k, "JFK") for k in range(20)])
    assert {(a.arm, value(a)) for a in outside} == {("stable", where_value)}
    inside = tell(state, arranger, stack, [asked(k + 100) for k in range(40)])
    assert {value(a) for a in inside} == {0.25, 0.75}


def test_a_tag_keeps_callers_together(state, spec, loaded):
    old, new = loaded("0.25"), loaded("0.75")
    arranger = Arranger(spec, state.records.append)
    stack = arranger(Traffic(old.digest, new.digest, "canary", 0.5, "salt", "", "tenant"), old, new, None)
    answers = tell(state, arranger, stack, [asked(k) for k in range(70)])
    arms_of = {(k % 7, answers[k].arm) for k in range(70)}
    assert len(arms_of) == 7
    assert {arm for _, arm in arms_of} == {"stable", "canary"}


def test_a_shadow_is_shown_the_callers_of_its_share_and_its_process_outlives_the_stack(state, spec, loaded, recipe):
    old, candidate = loaded("0.25"), recipe("0.75")
    arranger = Arranger(spec, state.records.append)
    wanted = Traffic(old.digest, candidate.release.digest, "shadow", 0.3, "salt", "origin=LGA")

    async def main():
        new = await arranger.mirrored(candidate)
        stack = arranger(wanted, old, new, None)
        requests = [asked(k, ("LGA", "JFK")[k % 2]) for k in range(60)]
        answers = [await stack.ask(stack.handler, request) for request in requests]
        await stack.shadow.drain()
        apart = new.handler
        pid, counts = apart.pid, stack.shadow.counts
        grown = arranger(replace(wanted, share=1.0, where=""), old, await arranger.mirrored(candidate), None)
        await grown.ask(grown.handler, asked(100))
        await grown.shadow.drain()
        assert (apart.pid, apart.starts) == (pid, 1)
        return requests, answers, counts

    requests, answers, counts = asyncio.run(main())
    assert {(a.arm, value(a)) for a in answers} == {("stable", 0.25)}
    chosen = {r.id for r in requests if Split(0.3, "salt", where="origin=LGA").chooses(r)}
    assert (counts["seen"], counts["mirrored"]) == (60, len(chosen))
    mirrored = state.records.read(arms=["shadow"])
    assert {r.id for r in mirrored} == {*chosen, "r100"}
    assert {r.outputs["probability"] for r in mirrored} == {0.75}
    assert all("model" in r.seconds for r in mirrored)


def test_the_stack_that_is_not_used_any_more_takes_the_process_along(state, spec, loaded, recipe, until):
    old, candidate = loaded("0.25"), recipe("0.75")
    arranger = Arranger(spec, state.records.append)

    async def main():
        new = await arranger.mirrored(candidate)
        stack = arranger(Traffic(old.digest, new.digest, "shadow", 1.0, "salt"), old, new, None)
        await stack.ask(stack.handler, asked(1))
        await stack.shadow.drain()
        return new.handler.pid

    pid = asyncio.run(main())
    until(lambda: not Path(f"/proc/{pid}").exists())
