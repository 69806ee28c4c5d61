"""Columns that grow hold what joining all windows and sorting them would give."""

from __future__ import annotations

import numpy as np

from roadworthy.core.record import Record
from roadworthy.core.window import Window
from roadworthy.rollout.control.growing import LEAST_ROOM, Growing


def row(id: str, at: float, **inputs: object) -> Record:
    return Record(id, at, "a", "stable", inputs, {"p": 0.5})


def window(*rows: Record) -> Window:
    return Window.of_all(rows)


def test_rows_that_come_late_are_put_where_they_belong_after_those_of_their_time() -> None:
    grown = Growing()
    grown.add(window(row("a", 1.0), row("c", 3.0), row("e", 5.0)))
    grown.add(window(row("b", 2.0), row("c2", 3.0), row("f", 6.0)))
    grown.add(window())
    view = grown.view(0, grown.n)
    assert view.ids is not None
    assert view.ids.tolist() == ["a", "b", "c", "c2", "e", "f"]
    assert (grown.before(3.0), grown.after(3.0)) == (2, 4)


def test_a_column_that_comes_later_is_unknown_before_and_one_that_ends_is_unknown_after() -> None:
    grown = Growing()
    grown.add(window(row("a", 1.0, x=1.0)))
    grown.add(window(row("b", 2.0, y=2.0)))
    grown.add(window(row("c", 3.0, x="text")))
    grown.add(window(row("d", 4.0, x=None)))
    inputs = grown.view(0, 4).inputs
    assert inputs["x"].tolist() == [1.0, None, "text", None]
    np.testing.assert_array_equal(inputs["y"], [np.nan, 2.0, np.nan, np.nan])


def test_vectors_of_two_widths_become_objects() -> None:
    grown = Growing()
    grown.add(window(row("a", 1.0, v=[1.0, 2.0])))
    grown.add(window(row("b", 2.0, v=[1.0, 2.0, 3.0])))
    assert grown.view(0, 2).inputs["v"].tolist() == [[1.0, 2.0], [1.0, 2.0, 3.0]]


def test_a_label_reaches_every_row_of_its_id_wherever_that_moved() -> None:
    grown = Growing()
    grown.add(window(row("a", 1.0), row("x", 5.0)))
    grown.label("nobody", 1.0, 9.0)
    grown.add(window(row("b", 2.0), row("x", 3.0)))
    grown.label("x", 1.0, 9.0)
    grown.add(window(row("c", 2.5)))
    grown.label("b", 0.0, 8.0)
    view = grown.view(0, grown.n)
    np.testing.assert_array_equal(view.labels, [np.nan, 0.0, np.nan, 1.0, 1.0])
    np.testing.assert_array_equal(view.known_at, [np.nan, 8.0, np.nan, 9.0, 9.0])


def test_it_makes_room_as_it_needs_it() -> None:
    grown = Growing()
    for k in range(3):
        grown.add(window(*(row(f"{k}-{j}", float(k * LEAST_ROOM + j), x=float(j)) for j in range(LEAST_ROOM))))
    assert grown.n == 3 * LEAST_ROOM
    assert grown.view(0, grown.n).inputs["x"].tolist() == [float(j) for j in range(LEAST_ROOM)] * 3
