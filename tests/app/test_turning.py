"""Late labels turn a dial, and a server answers by it from then on, also after it was started anew."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from roadworthy.app.deployment import Deployment
from roadworthy.cli.dialling import Dialling
from roadworthy.core.dials import Dial
from roadworthy.core.record import Label
from roadworthy.core.wire import Request, Tensor
from roadworthy.registry.releases import Registry
from roadworthy.store.dials import newest_dials, put_dial

ADAPTIVE = {
    "adaptive": {"leaf": {"lac": {"output": "probability"}}, "scores": [0.2, 0.4, 0.6, 0.8], "target": 0.5, "step": 0.1}
}


def ask(id: str) -> Request:
    return Request(id, {"x": Tensor("x", "FP32", (1,), [1.0])}, at=1.0)


@pytest.fixture
def following(state, made) -> str:
    """A stable release whose prediction sets follow late labels."""
    registry = Registry(state)
    plain = registry.get(made("0.25"))
    release = registry.add(replace(plain, wrappers=(ADAPTIVE,)), registry.files(plain))
    registry.point("toy", "stable", release.digest, 1.0, "test", "first")
    return release.digest


def told(state, spec, *stories) -> list[str]:
    """What the path says of the dial in the answers to some requests; a story between two is called in a thread."""

    async def main() -> list[str]:
        deployment = Deployment(state, Registry(state), spec, "toy", now=lambda: 9.0)
        said = []
        try:
            for number, story in enumerate((None, *stories)):
                if story is not None:
                    await asyncio.to_thread(story)
                await deployment.sync()
                answer = await deployment(ask(f"r{number}"))
                said += [step.because for step in answer.path if step.at == "adaptive"]
        finally:
            await deployment.close()
        return said

    return asyncio.run(main())


def test_labels_that_come_late_turn_what_answers(state, spec, following, tmp_path):
    dialling = Dialling(state, Registry(state), "toy", spec.root)

    def labels_come() -> None:
        state.records.write_labels([Label("r0", 1.0, 5.0)])
        assert [dial.n for dial in dialling.follow(6.0)] == [1]

    def nothing_comes() -> None:
        assert dialling.follow(7.0) == []

    before, after, same = told(state, spec, labels_come, nothing_comes)
    assert before.endswith("0 labels")
    assert after.endswith("1 labels")
    assert after == same
    assert told(state, spec) == [same], "a server that starts anew goes on where the dial stands"


def test_no_label_is_followed_twice_after_a_restart(state, spec, following):
    told(state, spec, lambda: None)
    state.records.write_labels([Label("r0", 1.0, 5.0)])
    Dialling(state, Registry(state), "toy", spec.root).follow(6.0)
    state.records.write_labels([Label("r1", 0.0, 7.0)])
    anew = Dialling(state, Registry(state), "toy", spec.root)
    assert [dial.n for dial in anew.follow(8.0)] == [2]
    assert Dialling(state, Registry(state), "toy", spec.root).follow(9.0) == []


def test_the_labels_of_other_releases_turn_nothing(state, spec, following, made):
    registry = Registry(state)
    registry.point("toy", "stable", made("0.75"), 2.0, "test", "another")
    told(state, spec)
    registry.point("toy", "stable", following, 3.0, "test", "back")
    state.records.write_labels([Label("r0", 1.0, 5.0)])
    assert Dialling(state, registry, "toy", spec.root).follow(6.0) == []
    assert newest_dials(state.engine, "toy", following) == {}


def test_a_dial_that_the_handler_cannot_read_leaves_it_as_it_was(state, spec, made, caplog):
    registry = Registry(state)
    plain = registry.get(made("0.25"))
    start = {"recalibrated": {"start": {"calibrated": {"slope": 1.0}}, "dial": "calibration"}}
    release = registry.add(replace(plain, wrappers=(start,)), registry.files(plain))
    registry.point("toy", "stable", release.digest, 1.0, "test", "first")
    put_dial(state.engine, "toy", release.digest, Dial("calibration", 2.0, {"nonsense": 1.0}, 5, "by hand"))
    told(state, spec)
    assert "stays where it is" in caplog.text
