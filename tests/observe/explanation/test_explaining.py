"""A share of the predictions is explained in the background, within its budget, and what is kept comes back."""

from __future__ import annotations

import pytest

from roadworthy.core.errors import BadData
from roadworthy.core.record import Record
from roadworthy.core.spec import Monitor
from roadworthy.observe.explanation.attributions import exact
from roadworthy.observe.explanation.explaining import (
    attribution_of,
    explain_share,
    forget_attributions,
    is_drawn,
    keep_attribution,
)
from roadworthy.store.state import State

ALL = Monitor(explain_share=1.0, explain_cpu_share=0.02)


def row(k, arm="stable", error=None):
    return Record(f"r{k}", float(k), "d" * 64, arm, {"x": float(k)}, {"probability": 0.5}, error=error)


def attribution(record):
    return exact("exact linear", "1", 0.5, {"x": record.inputs["x"]}, 10, 0.001)


class Cpu:
    """A process that spends what it is told to."""

    def __init__(self) -> None:
        self.spent = 0.0

    def __call__(self) -> float:
        return self.spent

    def costing(self, seconds):
        def attribute(record):
            self.spent += seconds
            return attribution(record)

        return attribute


@pytest.fixture
def state(tmp_path):
    with State.open(tmp_path / "state", "process") as opened:
        opened.records.write([row(0)])
        explain_share(opened, ALL, attribution, 1000.0)
        yield opened


def test_the_first_turn_begins_with_what_comes_from_then_on(state):
    assert explain_share(state, ALL, attribution, 1001.0).drawn == 0
    assert attribution_of(state, row(0)) is None


def test_each_drawn_record_is_explained_once(state):
    state.records.write([row(k) for k in range(1, 6)])
    assert explain_share(state, ALL, attribution, 1100.0).kept == 5
    assert explain_share(state, ALL, attribution, 1200.0).drawn == 0
    assert attribution_of(state, row(3)).parts[0].value == 3.0


def test_failed_rows_and_shadows_are_not_drawn(state):
    state.records.write([row(1, error="Late: no"), row(2, "shadow"), row(3)])
    assert explain_share(state, ALL, attribution, 1100.0).drawn == 1


def test_what_does_not_fit_into_the_budget_is_skipped_and_counted(state):
    state.records.write([row(k) for k in range(1, 11)])
    cpu = Cpu()
    found = explain_share(state, ALL, cpu.costing(0.5), 1100.0, cpu)
    # 2 % of 100 seconds are 2 seconds.
    assert (found.kept, found.skipped, found.cpu_seconds) == (4, 6, 2.0)
    assert (found.share.value, found.share.n) == (0.4, 10)


def test_a_quiet_month_saves_up_no_more_than_an_hours_budget(state):
    state.records.write([row(k) for k in range(1, 200)])
    cpu = Cpu()
    assert explain_share(state, ALL, cpu.costing(1.0), 1000.0 + 30 * 86_400, cpu).kept == 72


def test_a_record_that_cannot_be_explained_is_told_and_stops_nobody(state):
    state.records.write([row(k) for k in range(1, 4)])

    def refusing(record):
        if record.id == "r2":
            raise BadData("the answer is text")
        return attribution(record)

    found = explain_share(state, ALL, refusing, 1100.0)
    assert (found.kept, found.failed) == (2, ("r2: the answer is text",))


def test_the_newest_attribution_of_an_answer_stays(state):
    keep_attribution(state, row(1), attribution(row(7)), 10.0)
    keep_attribution(state, row(1), attribution(row(9)), 11.0)
    assert attribution_of(state, row(1)).parts[0].value == 9.0


def test_old_attributions_can_be_forgotten(state):
    for k in (1, 2):
        keep_attribution(state, row(k), attribution(row(k)), float(k))
    assert forget_attributions(state, 2.0) == 1
    assert attribution_of(state, row(1)) is None
    assert attribution_of(state, row(2)) is not None


def test_about_the_share_is_drawn_and_always_the_same_ids():
    drawn = [is_drawn(f"id-{k}", 0.01) for k in range(20_000)]
    assert 150 < sum(drawn) < 250
    assert drawn == [is_drawn(f"id-{k}", 0.01) for k in range(20_000)]
    assert not any(is_drawn(f"id-{k}", 0.0) for k in range(1000))
