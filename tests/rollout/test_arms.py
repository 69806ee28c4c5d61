from __future__ import annotations

import numpy as np

from roadworthy.core.record import Record
from roadworthy.core.window import Window
from roadworthy.core.wire import Arm
from roadworthy.rollout.arms import failed, ids_of, merged, pairs, requests, shadowed, without_inputs


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


def test_ids_that_only_look_alike_are_two_requests() -> None:
    asked = rows(row("a.0", 1), row("ab.1", 1), row("a.b.0", 2), row("a.b.1", 2), row("c.x", 3), row("c.1", 3))
    assert ids_of(requests(asked)) == ["a.0", "ab.1", "a.b.0", "c.x", "c.1"]


def test_rows_without_ids_are_requests_of_their_own_and_pairs_of_nobody() -> None:
    nameless = Window({}, {}, np.zeros(3), np.zeros(3))
    assert requests(nameless).n == 3
    assert [len(places) for places in pairs(nameless, nameless)] == [0, 0]


def test_what_was_asked_is_left_out_and_all_else_that_a_gate_reads_is_kept() -> None:
    asked = Record(
        "a", 1.0, "release", "canary", {"x": 1.0}, {"p": 0.5}, label=1.0, label_at=2.0, seconds={"total": 3.0}
    )
    slim = without_inputs(Window.of_all([asked]))
    assert slim.inputs == {}
    assert (slim.outputs["p"][0], slim.labels[0], slim.seconds["total"][0]) == (0.5, 1.0, 3.0)
    assert slim.known_at is not None
    assert (slim.known_at[0], ids_of(slim), shadowed(slim)) == (2.0, ["a"], False)
