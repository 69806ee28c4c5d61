from __future__ import annotations

import numpy as np

from roadworthy.core.record import Record
from roadworthy.core.wire import Arm
from roadworthy.rollout.arms import merged, pairs, requests, shadowed


def row(id: str, at: float, arm: Arm = "stable") -> Record:
    return Record(id, at, "release", arm, {}, {})


def test_the_rows_of_one_request_are_one_piece_of_evidence() -> None:
    rows = [row("a.0", 1), row("a.1", 1), row("a.2", 1), row("b", 1), row("c.0", 2)]
    assert [r.id for r in requests(rows)] == ["a.0", "b", "c.0"]


def test_requests_of_one_second_are_not_rows_of_one_another() -> None:
    rows = [row("flight-1", 1), row("flight-2", 1), row("UA.x", 1), row("UA.y", 1), row("q.1", 1), row("q.2", 5)]
    assert requests(rows) == rows


def test_pairs_are_found_by_id_in_the_order_of_the_candidate() -> None:
    control, candidate = [row("a", 1), row("b", 2), row("c", 3)], [row("c", 3, "shadow"), row("a", 4, "shadow")]
    assert [(c.id, s.arm) for c, s in pairs(control, candidate)] == [("c", "shadow"), ("a", "shadow")]
    assert pairs(control, []) == []


def test_two_arms_are_merged_in_time_order() -> None:
    order, on_candidate = merged([row("a", 1), row("c", 3)], [row("b", 2, "canary")])
    assert order.tolist() == [0, 2, 1]
    assert on_candidate.tolist() == [False, True, False]
    assert len(merged([], [])[0]) == 0


def test_a_shadow_is_told_by_its_arm() -> None:
    assert shadowed([row("a", 1, "shadow")])
    assert not shadowed([row("a", 1, "canary")])
    assert not shadowed([])
    assert np.array_equal(merged([], [row("a", 1)])[1], [True])
