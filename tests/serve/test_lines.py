from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadworthy.core.wire import Priority, Request, Response, Tensor
from roadworthy.serve.lines import Caller, Lines


def joined(
    lines: Lines,
    name: str,
    priority: Priority = 2,
    rows: int = 1,
    since: float = 0.0,
    deadline: float | None = None,
    text: str = "",
) -> Caller:
    tensors = {"t": Tensor("t", "BYTES", (rows,), [text] * rows)}
    answer: asyncio.Future[Response] = asyncio.Future(loop=LOOP)
    caller = Caller(Request(name, tensors, 0.0, deadline=deadline, priority=priority), rows, answer, since)
    lines.lines[priority].append(caller)
    lines.rows_of[priority] += rows
    lines.rows += rows
    return caller


LOOP = asyncio.new_event_loop()
LOOP.close()


def new(**settings: Any) -> tuple[Lines, list[str]]:
    dropped: list[str] = []
    return Lines(lambda caller, now: dropped.append(caller.request.id), **settings), dropped


def names(callers: Sequence[Caller]) -> str:
    return " ".join(caller.request.id for caller in callers)


def test_the_first_priority_goes_first_and_within_one_whoever_came_first() -> None:
    lines, _ = new()
    for name, priority in [("c1", 3), ("b1", 2), ("a1", 1), ("b2", 2), ("a2", 1)]:
        joined(lines, name, priority)  # type: ignore[arg-type]
    assert names(lines.take(3, 0.0, 0.0)) == "a1 a2 b1"
    assert (lines.rows, lines.rows_of) == (2, [0, 0, 1, 1])
    assert names(lines.take(3, 0.0, 0.0)) == "b2 c1"
    assert (lines.rows, len(lines), lines.arrived) == (0, 0, 5)


def test_a_request_that_is_larger_than_a_batch_comes_alone() -> None:
    lines, _ = new()
    for name, rows in [("a", 2), ("big", 9), ("b", 1)]:
        joined(lines, name, rows=rows)
    assert [names(lines.take(4, 0.0, 0.0)) for _ in range(3)] == ["a", "big", "b"]


@pytest.mark.parametrize("most", [2, 10])
def test_whoever_is_late_or_gone_is_dropped_and_not_taken(most: int) -> None:
    lines, dropped = new()
    joined(lines, "late", deadline=4.0)
    joined(lines, "gone").answer.cancel()
    joined(lines, "stays", deadline=6.0)
    joined(lines, "too", priority=3)
    assert names(lines.take(most, 5.0, 5.0)) == "stays too"
    assert dropped == ["late", "gone"]
    assert lines.rows == 0


def test_the_last_priority_does_not_starve() -> None:
    lines, _ = new(ages_seconds=0.5)
    for k in range(40):
        joined(lines, f"c{k}", 3)
    taken = []
    for turn in range(20):
        now = 1.0 + turn
        for _ in range(8):
            joined(lines, "a", 1, since=now)
        taken += [caller.request.priority for caller in lines.take(8, now, now)]
    assert 0.1 <= taken.count(3) / len(taken) <= 0.15


def test_the_young_of_the_last_priority_wait_for_all_others() -> None:
    lines, _ = new(ages_seconds=0.5)
    joined(lines, "c", 3)
    for _ in range(80):
        joined(lines, "a", 1)
    assert all("c" not in names(lines.take(8, 0.4, 0.4)) for _ in range(10))


def test_who_was_let_in_on_a_promise_goes_first_when_it_falls_due() -> None:
    lines, _ = new()
    joined(lines, "due", 3, deadline=2.0)
    joined(lines, "later", 2, deadline=9.0)
    for _ in range(4):
        joined(lines, "a", 1)
    assert names(lines.take(3, 1.0, 2.5)) == "due a a"


def test_texts_of_one_length_run_together_and_the_oldest_leads() -> None:
    lines, _ = new(alike="t")
    for name, length in [("short", 5), ("long", 400), ("brief", 7), ("longer", 420), ("tiny", 3)]:
        joined(lines, name, text="x" * length)
    assert names(lines.take(3, 0.0, 0.0)) == "short brief tiny"
    assert names(lines.take(3, 0.0, 0.0)) == "long longer"


def test_earlier_deadlines_come_along_with_the_oldest_and_the_others_keep_their_order() -> None:
    lines, _ = new()
    for name, deadline in [("oldest", None), ("idle", 90.0), ("calm", None), ("soon", 20.0), ("sooner", 10.0)]:
        joined(lines, name, deadline=deadline)
    assert names(lines.take(3, 0.0, 0.0)) == "oldest soon sooner"
    assert names(lines.take(3, 0.0, 0.0)) == "idle calm"


def test_it_tells_who_is_ahead_and_what_deadline_is_next() -> None:
    lines, _ = new()
    joined(lines, "a", 1, rows=2)
    joined(lines, "b", 2, rows=3, deadline=5.0)
    joined(lines, "c", 3, rows=4)
    assert [lines.ahead(priority, 1.0) for priority in (1, 2, 3)] == [2, 5, 9]
    assert lines.ahead(1, 6.0) == 5
    assert lines.earliest() == 5.0
    assert names(lines.clear()) == "a b c"
    assert not lines


@given(
    st.lists(st.tuples(st.sampled_from([1, 2, 3]), st.integers(0, 6), st.sampled_from([None, 5.0, 50.0])), max_size=40),
    st.integers(1, 8),
    st.sampled_from(["", "t"]),
)
def test_everybody_leaves_once_and_no_batch_is_too_large(
    callers: list[tuple[Priority, int, float | None]], most: int, alike: str
) -> None:
    lines, dropped = new(alike=alike)
    for k, (priority, rows, deadline) in enumerate(callers):
        joined(lines, str(k), priority, rows, deadline=deadline, text="x" * (k * 7 % 5))
    left: list[str] = []
    while lines:
        batch = lines.take(most, 10.0, 20.0)
        assert sum(caller.rows for caller in batch) <= most or len([c for c in batch if c.rows]) == 1
        left += [caller.request.id for caller in batch]
    assert sorted(left + dropped) == sorted(map(str, range(len(callers))))
    assert {int(name) for name in dropped} == {k for k, (_, _, deadline) in enumerate(callers) if deadline == 5.0}
    assert (lines.rows, lines.rows_of) == (0, [0, 0, 0, 0])
