"""Experience is what was known at a time: history and records, and nothing from the future."""

from __future__ import annotations

from roadworthy.cli.experience import Experience
from roadworthy.core.record import Label, Record

BEGAN = 1_700_000_000.0 + 600 * 1000
HOUR = 3600.0


def answered(k: int) -> Record:
    inputs = {"radius": 10.0 + k, "texture": None, "smoothness": 0.1}
    return Record(f"r{k}", BEGAN + k * HOUR, "digest", "stable", inputs, {"probability": 0.5})


def test_it_begins_with_the_history_known_by_then(spec, state):
    experience = Experience(spec, state.records)
    assert experience.known(BEGAN + 2 * HOUR).n == 1000


def test_it_grows_with_outcomes_as_they_become_known(spec, state):
    state.records.write([answered(k) for k in range(4)])
    experience = Experience(spec, state.records)
    assert experience.known(BEGAN + 5 * HOUR).n == 1000
    state.records.write_labels([Label(f"r{k}", 1.0, BEGAN + (k + 5) * HOUR) for k in range(4)])
    assert experience.known(BEGAN + 6.5 * HOUR).n == 1002
    assert experience.known(BEGAN + 9 * HOUR).n == 1004
    assert experience.known(BEGAN + 9 * HOUR).n == 1004


def test_without_a_history_it_begins_with_nothing(spec, state, rewrite):
    bare = rewrite("  history: data/history.parquet\n", "")
    assert Experience(bare, state.records).known(BEGAN).n == 0


def test_a_row_carries_the_inputs_and_the_outcome(spec, state, rewrite):
    bare = rewrite("  history: data/history.parquet\n", "")
    state.records.write([answered(1)])
    state.records.write_labels([Label("r1", 1.0, BEGAN + 2 * HOUR)])
    known = Experience(bare, state.records).known(BEGAN + 3 * HOUR)
    assert known.columns["radius"].tolist() == [11.0]
    assert known.labels.tolist() == [1.0]
