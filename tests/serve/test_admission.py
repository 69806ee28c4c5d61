from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from roadworthy.core.errors import Late, Overloaded, TooMany
from roadworthy.core.wire import Priority, Request, Response, Tensor
from roadworthy.serve.admission import LEAST_CARE, MOST_CARE, Admission
from roadworthy.serve.cost_line import CostLine
from roadworthy.serve.lines import Caller, Lines

LOOP = asyncio.new_event_loop()
LOOP.close()


@dataclass
class Door:
    """An admission whose model takes 8 ms + 1 ms a row, at most 16 rows at once: 24 ms a full batch."""

    admission: Admission

    def wait(self, rows: int, priority: Priority = 2, deadline: float | None = None) -> None:
        request = Request("w", {"x": Tensor("x", "FP32", (rows, 1), [0.0] * rows)}, 0.0, deadline=deadline)
        lines, answer = self.admission.lines, asyncio.Future[Response](loop=LOOP)
        lines.lines[priority].append(Caller(request, rows, answer, 0.0))
        lines.rows_of[priority] += rows
        lines.rows += rows

    def late(self, allowed: float, priority: Priority = 2, now: float = 0.0) -> Late | None:
        return self.admission.late(Request("r", {}, 0.0, priority=priority), now + allowed, 1, now)


def door(queue: int = 100, known: bool = True) -> Door:
    line = CostLine()
    if known:
        line.start([(1, 0.009), (16, 0.024)])
        line.spread = 0.0
    made = Door(Admission(Lines(lambda caller, now: None), line, 16, queue))
    made.admission.care = 1.0
    return made


def test_priorities_fill_their_shares_and_the_last_is_shed_first() -> None:
    here = door(queue=100)
    here.wait(50)
    assert isinstance(here.admission.full(3, 1), TooMany)
    assert here.admission.full(2, 1) is None
    here.wait(40)
    refused = here.admission.full(2, 1)
    assert isinstance(refused, Overloaded)
    assert not isinstance(refused, TooMany)
    assert here.admission.full(1, 10) is None
    assert here.admission.full(1, 11) is not None
    assert here.admission.shed == {"full": 2, "share": 1, "late": 0}


def test_what_waits_behind_does_not_fill_the_share_of_a_higher_priority() -> None:
    here = door(queue=4096)
    here.admission.limit.rows = 32
    here.admission._make_room()
    here.wait(29, priority=2)
    assert here.admission.full(2, 1) is not None
    assert here.admission.full(1, 32) is None


def test_a_refusal_says_how_much_waits_and_when_to_come_again() -> None:
    here = door(queue=48)
    here.wait(48)
    refused = here.admission.full(2, 1)
    assert refused is not None
    assert str(refused) == "48 rows wait for the model and at most 44 may; ask again"
    assert refused.status == 503
    assert refused.retry_after == pytest.approx(4 * 0.008 + 48 * 0.001)
    shed = here.admission.full(3, 1)
    assert shed is not None
    assert shed.status == 503  # priority 2 would not find room either


def test_before_anything_is_known_a_second_is_the_time_to_wait() -> None:
    here = door(queue=4, known=False)
    here.wait(4)
    refused = here.admission.full(2, 1)
    assert refused is not None
    assert refused.retry_after == 1.0


def test_the_wait_is_what_runs_what_is_ahead_and_its_own_batch() -> None:
    here = door()
    here.wait(35)
    assert here.admission.seconds(1, 1, 0.0) == pytest.approx(0.009)
    here.admission._left[2] = 1.0
    assert here.admission.seconds(2, 1, 0.0) == pytest.approx(2 * 0.024 + 0.008 + 0.004)
    here.admission.began(0.0, 16)
    assert here.admission.seconds(2, 1, 0.010) == pytest.approx(0.014 + 2 * 0.024 + 0.012)
    here.admission.ended()
    assert here.admission.seconds(2, 40, 0.0) == pytest.approx(2 * 0.024 + 0.048)


def test_a_run_that_takes_longer_than_predicted_will_take_as_long_again() -> None:
    here = door()
    here.admission._left[2] = 1.0
    here.admission.began(0.0, 16)
    assert here.admission.seconds(2, 1, 0.024) == pytest.approx(0.009)
    assert here.admission.seconds(2, 1, 1.024) == pytest.approx(1.009)


def test_who_cannot_be_answered_in_time_is_refused_with_what_would_do() -> None:
    here = door()
    here.wait(32)
    here.admission._left[2] = 1.0
    assert here.late(0.058) is None
    refused = here.late(0.050)
    assert refused is not None
    assert refused.status == 504
    assert str(refused) == (
        "request 'r' would be answered in 0.057 s and allows 0.050 s; nothing was computed, ask again or allow more"
    )
    assert refused.retry_after == 0.05
    assert here.admission.shed["late"] == 1


def test_an_idle_model_takes_whoever_is_not_late_yet_however_slow_it_is_thought() -> None:
    here = door()
    here.admission.line.start([(1, 9.0), (16, 24.0)])
    assert here.late(0.001) is None
    refused = here.late(-0.5)
    assert refused is not None
    assert "came 0.500 s past its deadline" in str(refused)


def test_lower_priorities_allow_for_being_overtaken() -> None:
    here = door()
    here.admission.began(0.0, 16)
    here.admission._left[:] = [1.0, 1.0, 0.9, 0.1]
    waits = [here.admission.seconds(priority, 1, 0.0) for priority in (1, 2, 3)]
    assert waits == sorted(waits)
    assert waits[2] < 5 * waits[0]


def test_a_first_priority_counts_those_who_were_promised_an_earlier_answer() -> None:
    here = door()
    here.wait(32, priority=2, deadline=0.06)
    assert here.late(0.05, priority=1) is None
    assert here.late(0.07, priority=1) is None
    here.wait(16, priority=2, deadline=0.06)
    assert here.late(0.07, priority=1) is not None


def test_impatient_callers_make_the_limit_follow_and_patient_ones_do_not() -> None:
    limits = []
    for allowed in (0.2, 60.0):
        here = door(queue=4096)
        here.wait(200)
        for batch in range(100):
            now = 0.02 * batch
            asked = Request("t", {}, 0.0, deadline=now - 0.15 + allowed)
            callers = [Caller(asked, 1, asyncio.Future(loop=LOOP), now - 0.15)]
            here.admission.took(now, callers, [0, 0, 201, 0], 200)
        limits.append(here.admission.limit.rows)
    assert limits == [32, 4096]


def test_broken_promises_make_it_careful_until_one_in_a_hundred_is_broken() -> None:
    here = door()
    here.admission.began(0.0, 16)
    here.admission.care = LEAST_CARE
    before = here.admission.seconds(1, 1, 0.0)

    def asked(allowed: float) -> Caller:
        return Caller(Request("r", {}, 0.0, deadline=allowed), 1, asyncio.Future(loop=LOOP), 0.0)

    here.admission.answered(asked(0.01), 0.03)  # who allows less than two batches was promised nothing
    assert here.admission.care == LEAST_CARE
    here.admission.answered(asked(0.2), 0.21)
    assert here.admission.seconds(1, 1, 0.0) == pytest.approx(1.05 * before)
    for _ in range(98):
        here.admission.answered(asked(0.2), 0.19)
    assert here.admission.care == pytest.approx(LEAST_CARE, abs=0.001)
    for _ in range(100):
        here.admission.answered(asked(0.2), 0.21)
    assert here.admission.care == MOST_CARE
