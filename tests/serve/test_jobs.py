"""The desk: many callers and one store, on one thread, whatever fails meanwhile."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from roadworthy.core.errors import Missing, Overloaded, RoadworthyError
from roadworthy.serve.jobs import Desk
from roadworthy.serve.queue import Asked, End, Job, Notice, OpenQueue, Result, Sent
from roadworthy.serve.queues.sqlite import Sqlite
from roadworthy.store.files import StoreError


class Floor:
    """Remembers what it is to run, and ends it when it is told to."""

    def __init__(self) -> None:
        self.begun: list[Job] = []
        self.told: list[str] = []
        self.most = 0
        self.out = 0

    def begin(self, job: Job) -> None:
        self.begun.append(job)
        self.out += 1
        self.most = max(self.most, self.out)

    def changed(self, ids: Sequence[str]) -> None:
        self.told += ids

    def end(self, desk: Desk, job: Job, again_at: float | None = None) -> None:
        self.out -= 1
        desk.end(End(job.id, job.attempts, Result(200, b"{}"), time.time(), again_at))


class Store:
    """A queue that can be told to fail, and counts its groups."""

    def __init__(self, inner: OpenQueue) -> None:
        self.inner = inner
        self.fails: Exception | None = None
        self.groups: list[int] = []
        self.thread = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def put(self, jobs: Sequence[Job]) -> Any:
        self.groups.append(len(jobs))
        return self.inner.put(jobs)

    @contextmanager
    def together(self) -> Iterator[None]:
        self.thread = threading.get_ident()
        with self.inner.together():
            yield
            if self.fails is not None:
                raise self.fails


def job(id: str, **more: Any) -> Job:
    return Job(id, Asked(b"/predict"), time.time(), **more)


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 what is waited for is on another thread
            await asyncio.sleep(0.005)


@pytest.fixture
def settings(tmp_path: Path) -> Sqlite:
    """The queue that the desk stands before."""
    return Sqlite(tmp_path, durability="process", attempts=3)


def run(settings: Sqlite, talk: Callable[[Desk, Floor, Store], Awaitable[Any]], **more: Any) -> Any:
    """Open a desk, talk to it, close it."""

    async def main() -> Any:
        floor, store = Floor(), Store(settings())
        desk = Desk(store, floor, more.pop("courier", None), poll_seconds=0.02, **more)
        desk.start()
        try:
            return await talk(desk, floor, store)
        finally:
            store.fails = None
            await desk.close()

    return asyncio.run(main())


def test_what_comes_while_the_store_is_busy_is_written_in_one_group_on_another_thread(settings):
    async def talk(desk: Desk, floor: Floor, store: Store) -> Any:
        tickets = await asyncio.gather(*(desk.put(job(f"j{k:03}")) for k in range(200)))
        return {ticket.outcome for ticket in tickets}, store

    outcomes, store = run(settings, talk)
    assert outcomes == {"new"}
    assert sum(store.groups) == 200
    assert len(store.groups) < 20
    assert store.thread != threading.get_ident()


def test_no_more_jobs_are_out_than_allowed(settings):
    async def talk(desk: Desk, floor: Floor, store: Store) -> Any:
        for k in range(10):
            await desk.put(job(f"j{k}"))
        for done in range(10):
            await until(lambda done=done: len(floor.begun) > done)
            floor.end(desk, floor.begun[done])
        return floor

    floor = run(settings, talk, at_once=3)
    assert floor.most == 3
    assert [each.id for each in floor.begun] == [f"j{k}" for k in range(10)]


def test_of_those_that_were_tried_before_one_is_out_at_a_time(settings):
    async def talk(desk: Desk, floor: Floor, store: Store) -> Any:
        for k in range(4):
            await desk.put(job(f"again{k}", attempts=1))
        await desk.put(job("new"))
        await until(lambda: len(floor.begun) == 2)
        await asyncio.sleep(0.1)
        first = [(each.id, each.attempts) for each in floor.begun]
        for k in range(4):
            suspects = [each for each in floor.begun if each.attempts > 1]
            assert len(suspects) == k + 1
            floor.end(desk, suspects[-1])
            await until(lambda k=k: k == 3 or len(floor.begun) == k + 3)
        return first

    first = run(settings, talk)
    assert first == [("again0", 2), ("new", 1)] or first == [("new", 1), ("again0", 2)]


@pytest.mark.parametrize("wrong", [StoreError("disk full"), ValueError("a defect")])
def test_where_the_store_fails_callers_are_told_and_answers_are_kept_until_it_works(settings, wrong):
    async def talk(desk: Desk, floor: Floor, store: Store) -> Any:
        await desk.put(job("first"))
        await until(lambda: floor.begun)
        store.fails = wrong
        floor.end(desk, floor.begun[0])
        with pytest.raises(RoadworthyError, match=str(wrong)) as refused:
            await desk.put(job("second"))
        store.fails = None
        await until(lambda: store.get("first").state == "done")
        assert (await desk.put(job("third"))).outcome == "new"
        with pytest.raises(Missing):
            store.get("second")
        return refused.value.status

    assert run(settings, talk) == 503


def test_cancelling_tells_the_state_before_and_raises_for_an_unknown_job(settings):
    async def talk(desk: Desk, floor: Floor, store: Store) -> Any:
        await desk.put(job("a"))
        await until(lambda: floor.begun)
        await desk.put(job("b"))
        found = [await desk.cancel("b"), await desk.cancel("a"), await desk.cancel("a")]
        with pytest.raises(Missing):
            await desk.cancel("nobody")
        return found

    assert run(settings, talk, at_once=1) == ["queued", "running", "cancelled"]


def test_a_closed_desk_gives_back_what_has_not_ended_and_keeps_what_has(settings):
    async def talk(desk: Desk, floor: Floor, store: Store) -> None:
        await asyncio.gather(desk.put(job("ends")), desk.put(job("stays")))
        await until(lambda: len(floor.begun) == 2)
        floor.end(desk, next(each for each in floor.begun if each.id == "ends"))

    run(settings, talk)
    opened = settings()
    states = {id: (opened.get(id).state, opened.get(id).attempts) for id in ("ends", "stays")}
    opened.close()
    assert states == {"ends": ("done", 1), "stays": ("queued", 0)}


def test_a_closing_desk_refuses_and_a_resting_one_keeps_but_hands_out_nothing(settings):
    async def talk(desk: Desk, floor: Floor, store: Store) -> Any:
        desk.rest()
        ticket = await desk.put(job("kept"))
        await asyncio.sleep(0.1)
        closing = asyncio.ensure_future(desk.close())
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="the server stops"):
            await desk.put(job("late"))
        await closing
        return ticket.outcome, floor.begun

    async def main() -> Any:
        floor, store = Floor(), Store(settings())
        desk = Desk(store, floor, None)
        desk.start()
        return await talk(desk, floor, store)

    assert asyncio.run(main()) == ("new", [])


def test_before_it_is_started_a_desk_keeps_jobs_and_hands_out_nothing_and_can_be_closed(settings):
    async def main() -> Any:
        floor = Floor()
        desk = Desk(settings(), floor, None, poll_seconds=0.02)
        tickets = [await desk.put(job(id)) for id in "ab"]
        before = list(floor.begun)
        desk.start()
        await until(lambda: len(floor.begun) == 2)
        await desk.close()
        await Desk(settings(), floor, None).close()
        return tickets, before

    tickets, before = asyncio.run(main())
    assert [ticket.outcome for ticket in tickets] == ["new", "new"]
    assert before == []


class Courier:
    """Has room for one notice, and fails to deliver the first."""

    def __init__(self) -> None:
        self.carried: list[Notice] = []
        self.desk: Desk

    @property
    def room(self) -> int:
        return 1

    def carry(self, notice: Notice) -> None:
        self.carried.append(notice)
        self.desk.report(Sent(notice.id, notice.attempt == 2, "not yet", 0.0))


def test_notices_are_handed_to_the_courier_until_it_reports_them_delivered(settings):
    courier = Courier()

    async def talk(desk: Desk, floor: Floor, store: Store) -> Any:
        courier.desk = desk
        await desk.put(job("told", webhook="http://a/"))
        await until(lambda: floor.begun)
        floor.end(desk, floor.begun[0])
        await until(lambda: store.get("told").told == "delivered")

    run(settings, talk, courier=courier)
    assert courier.carried == [Notice("told", "http://a/", 1), Notice("told", "http://a/", 2)]
