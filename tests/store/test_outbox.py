"""What one loop hands in: one group a turn while the disk is free, one growing group while it is not."""

from __future__ import annotations

import asyncio
import threading

import pytest

from roadworthy.store.files import StoreError
from roadworthy.store.outbox import COMPANY, Outbox
from roadworthy.store.writer import MOST_ROWS
from roadworthy.testing import virtual_clock


class Disk:
    """Takes groups as a Writer does, and answers them when told."""

    def __init__(self):
        self.groups = []

    def put(self, group):
        self.groups.append(group)
        return False

    def answer(self, failure=None):
        """On another thread, as a real writer does."""
        thread = threading.Thread(target=self.groups[-1].then, args=(failure,))
        thread.start()
        thread.join()


def rows_of(things):
    return [(thing,) for thing in things]


def outbox_and_disk():
    disk = Disk()
    return Outbox(asyncio.get_running_loop(), disk, rows_of), disk


async def turn():
    for _ in range(3):
        await asyncio.sleep(0)


def test_a_turn_of_the_loop_is_one_group_and_the_next_waits_for_the_disk():
    async def main():
        outbox, disk = outbox_and_disk()
        first = [outbox.append(lambda k=k: [k]) for k in range(3)]
        await turn()
        assert [list(group.rows) for group in disk.groups] == [[(0,), (1,), (2,)]]
        second = outbox.append(lambda: "ab")
        third = outbox.append(lambda: "c")
        await turn()
        assert len(disk.groups) == 1
        assert not any(future.done() for future in (*first, second))
        disk.answer()
        await turn()
        assert all(future.done() for future in first)
        assert [list(group.rows) for group in disk.groups[1:]] == [[("a",), ("b",), ("c",)]]
        disk.answer()
        await asyncio.gather(second, third)
        outbox.append(lambda: "d")
        await turn()
        assert len(disk.groups) == 3

    asyncio.run(main())


def test_a_group_is_bounded():
    async def main():
        outbox, disk = outbox_and_disk()
        waiting = [outbox.append(lambda: range(MOST_ROWS // 2)) for _ in range(3)]
        await turn()
        assert [len(group.rows) for group in disk.groups] == [MOST_ROWS]
        disk.answer()
        await turn()
        assert [len(group.rows) for group in disk.groups] == [MOST_ROWS, MOST_ROWS // 2]
        disk.answer()
        await asyncio.gather(*waiting)

    asyncio.run(main())


def test_only_the_maker_of_a_fault_is_told_of_it():
    async def main():
        outbox, disk = outbox_and_disk()
        faulty = outbox.append(lambda: 1 / 0)
        sound = outbox.append(lambda: "a")
        await turn()
        disk.answer()
        assert isinstance((await asyncio.gather(faulty, return_exceptions=True))[0], ZeroDivisionError)
        await sound
        alone = outbox.append(lambda: 1 / 0)  # with nobody else there is no group, and the next one is not held up
        with pytest.raises(ZeroDivisionError):
            await alone
        outbox.append(lambda: "b")
        await turn()
        assert [list(group.rows) for group in disk.groups] == [[("a",)], [("b",)]]

    asyncio.run(main())


def test_what_the_disk_refuses_is_an_error_of_all_but_those_who_went_away():
    async def main():
        outbox, disk = outbox_and_disk()
        gone, there = outbox.append(lambda: "a"), outbox.append(lambda: "b")
        await turn()
        gone.cancel()
        disk.answer("the disk is full")
        with pytest.raises(StoreError, match="the disk is full"):
            await there

    asyncio.run(main())


def test_flushing_hands_over_at_once():
    async def main():
        outbox, disk = outbox_and_disk()
        outbox.append(lambda: "a")
        outbox.flush()
        assert [list(group.rows) for group in disk.groups] == [[("a",)]]

    asyncio.run(main())


def test_it_is_here_only_where_its_loop_runs():
    elsewhere = []

    async def main():
        outbox, _ = outbox_and_disk()
        thread = threading.Thread(target=lambda: elsewhere.append(outbox.here))
        thread.start()
        thread.join()
        return outbox, outbox.here

    outbox, inside = asyncio.run(main())
    assert (inside, elsewhere, outbox.here) == (True, [False], False)


def test_a_disk_that_is_done_at_once_keeps_nobody_waiting():
    async def main():
        outbox, disk = outbox_and_disk()
        disk.put = lambda group: disk.groups.append(group) is None
        first = outbox.append(lambda: "a")
        await turn()
        assert first.done()
        await asyncio.gather(outbox.append(lambda: "b"), outbox.append(lambda: "c"))
        assert [list(group.rows) for group in disk.groups] == [[("a",)], [("b",), ("c",)]]

    asyncio.run(main())


def test_under_load_groups_keep_their_distance_and_a_lonely_row_never_waits():
    async def main(loop):
        disk, times = Disk(), []
        disk.put = lambda group: times.append(loop.time()) is None
        outbox = Outbox(loop, disk, rows_of, pace_seconds=0.002)
        await outbox.append(lambda: "a")
        await outbox.append(lambda: "b")
        await asyncio.gather(*(outbox.append(lambda: "c") for _ in range(COMPANY)))
        await outbox.append(lambda: "d")
        await outbox.append(lambda: "e")
        return times

    assert virtual_clock.run(main) == [0.0, 0.0, 0.0, 0.002, 0.002]
