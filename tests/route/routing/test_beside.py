from __future__ import annotations

import asyncio
from typing import Any

import pytest

from roadworthy.app.drive import drive
from roadworthy.core.in_time import InTime
from roadworthy.route.routing.beside import Beside
from roadworthy.testing.virtual_clock import VirtualLoop, run


def waiting(loop: VirtualLoop, seconds: float, log: list[str] | None = None) -> Any:
    async def work() -> float:
        future = loop.create_future()
        timer = loop.call_later(seconds, future.set_result, None)
        try:
            await future
        except asyncio.CancelledError:
            timer.cancel()
            # Whoever resolves the future later must see that nobody waits for it.
            if log is not None and future.cancelled():
                log.append(f"cancelled {seconds}")
            raise
        return loop.time()

    return work()


def test_both_run_at_once_and_both_are_waited_for() -> None:
    async def main(loop: VirtualLoop) -> Any:
        return await Beside(waiting(loop, 3.0), waiting(loop, 5.0)), loop.time()

    assert run(main) == ((3.0, 5.0), 5.0)


def test_nobody_waits_for_the_second_where_one_is_impatient() -> None:
    log: list[str] = []

    async def main(loop: VirtualLoop) -> Any:
        return await Beside(waiting(loop, 3.0), waiting(loop, 5.0, log), patient=False), loop.time()

    assert run(main) == ((3.0, None), 3.0)
    assert log == ["cancelled 5.0"]


def test_an_impatient_wait_keeps_what_the_second_has_answered_before() -> None:
    async def main(loop: VirtualLoop) -> Any:
        return await Beside(waiting(loop, 3.0), waiting(loop, 1.0), patient=False)

    assert run(main) == (3.0, 1.0)


def test_an_error_of_either_is_handed_over_and_the_other_is_waited_for() -> None:
    async def failing() -> float:
        raise LookupError("gone")

    async def main(loop: VirtualLoop) -> Any:
        return await Beside(failing(), waiting(loop, 2.0))

    wrong, other = run(main)
    assert isinstance(wrong, LookupError)
    assert other == 2.0


def test_who_gives_up_the_wait_gives_up_both() -> None:
    log: list[str] = []

    async def main(loop: VirtualLoop) -> None:
        both = Beside(waiting(loop, 8.0, log), waiting(loop, 9.0, log))
        with pytest.raises(TimeoutError):
            await InTime(both, 4.0, loop.time)

    run(main)
    assert log == ["cancelled 8.0", "cancelled 9.0"]


def test_no_task_is_needed_and_a_bare_yield_is_a_turn_of_the_loop() -> None:
    async def turns(n: int) -> int:
        for _ in range(n):
            await asyncio.sleep(0)
        return n

    async def both() -> Any:
        return await Beside(turns(3), turns(5))

    async def main() -> Any:
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        drive(both(), lambda found, wrong: done.set_result((found, wrong)))
        return await done

    assert asyncio.run(main()) == ((3, 5), None)
