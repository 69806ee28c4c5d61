"""An analysis in sentences."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import numpy as np

from roadworthy.observe.root_cause.change_log import Change
from roadworthy.observe.root_cause.why import Stretches, Why, why
from roadworthy.observe.root_cause.why_text import sentences, why_text
from roadworthy.testing.incidents import frame

WHEN = Stretches(3600.0, 4200.0, ((0.0, 3600.0),), "the hour before")


def diagnosed(metric: str = "p95", **fault) -> Why:
    rng = np.random.default_rng(0)
    then, now = frame(12_000, rng, 0.0, 3600.0), frame(4000, rng, 3600.0, 4200.0, **fault)
    return why(now, then, WHEN, metric, [Change(3590.0, "labels", "1,200 labels were joined")])


def test_the_sentences_say_what_when_where_and_why():
    told = sentences(diagnosed(slow={"tenant": "acme"}))
    assert told[0].startswith("P95 got worse between 1970-01-01 01:00:00 UTC and 1970-01-01 01:10:00 UTC: ")
    assert "ms in the hour before (4,000 and 12,000 rows)." in told[0]
    assert told[1] == "It began at 1970-01-01 01:00:00 UTC."
    assert "of the excess lies in the stage 'model'" in told[2]
    assert told[3].startswith("Very likely: tenant=acme is slow: ")
    assert told[-1] == "Nearest change: 1,200 labels were joined (1970-01-01 00:59:50 UTC)."


def test_times_are_on_the_clock_that_is_asked_for():
    assert "02:00:00 CET" in sentences(diagnosed(slow={"tenant": "acme"}), ZoneInfo("Europe/Zurich"))[0]


def test_where_nothing_happened_no_cause_is_told():
    told = sentences(diagnosed("mean", tenants={"acme": 1.0}))
    assert "did not get worse" in told[0]
    assert told[1].endswith("so there is no cause to look for.")
    assert len(told) == 2
    assert "causes:" not in why_text(diagnosed("mean"))
    assert sentences(diagnosed("mean"))[1].startswith("The rows do not show whether")


def test_the_text_has_a_table_for_each_part():
    text = why_text(diagnosed(slow={"tenant": "acme"}))
    for title in ("causes:", "stages", "slices", "mix and rate", "changes:", "saturation:", "requests to look at:"):
        assert f"\n{title}" in text
    assert "tenant=acme" in text
    assert all(len(line) < 240 for line in text.splitlines())


def test_an_error_rate_is_told_in_per_cent():
    assert "The error rate got worse" in sentences(diagnosed("errors", failing=0.2))[0]
    assert "%" in sentences(diagnosed("errors", failing=0.2))[0]
