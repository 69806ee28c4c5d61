from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.window import Window
from roadworthy.observe.quality.label_delay import Curve, arrival, as_known

HOUR, DAY = 3600.0, 86_400.0


def window(n=2000, days=10.0, delay=DAY, seed=0, share=1.0, until=np.inf):
    """Rows spread evenly; labels after an exponential delay, for a share of the rows, known up to `until`."""
    rng = np.random.default_rng(seed)
    at = np.sort(rng.uniform(0, days * DAY, n))
    known_at = at + rng.exponential(delay, n)
    gone = (rng.random(n) >= share) | (known_at > until)
    labels = (rng.random(n) < 0.5).astype(float)
    return Window({}, {}, np.where(gone, np.nan, labels), at, known_at=np.where(gone, np.nan, known_at))


def test_only_what_was_known_counts():
    rows = window()
    cut = as_known(rows, 5 * DAY)
    assert cut.n == (rows.at <= 5 * DAY).sum()
    assert np.nanmax(cut.known_at) <= 5 * DAY
    assert (np.isnan(cut.labels) == np.isnan(cut.known_at)).all()


def test_the_curve_is_that_of_the_delays_though_many_labels_are_still_to_come():
    rows = as_known(window(n=20_000), 10 * DAY)
    seen = ~np.isnan(rows.labels)
    curve = Curve.fit(np.where(seen, rows.known_at, 10 * DAY) - rows.at, seen)
    ages = np.array([0.5, 1.0, 2.0]) * DAY
    np.testing.assert_allclose(curve.at(ages), 1 - np.exp(-ages / DAY), atol=0.02)


def test_due_is_when_nearly_all_labels_are_there_and_younger_rows_are_censored():
    rows = window(n=5000)
    came, mature = arrival(rows, 10 * DAY)
    assert came.delay.due_seconds == pytest.approx(3 * DAY, rel=0.15)  # 95 % of an exponential
    assert came.delay.median_seconds == pytest.approx(0.69 * DAY, rel=0.15)
    assert came.young == (~mature).sum() == pytest.approx(1500, rel=0.1)
    assert came.labelled.value > 0.95
    assert came.stream.decision == "pass"


def test_rows_that_never_get_a_label_are_missing_and_not_young():
    came, _ = arrival(window(n=5000, share=0.4), 10 * DAY)
    assert came.delay.due_seconds == pytest.approx(3 * DAY, rel=0.2)
    assert came.labelled.low < 0.4 < came.labelled.high + 0.02
    assert came.delay.by_age[-1].value == pytest.approx(0.4, abs=0.03)


def test_a_window_shorter_than_the_delay_waits_instead_of_trusting_the_fast_ones():
    came, mature = arrival(window(delay=30 * DAY), 10 * DAY)
    assert not came.delay.ripe
    assert not mature.any()
    assert came.stream.decision == "wait"
    assert "look further back" in came.stream.because


def test_the_reference_says_when_labels_are_due_where_the_window_cannot():
    came, mature = arrival(window(delay=30 * DAY, days=200), 200 * DAY, window(delay=30 * DAY, seed=9))
    assert came.delay.due_seconds == pytest.approx(90 * DAY, rel=0.1)
    assert mature.sum() == pytest.approx(1100, rel=0.1)


def test_labels_that_stopped_are_an_alarm_and_a_daily_file_is_not():
    stopped = window(until=7 * DAY)
    came, _ = arrival(stopped, 9 * DAY)
    assert came.stream.decision == "fail"
    assert "labels stopped: the last label came 2.0 days ago" in came.stream.because
    daily = window(delay=HOUR)
    filed = np.ceil(daily.known_at / DAY) * DAY
    batches = Window({}, {}, daily.labels, daily.at, known_at=filed)
    assert arrival(batches, 8.95 * DAY)[0].stream.decision == "pass"


def test_a_quiet_night_without_rows_is_no_stop():
    rows = window(delay=HOUR, days=2.0)
    assert arrival(rows, 2 * DAY + 12 * HOUR)[0].stream.decision == "pass"


def test_a_clock_that_jumped_back_counts_as_no_delay():
    rows = window(n=500, delay=HOUR)
    rows.known_at[:7] = rows.at[:7] - 100.0
    came, _ = arrival(rows, 20 * DAY)
    assert came.delay.reordered == 7
    assert came.labelled.value > 0.99


def test_without_times_every_row_is_mature_and_nothing_is_said_of_the_stream():
    rows = Window({}, {}, np.array([1.0, np.nan]), np.zeros(2))
    came, mature = arrival(rows, 1.0)
    assert mature.all()
    assert (came.labelled.value, came.stream.decision) == (0.5, "wait")


def test_rows_without_any_label_yet_are_young_by_the_reference():
    rows = window(until=0.0, days=1.0)
    came, mature = arrival(rows, DAY, window(seed=9))
    assert not mature.any()
    assert "no label is known yet" in came.stream.because


def test_no_rows_have_no_labels():
    empty = Window({}, {}, np.empty(0), np.empty(0), known_at=np.empty(0))
    came, _ = arrival(empty, 1.0)
    assert (came.rows, came.labelled.n, came.stream.decision) == (0, 0, "wait")
