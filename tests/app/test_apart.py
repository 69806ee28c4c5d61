"""What a release does in a process of its own hurts nobody here, and whatever goes wrong there is told."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from roadworthy.app.apart import Apart
from roadworthy.app.apart_process import Allowance
from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.errors import Overloaded, RoadworthyError
from roadworthy.core.spec import Field, Serving, Signature
from roadworthy.core.wire import Request, Tensor
from roadworthy.serve.assemble import Recipe

CODE = """
import os
import time

import numpy as np


def predict(columns):
    asked = float(columns["x"].max())
    if (columns["x"] == 1).any():
        raise ArithmeticError("no wind")
    if asked == 2:
        time.sleep(1000)
    if asked == 3:
        os._exit(7)
    if asked == 4:
        os.kill(os.getpid(), 11)
    return {"y": columns["x"].reshape(-1) * 0 + os.getpriority(os.PRIO_PROCESS, 0)}


def stopped(columns):
    raise SystemExit("no licence")
"""


@pytest.fixture
def recipe(tmp_path) -> Callable[..., Recipe]:
    (tmp_path / "code.py").write_text(CODE)

    def make(function: str = "predict", hang_seconds: float = 60.0) -> Recipe:
        model = Artifact("model", "0" * 64, 0, f'{{"function": {{"code": "code.py:{function}"}}}}')
        release = Release("toy", (model,), Signature({"x": Field()}, {"y": Field()}))
        files = {"model": str(tmp_path / "code.py")}
        return Recipe(release, files, str(tmp_path), Serving(hang_seconds=hang_seconds))

    return make


def asked(x: float) -> Request:
    return Request(f"r{x:g}", {"x": Tensor("x", "FP32", (1,), [x])}, 1.0, shadow=True)


def within(story: Callable[[], object], seconds: float = 20.0) -> None:
    async def main() -> None:
        async with asyncio.timeout(seconds):
            await story()  # type: ignore[misc]

    asyncio.run(main())


def test_it_answers_from_a_process_of_the_lowest_priority_and_errors_come_back_in_words(recipe) -> None:
    async def story() -> None:
        apart = Apart(recipe())
        first, failed, second = await asyncio.gather(*map(apart, map(asked, (0, 1, 5))), return_exceptions=True)
        assert [first.outputs["y"].data[0], second.outputs["y"].data[0]] == [19, 19]
        assert isinstance(failed, RoadworthyError)
        assert "ArithmeticError: no wind" in str(failed)
        assert (apart.starts, apart.stopped) == (1, "")
        assert apart.pid not in (0, os.getpid())
        apart.close()

    within(story)


@pytest.mark.parametrize("fault", [3, 4])
def test_a_process_that_dies_is_started_again_until_it_has_died_too_often(recipe, fault: int) -> None:
    async def story() -> None:
        apart = Apart(recipe(), most_starts=2)
        for _ in range(2):
            with pytest.raises(Overloaded, match="the process of the model is gone"):
                await apart(asked(fault))
        assert apart.stopped == "its process ended 2 times and is not started again"
        with pytest.raises(Overloaded, match="is not started again"):
            await apart(asked(0))
        assert apart.starts == 2

    within(story)


def test_a_release_that_hangs_is_given_up_after_a_time_with_the_reason(recipe) -> None:
    async def story() -> None:
        apart = Apart(recipe(hang_seconds=0.2), most_starts=2)
        for _ in range(2):
            with pytest.raises(RoadworthyError, match=r"did not answer for 0\.2 s, and its process was ended"):
                await apart(asked(2))
        assert "not started again" in apart.stopped
        assert apart.pid == 0

    within(story)


def test_after_a_hang_a_new_process_answers(recipe) -> None:
    async def story() -> None:
        apart = Apart(recipe(hang_seconds=0.2))
        with pytest.raises(RoadworthyError, match="did not answer"):
            await apart(asked(2))
        assert (await apart(asked(0))).outputs["y"].data[0] == 19
        assert (apart.starts, apart.stopped) == (2, "")
        apart.close()

    within(story)


def test_a_release_that_cannot_be_loaded_is_tried_once(recipe) -> None:
    async def story() -> None:
        apart = Apart(recipe("stopped"))
        for _ in range(2):
            with pytest.raises(
                RoadworthyError, match="cannot be loaded in a process of its own: SystemExit: no licence"
            ):
                await apart(asked(0))
        assert apart.starts == 1

    within(story)


def test_a_hung_process_dies_with_its_server(recipe, tmp_path, until) -> None:
    """The server is a process that is killed while the model sleeps."""

    async def main() -> None:
        apart = Apart(recipe())
        hung = asyncio.ensure_future(apart(asked(2)))
        while not apart.pid:  # noqa: ASYNC110 the process is about to load
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        (tmp_path / "pid.new").write_text(str(apart.pid))
        (tmp_path / "pid.new").rename(tmp_path / "pid")
        await hung

    server = os.fork()
    if not server:
        try:
            asyncio.run(main())
        finally:
            os._exit(1)
    until((tmp_path / "pid").exists)
    os.kill(server, signal.SIGKILL)
    os.waitpid(server, 0)
    child = int((tmp_path / "pid").read_text())
    until(lambda: not _lives(child))


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"
    except FileNotFoundError:
        return False


def test_an_allowance_lets_a_burst_pass_and_then_holds_to_its_share() -> None:
    allowance = Allowance(0.5, now=0.0, used=0.0)
    assert allowance.owed(1.0, 0.25) == 0.0
    assert allowance.owed(1.0, 0.75) == pytest.approx(0.5)
    now, used = 1.5, 0.75
    for _ in range(200):
        now, used = now + 0.05, used + 0.05  # it computes all the time
        now += allowance.owed(now, used)
    assert (used - 0.75) / (now - 1.5) == pytest.approx(0.5, abs=0.01)


def test_an_impossible_share_is_refused(recipe) -> None:
    with pytest.raises(ValueError, match=r"`most_cpu_share` must be above 0 and at most 1, got 0"):
        Apart(replace(recipe()), most_cpu_share=0)
