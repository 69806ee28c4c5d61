from __future__ import annotations

from io import StringIO

import msgspec
import numpy as np
import pytest
from rich.console import Console

from roadworthy.core.profile import Profile, Reference
from roadworthy.core.window import Window
from roadworthy.observe.base import detector
from roadworthy.observe.detectors.drift import Drift
from roadworthy.observe.drift.drift_report import DriftReport, drift_report, histogram, table
from roadworthy.observe.drift.pairs import pair

QUESTIONS = ("Why was my card declined today?", "How do I close my account now?", "Please send me a new card soon")


def window(n: int, seed: int, **changed) -> Window:
    rng = np.random.default_rng(seed)
    questions = np.array([f"{q} {word}" for q in QUESTIONS for word in ("thanks", "please", "hello", "dear")], object)
    p = rng.beta(2, 5, n)
    inputs = {
        "temperature": rng.normal(size=n),
        "flag": (rng.random(n) < 0.03).astype(float),
        "carrier": rng.choice(np.array(["AA", "UA", "B6"], object), n, p=[0.6, 0.3, 0.1]),
        "question": rng.choice(questions, n),
    }
    outputs = {"probability": changed.pop("probability", p)}
    confidence = changed.pop("confidence", np.maximum(p, 1 - p))
    return Window({**inputs, **changed}, outputs, np.full(n, np.nan), np.arange(float(n)), confidence=confidence)


REFERENCE = Reference.of(window(5000, 0))


def moved(verdict) -> list[str]:
    if verdict.decision != "fail":
        return []
    count = int(verdict.because.split(" of ")[0])
    return [m.where for m in verdict.evidence[:count]]


def test_nothing_moved_is_calm_over_inputs_outputs_and_confidence():
    verdict = Drift()(REFERENCE, window(1000, 1))
    assert verdict.decision == "pass"
    assert {m.where for m in verdict.evidence} >= {"temperature", "carrier", "question", "probability", "confidence"}


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"temperature": np.random.default_rng(2).normal(size=800) + 1}, {"temperature"}),
        ({"temperature": 1.6 * np.random.default_rng(2).normal(size=800)}, {"temperature"}),
        ({"flag": 100.0 * (np.arange(800) % 30 == 0)}, {"flag"}),
        ({"carrier": np.array(["B6", "AA"] * 400, object)}, {"carrier"}),
        ({"carrier": np.array(["ZZ"] * 800, object)}, {"carrier"}),
        ({"probability": np.full(800, 0.5)}, {"probability"}),
        ({"confidence": np.full(800, 0.99)}, {"confidence"}),
    ],
    ids=["a shift", "a spread", "a unit", "a mix", "a new value", "an output", "confidence"],
)
def test_what_moved_is_found_and_named(changed, names):
    assert set(moved(Drift()(REFERENCE, window(800, 3, **changed)))) == names


@pytest.mark.parametrize(
    ("texts", "names"),
    [
        (["Warum wurde meine Karte nicht angenommen und was ist das"], {"question.language", "question.new_terms"}),
        ([f"{QUESTIONS[0]} thanks", f"{QUESTIONS[1]} \x00\x00 hello"], {"question.special"}),
        ([None, *QUESTIONS], {"question"}),
        ([QUESTIONS[0] * 20], {"question.length", "question.words"}),
        (["kyc avs chargeback psd2 sca merchant acquirer bin"], {"question.new_terms"}),
        (["1234 5678 9012 3456 card please dear thanks"], {"question.digits"}),
    ],
    ids=["another language", "control characters", "nulls", "long ones", "jargon", "digits"],
)
def test_texts_that_changed_are_found_by_what_changed(texts, names):
    found = Drift()(REFERENCE, window(800, 3, question=np.array((texts * 800)[:800], object)))
    assert set(moved(found)) >= names


def test_one_planted_value_changes_no_verdict_and_hides_no_shift():
    for n in (50, 300, 5000):
        for shift, expected in ((0.0, []), (1.0, ["temperature"])):
            values = np.random.default_rng(n).normal(size=n) + shift
            values[0] = 1e6
            assert moved(Drift()(REFERENCE, window(n, n + 1, temperature=values))) == expected


def test_a_trifle_is_no_alarm_however_many_rows():
    rows = window(60_000, 5)
    rows.inputs["temperature"][:] += 0.08
    assert Drift()(Reference.of(window(60_000, 6)), rows).decision == "pass"
    assert moved(Drift(least=0.001)(Reference.of(window(60_000, 6)), rows)) == ["temperature"]


def test_columns_that_vanish_and_come_are_told():
    rows = window(500, 4)
    del rows.inputs["carrier"]
    verdict = Drift()(REFERENCE, Window({**rows.inputs, "extra": np.zeros(500)}, {}, rows.labels, rows.at))
    assert set(moved(verdict)) == {"carrier", "probability", "confidence"}
    assert verdict.because.endswith("; gone: carrier, probability, confidence; new, and so not compared: extra")


def test_waits_below_the_least_rows_and_on_a_reference_without_columns():
    assert "49 rows against 5000" in Drift()(REFERENCE, window(49, 1)).because
    empty = Reference.of(Window({}, {}, np.full(60, np.nan), np.zeros(60)))
    assert Drift()(empty, window(60, 1)).because.startswith("the reference has no column to compare; new")


@pytest.mark.parametrize("wrong", [{"bins": 1}, {"alpha": 0.0}, {"least": -1.0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Drift(**wrong)


def test_numbers_that_are_far_more_than_the_reference_are_calm_too():
    assert Drift()(Reference.of(window(200, 8)), window(20_000, 9)).decision == "pass"


@pytest.mark.parametrize("name", ["ks", "wasserstein", "kl", "jensen_shannon", "chi_square"])
@pytest.mark.parametrize("n", [50, 1000])
def test_every_single_measure_finds_a_shift_beside_a_wild_value_and_nothing_else(name, n):
    leaf = detector.make(name)
    calm, shifted = window(n, 11), window(n, 12)
    shifted.inputs["temperature"][:] += 1
    for rows in (calm, shifted):
        rows.inputs["temperature"][1] = 1e6
    assert moved(leaf(REFERENCE, calm)) == []
    assert moved(leaf(REFERENCE, shifted)) == ["temperature"]


def current(**changed) -> Profile:
    return Profile.of(window(800, 3, **changed), like=REFERENCE.profile)


def test_a_report_has_every_distance_and_both_histograms_of_a_column():
    report = drift_report(REFERENCE.profile, current(temperature=np.random.default_rng(1).normal(size=800) + 1))
    first = report.rows[0]
    assert (first.column, first.outcome, report.verdict.decision) == ("temperature", "moved", "fail")
    assert [m.name for m in first.distances] == [
        "psi", "kl", "jensen_shannon", "chi_square", "l_infinity", "ks", "wasserstein", "beyond",
    ]  # fmt: skip
    bars = first.histogram
    assert len(bars.edges) == len(bars.reference) + 1 == len(bars.names) + 1
    assert sum(bars.reference) == pytest.approx(1.0) == sum(bars.current)
    middles = np.add(bars.edges[1:], bars.edges[:-1]) / 2
    assert np.dot(middles, bars.current) - np.dot(middles, bars.reference) == pytest.approx(1.0, abs=0.1)


def test_a_report_goes_to_json_and_back():
    report = drift_report(REFERENCE.profile, current(extra=np.zeros(800)))
    assert msgspec.json.decode(msgspec.json.encode(report), type=DriftReport) == report


def test_a_report_says_what_is_gone_new_and_slight():
    rows = window(800, 3, extra=np.zeros(800))
    del rows.inputs["carrier"]
    report = drift_report(REFERENCE.profile, Profile.of(rows, like=REFERENCE.profile), Drift(least=50.0))
    assert {row.column: row.outcome for row in report.rows if row.outcome != "chance"} == {
        "carrier": "gone",
        "extra": "new",
    }
    shifted = current(temperature=np.random.default_rng(1).normal(size=800) + 1)
    slight = drift_report(REFERENCE.profile, shifted, Drift(least=50.0, least_beyond=1.0))
    assert slight.rows[0].outcome == "slight"


def test_a_report_of_too_few_rows_waits_and_claims_nothing():
    report = drift_report(REFERENCE.profile, Profile.of(window(10, 1), like=REFERENCE.profile))
    assert (report.verdict.decision, report.rows) == ("wait", ())
    nothing = drift_report(REFERENCE.profile, Profile())
    assert {row.outcome for row in nothing.rows} == {"gone"}


def test_the_table_is_read_in_a_terminal():
    console = Console(width=160, record=True, file=StringIO())
    console.print(table(drift_report(REFERENCE.profile, current(temperature=np.full(800, 3.0), extra=np.zeros(800)))))
    text = console.export_text()
    assert "800 rows against 5,000: fail" in text
    assert "temperature" in text
    assert "PSI" in text
    assert "new: not compared" in text


def test_a_constant_has_a_histogram():
    reference = Profile.of(Window({"x": np.full(60, 7.0)}, {}, np.full(60, np.nan), np.zeros(60)))
    (only,) = pair(reference, reference).pairs
    assert sum(histogram(only).reference) == pytest.approx(1.0)
