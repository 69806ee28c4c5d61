"""An incident read from a real state directory: rows, baseline, changes and the machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from roadworthy.core.errors import BadData
from roadworthy.core.record import Record
from roadworthy.observe.root_cause.change_log import note_host
from roadworthy.observe.root_cause.host import HostSample, keep_sample
from roadworthy.observe.root_cause.incident import baseline, collect, investigate
from roadworthy.store.state import State
from roadworthy.testing.incidents import frame

DAY, THREE = 86_400.0, 30 * 86_400.0 + 3 * 3600.0


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with State.open(tmp_path / "state", "process") as opened:
        yield opened


def write(state: State, rows: pl.DataFrame, text: str = "word ") -> None:
    """The rows as records, each with a text of as many letters as it has tokens."""
    records = []
    for k, row in enumerate(rows.iter_rows(named=True)):
        parts = {group: {} for group in ("seconds", "tags", "outputs")}
        for name, value in row.items():
            group, _, key = name.partition(".")
            if group in parts and value is not None:
                parts[group][key] = value
        letters = (text * (row["tokens"] // len(text) + 1))[: row["tokens"]]
        records.append(
            Record(row["id"], row["at"], row["release"], row["arm"], {"text": f"{letters}{k}", "n": k % 3},
                   parts["outputs"], seconds=parts["seconds"], tags=parts["tags"], error=row["error"])
        )  # fmt: skip
    state.records.write(records)


def test_the_cause_is_found_in_what_a_server_recorded(state):
    rng = np.random.default_rng(0)
    write(state, frame(4000, rng, THREE - 3600, THREE))
    write(state, frame(1500, rng, THREE, THREE + 1200, slow={"tenant": "birch"}))
    note_host(state.engine, THREE, "toy", "a neighbour moved in")
    for k in range(10):
        keep_sample(state, HostSample(THREE + 60.0 * k, busy=0.5))
        keep_sample(state, HostSample(THREE - 60.0 * (k + 1), busy=0.2))
    found = investigate(state, "toy", THREE, THREE + 1200, "p95")
    assert found.causes[0].what == "tenant=birch"
    assert found.baseline == "the 60 minutes before"
    assert [c.change.text for c in found.changes] == ["a neighbour moved in"]
    assert next(r for r in found.saturation if r.name == "busy").moved
    assert any(m.dimension == "text length" for m in found.mixes)


def test_the_same_time_on_earlier_days_is_preferred_where_three_have_rows(state):
    rng = np.random.default_rng(0)
    for day in (1, 2, 7):
        write(state, frame(250, rng, THREE - day * DAY, THREE - day * DAY + 1200))
    write(state, frame(250, rng, THREE - 3600, THREE))
    when = baseline(state.records.scan, THREE, THREE + 1200)
    assert when.baseline == "the same time on 3 earlier days"
    assert [round((THREE - a) / DAY) for a, _ in when.periods] == [1, 2, 7]
    assert when.seconds == (1200.0, 3600.0)


def test_the_stretch_before_is_longer_where_there_is_little_traffic(state):
    write(state, frame(300, np.random.default_rng(0), THREE - 7200, THREE - 5400))
    when = baseline(state.records.scan, THREE, THREE + 600)
    assert when.periods == ((THREE - 7200, THREE),)
    assert when.baseline == "the 2 hours before"


def test_one_earlier_day_is_better_than_nothing(state):
    write(state, frame(300, np.random.default_rng(0), THREE - 7 * DAY, THREE - 7 * DAY + 600))
    assert baseline(state.records.scan, THREE, THREE + 600).baseline == "the same time 7 days before"


def test_a_window_without_rows_names_the_nearest_that_there_are(state):
    write(state, frame(50, np.random.default_rng(0), THREE - 600, THREE - 300))
    with pytest.raises(BadData, match=r"no records between .* 03:00:00 UTC and .*; the nearest is of .* 02:5\d"):
        investigate(state, "toy", THREE, THREE + 600)
    with pytest.raises(BadData, match="nor within a day of that"):
        investigate(state, "toy", 50 * DAY, 50 * DAY + 600)


def test_without_any_baseline_it_says_so(state):
    write(state, frame(50, np.random.default_rng(0), THREE, THREE + 600))
    with pytest.raises(BadData, match="nothing to compare with: no records in the"):
        investigate(state, "toy", THREE, THREE + 600)


def test_texts_are_read_as_their_lengths_and_vectors_not_at_all(state):
    write(state, frame(300, np.random.default_rng(0), 0.0, 600.0))
    lazy = state.records.scan(0.0, 600.0).with_columns(pl.lit([1.0, 2.0]).alias("inputs.vector"))
    found = collect(lazy, "p99")
    assert "inputs.text length" in found.columns
    assert not {"inputs.text", "inputs.vector"} & set(found.columns)
    assert found["inputs.text length"].dtype == pl.Float64


def test_a_large_baseline_is_thinned_out(state):
    write(state, frame(300, np.random.default_rng(0), 0.0, 600.0))
    assert collect(state.records.scan(0.0, 600.0), "p99", most=100).height == 100


def test_vectors_of_answers_are_read_where_a_class_is_told_by_them():
    lazy = pl.LazyFrame({"id": ["a"], "at": [0.0], "outputs.scores": [[0.1, 0.9]]})
    assert "outputs.scores" in collect(lazy, "accuracy").columns
    assert "outputs.scores" not in collect(lazy, "p99").columns
