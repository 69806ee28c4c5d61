from __future__ import annotations

import numpy as np

from roadworthy.core.record import Record
from roadworthy.core.window import Window
from roadworthy.core.wire import Arm
from roadworthy.rollout.arms import failed, ids_of, merged, pairs, requests, shadowed


def row(id: str, at: float, arm: Arm = "stable") -> Record:
    return Record(id, at, "release", arm, {}, {})


def rows(*records: Record) -> Window:
    return Window.of_all(records)


def test_the_rows_of_one_request_are_one_piece_of_evidence() -> None:
    found = requests(rows(row("a.0", 1), row("a.1", 1), row("a.2", 1), row("b", 1), row("c.0", 2)))
    assert ids_of(found) == ["a.0", "b", "c.0"]


def test_requests_of_one_second_are_not_rows_of_one_another() -> None:
    asked = rows(row("flight-1", 1), row("flight-2", 1), row("UA.x", 1), row("UA.y", 1), row("q.1", 1), row("q.2", 5))
    assert ids_of(requests(asked)) == ids_of(asked)


def test_pairs_are_found_by_id_in_the_order_of_the_candidate() -> None:
    control = rows(row("a", 1), row("b", 2), row("c", 3))
    stable, mirrored = pairs(control, rows(row("c", 3, "shadow"), row("x", 3, "shadow"), row("a", 4, "shadow")))
    assert (stable.tolist(), mirrored.tolist()) == ([2, 0], [0, 2])
    assert [len(places) for places in pairs(control, rows())] == [0, 0]


def test_two_arms_are_merged_in_time_order() -> None:
    order, on_candidate = merged(rows(row("a", 1), row("c", 3)), rows(row("b", 2, "canary")))
    assert order.tolist() == [0, 2, 1]
    assert on_candidate.tolist() == [False, True, False]
    assert len(merged(rows(), rows())[0]) == 0


def test_a_shadow_is_told_by_its_arm() -> None:
    assert shadowed(rows(row("a", 1, "shadow")))
    assert not shadowed(rows(row("a", 1, "canary")))
    assert not shadowed(rows())
    assert np.array_equal(merged(rows(), rows(row("a", 1)))[1], [True])


def test_a_row_without_an_answer_has_failed() -> None:
    lost = Record("b", 2, "release", "stable", {}, {}, error="TimeoutError: late")
    assert failed(rows(row("a", 1), lost)).tolist() == [False, True]
    assert failed(Window({}, {}, np.zeros(2), np.zeros(2))).tolist() == [False, False]
