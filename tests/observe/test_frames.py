from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from roadworthy.core.profile import Profile, Reference
from roadworthy.core.record import Record
from roadworthy.core.window import Window
from roadworthy.observe.detectors.drift import Drift
from roadworthy.observe.frames import profile_of, window_of


def records(n: int, seed: int = 0, shift: float = 0.0) -> list[Record]:
    rng = np.random.default_rng(seed)
    return [
        Record(
            f"{k:04d}",
            float(k),
            "r",
            "stable",
            {"x": rng.normal() + shift if k % 9 else None, "carrier": str(rng.choice(["AA", "UA"]))},
            {"p": rng.uniform()},
            rng.uniform(),
            tags={"origin": "JFK"} if k % 2 else {},
            label=float(k % 2) if k % 3 else None,
        )
        for k in range(n)
    ]


def frame_of(rows: list[Record], **more) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "id": [r.id for r in rows],
            "at": [r.at for r in rows],
            "error": [r.error for r in rows],
            "confidence": [r.confidence for r in rows],
            "label": [r.label for r in rows],
            "tags.origin": [r.tags.get("origin") for r in rows],
            "inputs.x": [r.inputs["x"] for r in rows],
            "inputs.carrier": [r.inputs["carrier"] for r in rows],
            "outputs.p": [r.outputs["p"] for r in rows],
            **more,
        },
        schema_overrides={"error": pl.String},
    )


def test_a_frame_of_the_log_is_counted_like_its_records():
    rows = records(500)
    assert Profile.of(window_of(frame_of(rows))) == Profile.of(Window.of(rows))
    window = window_of(frame_of(rows))
    assert window.tags["origin"].tolist()[:2] == ["", "JFK"]
    assert window.ids.tolist()[:2] == ["0000", "0001"]


def test_failed_rows_and_columns_that_no_row_has_are_left_out():
    rows = records(20)
    failed = frame_of(rows).with_columns(error=pl.when(pl.col("at") < 5).then(pl.lit("timeout")))
    empty = failed.with_columns(pl.lit(None, pl.Float64).alias("inputs.unknown"))
    window = window_of(empty)
    assert window.n == 15
    assert list(window.inputs) == ["x", "carrier"]


def test_a_frame_without_rows_or_columns_is_an_empty_window():
    assert window_of(frame_of([])).n == 0
    assert window_of(pl.DataFrame({"at": [1.0, 2.0]})).n == 2


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_a_log_is_judged_piece_by_piece(shift):
    reference = Reference.of(records(2000))
    rows = records(900, 1, shift)
    pieces = (frame_of(rows[k : k + 300]) for k in (0, 300, 600))
    current = profile_of(pieces, reference.profile)
    assert current.n == 900
    assert Drift().judge(reference.profile, current) == Drift()(reference, Window.of(rows))


def test_the_first_piece_fixes_the_cells_of_a_new_profile():
    rows = records(900)
    whole = profile_of(frame_of(rows[k : k + 300]) for k in (0, 300, 600))
    assert whole.inputs["x"].n == 900
    assert whole.inputs["x"].grid == Profile.of(Window.of(rows[:300])).inputs["x"].grid
    assert profile_of([]) == Profile()
