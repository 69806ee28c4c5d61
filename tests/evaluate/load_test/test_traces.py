from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.errors import BadData
from roadworthy.evaluate.load_test.traces import Trace, TracedRequest, cv, peak


def talk(session: str, at: float, *blocks: int) -> TracedRequest:
    return TracedRequest(at, 512 * len(blocks), 10, session, blocks)


TALKS = Trace.of(
    [
        talk("b", 130.0, 9),
        talk("a", 100.0, 1, 2),
        talk("a", 101.0, 1, 2, 3),
        talk("b", 131.0, 9, 10),
        talk("c", 200.0, 4),
    ]
)


def test_times_count_from_the_first_in_order() -> None:
    assert TALKS.at.tolist() == [0, 1, 30, 31, 100]
    assert [request.session for request in TALKS.requests] == ["a", "a", "b", "b", "c"]
    assert TALKS.rate == pytest.approx(4 / 100)


def test_sessions_are_kept_or_left_out_as_a_whole() -> None:
    turns = Trace.of([talk(str(k), 10.0 * k + turn) for k in range(100) for turn in range(3)])
    kept = turns.some_sessions(0.3, np.random.default_rng(0))
    assert 45 < kept.n < 135
    names = [request.session for request in kept.requests]
    assert {names.count(name) for name in names} == {3}
    assert kept.at[:3].tolist() == [0, 1, 2]


def test_a_trace_without_sessions_is_not_thinned() -> None:
    with pytest.raises(BadData, match="has no sessions to choose from"):
        Trace.of_times([0.0, 1.0, 2.0]).some_sessions(0.5, np.random.default_rng(0))


@pytest.mark.parametrize("times", [[], [1.0], [2.0, 2.0]])
def test_a_trace_needs_two_moments(times: list[float]) -> None:
    with pytest.raises(BadData, match="at two different times"):
        Trace.of_times(times)


def test_equal_blocks_give_equal_beginnings() -> None:
    first, second, _, _, other = (TALKS.prompt(k).split() for k in range(5))
    assert (len(first), len(second)) == (1024, 1536)
    assert second[:1024] == first
    assert other[:20] != first[:20]


def test_without_blocks_no_two_prompts_are_alike() -> None:
    plain = Trace.of([TracedRequest(float(k), 700) for k in range(20)])
    prompts = [plain.prompt(k) for k in range(20)]
    assert len({prompt[:200] for prompt in prompts}) == 20
    assert {len(prompt.split()) for prompt in prompts} == {700}
    assert plain.prompt(3) == prompts[3]


def test_the_share_of_shared_blocks_is_counted() -> None:
    """Of nine blocks, 1 and 2 come twice and 9 comes twice."""
    assert (TALKS.shared.value, TALKS.shared.n) == (pytest.approx(3 / 9), 9)
    assert Trace.of_times([0.0, 1.0]).shared.n == 0


def test_evenness_and_peak_of_arrivals() -> None:
    assert cv(np.arange(100.0)).value == pytest.approx(0)
    assert cv(np.cumsum(np.random.default_rng(0).exponential(size=20_000))).value == pytest.approx(1, abs=0.03)
    burst = np.sort(np.concatenate([np.arange(100.0), np.full(49, 50.5)]))
    assert peak(burst).value == pytest.approx(50 / (148 / 99))
    assert cv(np.array([1.0, 2.0])).n == peak(np.array([1.0])).n == 0
