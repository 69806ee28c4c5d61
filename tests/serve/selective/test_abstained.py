"""What abstaining came to is said by week and by doubt, and what is not known is said to be so."""

from __future__ import annotations

import io
from typing import Any

import msgspec
import numpy as np
import pytest
from rich.console import Console

from roadworthy.core.record import Label, Record
from roadworthy.core.window import Window
from roadworthy.core.wire import Step
from roadworthy.serve.selective.abstained import WEEK, Abstained, Promise, abstained
from roadworthy.serve.selective.abstained_text import abstained_text
from roadworthy.serve.selective.figures import Reading

MONDAY = 1_700_438_400.0


def rows(n: int = 3000, weeks: float = 3, cut: float = 0.6, seed: int = 0, **more: Any) -> list[Record]:
    """Answers whose probability is true, those below the confidence `cut` being flagged."""
    rng = np.random.default_rng(seed)
    p = rng.random(n)
    truth = (rng.random(n) < p).astype(float)
    sure = np.maximum(p, 1 - p)
    return [
        Record(
            f"r{k}", MONDAY + k * weeks * WEEK / n, "a", "stable", {}, {"probability": float(p[k])}, float(sure[k]),
            path=(Step("abstain", "unsure"),) if sure[k] < cut else (), label=float(truth[k]), **more,
        )
        for k in range(n)
    ]  # fmt: skip


def shown(found: Abstained) -> str:
    console = Console(file=io.StringIO(), width=200)
    console.print(abstained_text(found))
    return console.file.getvalue()


def test_the_weeks_begin_on_the_first_day_and_hold_every_row() -> None:
    made = rows()
    found = abstained(Window.of_all(made), Reading())
    assert [week.flagged.where for week in found.weeks] == ["2023-11-20", "2023-11-27", "2023-12-04"]
    assert sum(week.rows for week in found.weeks) == found.overall.rows == 3000
    assert abstained(Window.of_all(rows(weeks=0.9)), Reading()).weeks == ()


def test_errors_grow_from_the_surest_answers_to_the_least_sure() -> None:
    parts = abstained(Window.of_all(rows()), Reading()).by_doubt
    assert sum(part.n for part in parts) == 3000
    assert [part.value for part in parts] == sorted(part.value for part in parts)
    assert parts[0].value < 0.1 < 0.4 < parts[-1].value
    assert parts[0].where.startswith("confidence 0.9")
    assert abstained(Window.of_all(rows(90)), Reading()).by_doubt == ()


def test_rows_of_one_doubt_stay_together() -> None:
    alike = [msgspec.structs.replace(row, confidence=0.7) for row in rows(200)]
    (part,) = abstained(Window.of_all(alike), Reading()).by_doubt
    assert (part.n, part.where) == (200, "confidence 0.7")


def test_a_promise_is_held_against_what_was_answered_under_it() -> None:
    window = Window.of_all(rows())
    every = np.ones(window.n, bool)
    assert abstained(window, Reading(), (), Promise(0.3, every)).promise.decision == "pass"
    broken = abstained(window, Reading(), (), Promise(0.05, every)).promise
    assert (broken.decision, broken.evidence[0].n) == ("fail", int((~window.steps["abstain"]).sum()))
    assert abstained(window, Reading(), (), Promise(0.3, ~every)).promise.decision == "wait"
    assert abstained(window, Reading(), (), Promise(0.0, every)).promise is None


def test_people_are_told_from_other_sources_and_all_of_them_are_listed() -> None:
    made = rows()
    flagged = [row for row in made if row.path]
    labels = [Label(row.id, row.label or 0.0, row.at, "tower") for row in flagged]
    labels += [Label(row.id, 1.0, row.at, "person:anna") for row in flagged[:40]]
    labels += [Label(row.id, 1.0, row.at, "") for row in flagged[:3]]
    labels += [Label(next(row.id for row in made if not row.path), 1.0, 1.0, "elsewhere")]
    found = abstained(Window.of_all(made), Reading(), labels)
    assert found.overall.overrides.n == 40
    assert found.sources == {"tower": len(flagged), "person:anna": 40, "unknown": 3}
    assert "person:anna 40" in shown(found)
    none = abstained(Window.of_all(made), Reading(), labels[: len(flagged)])
    assert none.overall.overrides.n == 0
    assert "roadworthy label ID VALUE --by person:anna" in shown(none)


def test_withheld_answers_are_counted_and_asked_of_nobody() -> None:
    made = [msgspec.structs.replace(row, outputs={"probability": None}) if row.path else row for row in rows(300)]
    labels = [Label(row.id, 1.0, row.at, "person") for row in made if row.path]
    found = abstained(Window.of_all(made), Reading(), labels)
    assert found.withheld == len(labels) == round(found.overall.flagged.value * 300)
    assert (found.overall.overrides.n, found.overall.accuracy_flagged.n) == (0, 0)
    assert "were withheld" in shown(found)


def test_a_stretch_without_flags_or_confidence_says_what_is_not_known() -> None:
    silent = [msgspec.structs.replace(row, confidence=None) for row in rows(400, cut=0.0)]
    silent[0] = msgspec.structs.replace(silent[0], outputs={"probability": float("nan")})
    found = abstained(Window.of_all(silent), Reading())
    assert found.by_doubt == ()
    assert (found.overall.flagged.value, found.overall.accuracy.n) == (0.0, 399)
    assert any("no row was flagged" in note for note in found.notes)
    assert any("doubt is not measured" in note for note in found.notes)


def test_few_rows_are_said_to_be_too_few_and_drawn_nowhere() -> None:
    made = rows(60, weeks=2)
    told = shown(abstained(Window.of_all(made), Reading(), [Label(made[0].id, 1.0, 1.0, "person")]))
    assert "too few (" in told
    assert "○──" not in told
    assert "○──" in shown(abstained(Window.of_all(rows()), Reading()))


def test_numbers_have_a_mean_error_by_doubt_until_a_tolerance_says_what_is_wrong() -> None:
    rng = np.random.default_rng(0)
    made = [
        Record(f"{k}", MONDAY + k, "a", "stable", {}, {"y": 0.0, "spread": float(s)}, label=float(rng.normal(0, s)))
        for k, s in enumerate(rng.uniform(1, 9, 500))
    ]
    reading = Reading("y", number=True, doubt="spread", unsure="above")
    plain = abstained(Window.of_all(made), reading)
    assert [part.name for part in plain.by_doubt] == ["error"] * 5
    assert plain.by_doubt[0].value < plain.by_doubt[-1].value
    assert plain.by_doubt[0].where.startswith("spread 1")
    assert any("--tolerance" in note for note in plain.notes)
    assert "mean error" in shown(plain)
    within = abstained(Window.of_all(made), Reading("y", number=True, tolerance=5.0, doubt="spread", unsure="above"))
    assert {part.name for part in within.by_doubt} == {"wrong"}


@pytest.mark.parametrize("n", [0, 1, 500])
def test_it_goes_to_json_and_back(n: int) -> None:
    made = [*rows(n), Record("failed", MONDAY, "a", "stable", {}, {"probability": None}, error="late")]
    found = abstained(Window.of_all(made), Reading(), (), Promise(0.2, np.ones(n + 1, bool)))
    assert found.overall.failed == 1
    raw = msgspec.json.encode(found)
    assert msgspec.json.encode(msgspec.json.decode(raw, type=Abstained)) == raw
    assert shown(found)
