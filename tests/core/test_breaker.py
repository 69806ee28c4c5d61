"""A breaker opens on proof and not on bad luck, stays open for its time, and lets a few through to find out."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from roadworthy.core.breaker import JITTER, Breaker


class Clock:
    """A time that a test moves."""

    at = 100.0

    def __call__(self) -> float:
        return self.at


def breaker(clock: Clock | None = None, **settings: Any) -> Breaker:
    return Breaker(clock or Clock(), Random(0), **settings)


def tell(on: Breaker, *failed: bool) -> None:
    for one in failed:
        ticket = on.admit()
        assert ticket is not None
        on.report(ticket, one)


def opened(clock: Clock, **settings: Any) -> Breaker:
    on = breaker(clock, **settings)
    tell(on, *[True] * on.least)
    assert on.state == "open"
    return on


def test_one_failure_of_two_proves_nothing_and_ten_of_ten_do() -> None:
    on = breaker()
    tell(on, False, True)
    assert on.state == "closed"
    on = breaker()
    tell(on, *[True] * 9)
    assert on.state == "closed"
    tell(on, True)
    assert (on.state, on.opened) == ("open", 1)


def test_fewer_than_the_least_prove_nothing() -> None:
    on = breaker(least=40)
    tell(on, *[True] * 39)
    assert on.state == "closed"
    tell(on, True)
    assert on.state == "open"


def test_a_share_that_is_above_the_limit_by_chance_does_not_open_it() -> None:
    on = breaker()
    tell(on, *[True, False] * 50, True)
    assert on.state == "closed"


def test_six_of_ten_opens_it_only_where_there_are_many() -> None:
    def failing(n: int) -> Breaker:
        on = breaker(most=n)
        tell(on, *([True, False, True, False, True] * n)[:n])
        return on

    assert [failing(n).state for n in (10, 100)] == ["closed", "closed"]
    on = breaker(most=1000)
    with pytest.raises(AssertionError):
        tell(on, *[True, False, True, False, True] * 200)
    assert on.state == "open"


def chance(share: float, outcomes: int, runs: int = 300) -> float:
    """In how many of some runs it opens within so many outcomes that fail at this rate."""
    count = 0
    for seed in range(runs):
        rng, on = Random(seed), breaker()
        for _ in range(outcomes):
            ticket = on.admit()
            if ticket is not None:
                on.report(ticket, rng.random() < share)
        count += on.opened > 0
    return count / runs


def test_it_opens_rarely_below_the_limit_and_surely_far_above_it() -> None:
    assert chance(0.4, 1000) <= 0.01
    assert chance(0.5, 100) <= 0.04
    assert chance(0.8, 100) >= 0.99


def test_old_outcomes_and_those_beyond_the_count_are_forgotten() -> None:
    clock = Clock()
    on = breaker(clock, window_seconds=30.0)
    tell(on, *[True] * 9)
    clock.at += 30.1
    tell(on, True)
    assert on.state == "closed"
    on = breaker(most=20)
    tell(on, *[False] * 100, *[True] * 16)
    assert on.state == "closed"
    tell(on, *[True] * 1)
    assert on.state == "open"


def test_it_is_open_for_its_time_then_lets_a_few_through_and_closes_when_all_are_good() -> None:
    clock = Clock()
    on = opened(clock, open_seconds=4.0)
    assert on.admit() is None
    assert 4.0 * (1 - JITTER) <= on.retry_after <= 4.0 * (1 + JITTER)
    clock.at += on.retry_after
    assert (on.state, on.retry_after) == ("half-open", 0.0)
    tickets = [on.admit() for _ in range(5)]
    assert [ticket is not None for ticket in tickets] == [True, True, True, False, False]
    for ticket in tickets[:3]:
        assert on.state == "half-open"
        assert ticket is not None
        on.report(ticket, failed=False)
    assert on.state == "closed"


def test_one_bad_probe_opens_it_for_twice_as_long_up_to_a_bound() -> None:
    clock = Clock()
    on = opened(clock, open_seconds=1.0, most_open_seconds=6.0)
    waits = []
    for _ in range(6):
        waits.append(on.retry_after)
        clock.at += on.retry_after
        tell(on, True)
    for wait, expected in zip(waits, [1, 2, 4, 6, 6, 6], strict=True):
        assert expected * (1 - JITTER) <= wait <= expected * (1 + JITTER)
    assert len(set(waits[-3:])) == 3  # jittered
    clock.at += on.retry_after
    tell(on, False, False, False)
    tell(on, *[True] * 10)
    assert on.retry_after <= 1 + JITTER


def test_good_probes_count_among_those_that_were_let_through() -> None:
    clock = Clock()
    on = opened(clock, probes=3)
    clock.at += 10
    tell(on, False, False)
    assert [on.admit() is not None for _ in range(3)] == [True, False, False]


def test_a_forgotten_probe_makes_room_for_another() -> None:
    clock = Clock()
    on = opened(clock, probes=1)
    clock.at += 10
    ticket = on.admit()
    assert ticket is not None
    assert on.admit() is None
    on.forget(ticket)
    tell(on, False)
    assert on.state == "closed"


def test_outcomes_of_requests_that_began_before_it_opened_change_nothing() -> None:
    clock = Clock()
    on = breaker(clock)
    old = [on.admit() for _ in range(20)]
    for ticket in old[:10]:
        assert ticket is not None
        on.report(ticket, failed=True)
    clock.at += 10
    assert on.state == "half-open"
    for ticket in old[10:]:
        assert ticket is not None
        on.report(ticket, failed=False)
        on.forget(ticket)
    assert on.state == "half-open"
    assert [on.admit() is not None for _ in range(4)] == [True, True, True, False]


@pytest.mark.parametrize(
    "settings",
    [{"limit": 0.0}, {"limit": 1.0}, {"least": 0}, {"least": 9, "most": 8}, {"probes": 0}, {"open_seconds": 0.0},
     {"open_seconds": 9.0, "most_open_seconds": 8.0}, {"window_seconds": 0.0}],
)  # fmt: skip
def test_settings_that_mean_nothing_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"must (hold|be between)"):
        breaker(**settings)


class Life(RuleBasedStateMachine):
    """Any order of asking, answering, forgetting and waiting: the promises hold, and it always comes back."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.on = Breaker(self.clock, Random(1), least=3, most=8, z=1.0, window_seconds=5.0, probes=2)
        self.out: list[tuple[int, str]] = []

    @rule()
    def ask(self) -> None:
        state = self.on.state
        ticket = self.on.admit()
        if state == "closed":
            assert ticket is not None
        if state == "open":
            assert ticket is None
        if ticket is not None:
            self.out.append((ticket, state))

    @precondition(lambda self: self.out)
    @rule(data=st.data(), fate=st.sampled_from(["good", "bad", "forgotten"]))
    def end(self, data: st.DataObject, fate: str) -> None:
        ticket, began = self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))
        before, opened = self.on.state, self.on.opened
        if fate == "forgotten":
            self.on.forget(ticket)
            assert self.on.state == before
        else:
            self.on.report(ticket, fate == "bad")
        if fate == "good":
            assert self.on.opened == opened
        if before == "half-open" and began == "half-open" and fate == "bad" and self.on.opened == opened:
            assert self.on.state == "half-open"  # a probe of an earlier time
        if began == "closed" and before != "closed":
            assert (self.on.state, self.on.opened) == (before, opened)

    @rule(seconds=st.floats(0.01, 20.0))
    def wait(self, seconds: float) -> None:
        self.clock.at += seconds

    @invariant()
    def counts_add_up(self) -> None:
        assert 0 <= self.on._trying + self.on._good <= self.on.probes
        assert self.on._failures == sum(failed for _, failed in self.on._outcomes)
        assert len(self.on._outcomes) <= self.on.most
        assert (self.on.retry_after > 0) == (self.on.state == "open")
        assert self.on.retry_after <= self.on.most_open_seconds * (1 + JITTER)

    def teardown(self) -> None:
        for ticket, _ in self.out:
            self.on.forget(ticket)
        self.clock.at += self.on.retry_after
        while self.on.state != "closed":
            tell(self.on, False)


TestLife = Life.TestCase
TestLife.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
