from __future__ import annotations

import asyncio
import time

import pytest

from roadworthy.testing.virtual_clock import VirtualLoop, VirtualThread, run


def test_hours_pass_in_a_moment_and_timers_fire_in_their_order() -> None:
    async def main(loop: VirtualLoop) -> list[tuple[str, float]]:
        told: list[tuple[str, float]] = []

        async def nap(name: str, seconds: float) -> None:
            await asyncio.sleep(seconds)
            told.append((name, loop.time()))

        await asyncio.gather(nap("late", 7200), nap("soon", 1), nap("later", 7200.5))
        return told

    began = time.monotonic()
    assert run(main) == [("soon", 1.0), ("late", 7200.0), ("later", 7200.5)]
    assert time.monotonic() - began < 60


def test_whoever_blocks_in_the_loop_makes_all_timers_late() -> None:
    async def main(loop: VirtualLoop) -> float:
        woken = loop.create_future()
        loop.call_later(1.0, lambda: woken.set_result(loop.time()))
        loop.sleep(5.0)
        return await woken

    assert run(main) == 5.0


def test_a_virtual_thread_takes_time_while_the_loop_goes_on() -> None:
    async def main(loop: VirtualLoop) -> list[tuple[str, float]]:
        told: list[tuple[str, float]] = []
        thread, both = VirtualThread(loop), loop.create_future()

        def work(name: str) -> None:
            loop.sleep(3.0)
            loop.call_soon_threadsafe(done, name)

        def done(name: str) -> None:
            told.append((name, loop.time()))
            if name == "second":
                both.set_result(None)

        thread(lambda: work("first"))
        thread(lambda: work("second"))
        loop.call_later(1.0, lambda: told.append(("loop", loop.time())))
        assert thread.alive
        await both
        assert not thread.alive
        return told

    assert run(main) == [("loop", 1.0), ("first", 3.0), ("second", 6.0)]


def test_a_wait_for_nothing_is_told_at_once() -> None:
    async def main(loop: VirtualLoop) -> None:
        await loop.create_future()

    with pytest.raises(RuntimeError, match="nothing is scheduled any more at second 0, and somebody still waits"):
        run(main)
