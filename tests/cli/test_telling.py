"""What a person sees at the end of a life."""

from __future__ import annotations

from io import StringIO

import msgspec
import pytest
from rich.console import Console

from roadworthy.cli.telling import months_table, rollouts_table
from roadworthy.core.measure import Measurement
from roadworthy.ui.report import Life, Month, RolloutLine

METRICS = tuple(Measurement(name, 0.75, 120, 0.7, 0.8) for name in ("auc", "ece", "log_loss"))
MONTH = Month("2013-05", METRICS, METRICS)
LINES = (
    RolloutLine(0.0, "clinic", "2 of 2 (canary)", "promoted", "all gates pass", touched=70),
    RolloutLine(0.0, "in-metres", "1 of 2 (shadow)", "rolled back", "worse", expected="stopped in shadow"),
)
LIFE = Life("The life of clinic", (MONTH,), LINES, total=MONTH)


def seen(table) -> str:
    console = Console(width=200, file=StringIO())
    console.print(table)
    return console.file.getvalue()


def test_a_month_is_a_row_with_both_models_and_how_sure_they_are():
    text = seen(months_table(LIFE))
    assert "May" in text
    assert text.count("0.750 ±0.050") == 12
    assert "120" in text


def test_what_was_never_measured_is_a_dash():
    nothing = tuple(Measurement(m.name) for m in METRICS)
    assert " - " in seen(months_table(Life("t", (Month("2013-05", nothing, nothing),))))


def test_ordinary_candidates_are_one_line_and_scenarios_one_each():
    text = seen(rollouts_table(LIFE))
    assert "1 of 1 promoted" in text
    assert "70" in text
    assert "in-metres" in text


@pytest.mark.parametrize("field", ["months", "rollouts"])
def test_a_life_without_them_is_told_too(field):
    empty = msgspec.structs.replace(LIFE, **{field: ()}, total=None)
    assert seen(months_table(empty))
    assert seen(rollouts_table(empty))
