from __future__ import annotations

from roadworthy.ui.document import (
    MOST_LETTERS,
    MOST_ROWS,
    Charts,
    Code,
    Fold,
    Note,
    Section,
    Table,
    section,
    unfolded,
)


def test_a_section_of_nothing_is_none() -> None:
    empty = Table("", ("a",), [])
    assert section("A", [None, empty, Charts(()), Fold("more", (empty,))]) is None


def test_a_section_leaves_out_what_is_empty() -> None:
    note = Note("here")
    found = section("A", [Table("", ("a",), []), note, None])
    assert found == Section("A", (note,))


def test_an_id_holds_letters_and_numbers_only() -> None:
    assert Section("What, then: 95 %?", ()).id == "s-what-then-95"


def test_a_long_table_keeps_its_sums_and_says_what_is_left_out() -> None:
    rows = [*((f"{k}",) for k in range(MOST_ROWS + 50)), ("sum",)]
    table = Table("", ("a",), rows, foot=1)
    assert len(table.shown) == MOST_ROWS
    assert (table.shown[0], table.shown[-1]) == (("0",), ("sum",))
    assert table.left_out == 51


def test_a_table_that_is_somewhat_long_folds_its_later_rows() -> None:
    rows = [(f"{k}",) for k in range(20)]
    first, fold = unfolded(Table("t", ("a",), rows))
    assert isinstance(first, Table)
    assert isinstance(fold, Fold)
    [rest] = fold.blocks
    assert isinstance(rest, Table)
    assert [*first.rows, *rest.rows] == rows
    assert unfolded(Table("t", ("a",), rows[:12])) == (Table("t", ("a",), rows[:12]),)


def test_a_long_cell_is_cut() -> None:
    [(words, code)] = Table("", ("a", "b"), [("x" * 9999, Code("y" * 9999))]).shown
    assert words == "x" * MOST_LETTERS + "…"
    assert isinstance(code, Code)
    assert len(code.text) == MOST_LETTERS + 1
