from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from roadworthy.serve.model_thread import ModelThread
from roadworthy.serve.watched import Watched
from roadworthy.testing.virtual_clock import VirtualLoop, VirtualThread, run


def working(
    loop: VirtualLoop, seconds: float, told: list[Any]
) -> tuple[Callable[[], float], Callable[[Any], None], Callable[[], None]]:
    def work() -> float:
        loop.sleep(seconds)
        return seconds

    return work, lambda result: told.append((loop.time(), result)), lambda: told.append((loop.time(), "hung"))


def test_work_that_comes_back_is_told_and_work_that_does_not_is_given_up() -> None:
    async def main(loop: VirtualLoop) -> tuple[list[Any], list[int]]:
        told: list[Any] = []
        watched = Watched(10.0, lambda: VirtualThread(loop), loop.time)
        watched(loop, *working(loop, 4.0, told))
        await asyncio.sleep(5.0)
        watched(loop, *working(loop, 500.0, told))
        await asyncio.sleep(15.0)
        stuck = [watched.stuck]
        watched(loop, *working(loop, 1.0, told))
        await asyncio.sleep(1000.0)
        return told, [*stuck, watched.stuck]

    told, stuck = run(main)
    assert told == [(4.0, 4.0), (15.0, "hung"), (21.0, 1.0)]
    assert stuck == [1, 0]


def test_there_is_one_timer_for_many_calls_and_none_when_idle() -> None:
    async def main(loop: VirtualLoop) -> None:
        told: list[Any] = []
        watched = Watched(10.0, lambda: VirtualThread(loop), loop.time)
        for _ in range(50):
            watched(loop, *working(loop, 0.01, told))
            await asyncio.sleep(0.1)
        assert len(told) == 50
        assert len(loop._scheduled) <= 2  # type: ignore[attr-defined]
        await asyncio.sleep(20.0)
        assert len(loop._scheduled) == 0  # type: ignore[attr-defined]

    run(main)


def test_a_thread_does_what_it_was_handed_and_ends_when_it_is_closed_or_forgotten() -> None:
    done = threading.Event()
    for end in ("close", "forget"):
        thread = ModelThread()
        thread(done.set)
        assert done.wait(10)
        real = thread._thread
        assert real.daemon
        if end == "close":
            thread.close()
        del thread
        real.join(10)
        assert not real.is_alive()


def test_a_hung_thread_is_left_behind_and_counted_until_it_comes_back() -> None:
    free, threads = threading.Event(), []

    def work() -> None:
        threads.append(threading.current_thread())
        free.wait(10)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        hung, back = loop.create_future(), loop.create_future()
        watched = Watched(0.05)
        watched(loop, work, back.set_result, lambda: hung.set_result(None))
        await hung
        assert watched.stuck == 1
        watched(loop, lambda: "second", back.set_result, lambda: None)
        assert await back == "second"
        free.set()
        threads[0].join(10)
        assert watched.stuck == 0
        watched.close()

    asyncio.run(main())


def test_no_patience_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="`hang_seconds` must be above 0, got 0"):
        Watched(0)
