"""Answers that were paid for come back after a kill, but for a line that was torn."""

from __future__ import annotations

from pathlib import Path

from roadworthy.cli.bought import Bought


def test_what_was_bought_comes_back_until_it_is_forgotten(tmp_path: Path) -> None:
    bought = Bought(tmp_path / "bought.jsonl")
    assert bought.answers() == {}
    bought.add({})
    assert not bought.file.exists()
    bought.add({3: [0.1, 0.9], 7: [1.0, 0.0]})
    bought.add({4: [0.5, 0.5]})
    assert Bought(bought.file).answers() == {3: [0.1, 0.9], 7: [1.0, 0.0], 4: [0.5, 0.5]}
    bought.clear()
    bought.clear()
    assert bought.answers() == {}


def test_a_torn_line_is_left_out_and_does_not_spoil_the_next(tmp_path: Path) -> None:
    bought = Bought(tmp_path / "bought.jsonl")
    bought.add({1: [0.25, 0.75]})
    with bought.file.open("ab") as file:
        file.write(b"\n[2,[0.5,0")
    assert bought.answers() == {1: [0.25, 0.75]}
    bought.add({3: [0.0, 1.0]})
    assert bought.answers() == {1: [0.25, 0.75], 3: [0.0, 1.0]}
