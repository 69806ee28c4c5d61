"""The degenerations of a text are found at a fitted threshold, and normal texts are left in peace."""

from __future__ import annotations

import inspect
import math
import re
from random import Random

import numpy as np
import pytest
from scipy.stats import hypergeom

from roadworthy.core.tidy import as_windows
from roadworthy.observe.texts.text_health import TextBaseline, judged, more_than_chance
from roadworthy.observe.texts.text_measures import measured


def english() -> list[str]:
    """Paragraphs that people wrote: numpy's own docstrings."""
    modules = (np, np.linalg, np.fft, np.random, np.ma, np.polynomial.polynomial, np.char)
    documented = {name: inspect.getdoc(each) or "" for module in modules for name, each in vars(module).items()}
    paragraphs = (" ".join(p.split()) for doc in documented.values() for p in re.split(r"\n\s*\n", doc))
    prose = (
        p for p in paragraphs if len(p) > 150 and p[0].isupper() and p[-1] in ".!?" and ">>>" not in p and "==" not in p
    )
    return list(dict.fromkeys(prose))


@pytest.fixture(scope="module")
def halves() -> tuple[TextBaseline, list[str]]:
    texts = english()
    Random(3).shuffle(texts)
    half = len(texts) // 2
    assert half > 150
    return TextBaseline.fit([measured(text) for text in texts[:half]]), texts[half:]


def sentence_loop(text, rng):
    sentences = re.split(r"(?<=[.!?]) ", text)
    return " ".join([*sentences[:-1], *[sentences[-1]] * rng.randint(4, 10)])


def word_loop(text, rng):
    words = text.split()
    return " ".join([*words[:20], *words[20:23] * rng.randint(8, 30)])


def truncated(text, rng):
    words = [word.strip(".!?:;\"')]") for word in text.split()]
    return " ".join(words[: rng.randint(len(words) // 4, 3 * len(words) // 4)])


def collapse(text, rng):
    words = text.split()
    return " ".join([*words[: len(words) // 4], *rng.choices(words[:8], k=len(words))])


def mojibake(text, rng):
    return as_windows("“" + text.replace("'", "’") + "”")


def gibberish(text, rng):
    return " ".join("".join(rng.choices("etaoinshrdlu", k=len(word))) for word in text.split()) + "."


@pytest.mark.parametrize(
    ("spoil", "faults"),
    [
        (sentence_loop, {"loops"}),
        (word_loop, {"loops"}),
        (truncated, {"unfinished"}),
        (collapse, {"few_words", "repeats"}),
        (mojibake, {"mojibake"}),
    ],
)
def test_nine_of_ten_spoilt_texts_are_found(halves, spoil, faults):
    baseline, fresh = halves
    rng = Random(4)
    found = [set(baseline.faults(measured(spoil(text, rng)))) & faults for text in fresh]
    assert sum(map(bool, found)) >= 0.9 * len(fresh)


def test_gibberish_is_seen_by_the_probabilities_of_its_tokens_and_by_nothing_else(halves):
    baseline, fresh = halves
    rng = Random(5)
    seen = sum(bool(baseline.faults(measured(gibberish(text, rng)))) for text in fresh)
    assert seen < 0.2 * len(fresh)
    sure = TextBaseline.fit([measured(text, log_probability=-1 - rng.random()) for text in fresh])
    assert sure.faults(measured(gibberish(fresh[0], rng), log_probability=-6.0)) == ("unsure",)


def test_normal_texts_are_left_in_peace(halves):
    baseline, fresh = halves
    told = [fault for text in fresh for fault in baseline.faults(measured(text))]
    for fault in baseline.thresholds:
        # One in a hundred is what each may: 6 of 200 would be a surprise of one in a hundred.
        assert told.count(fault) <= 0.03 * len(fresh), fault


def test_a_fault_that_is_usual_is_none_of_a_single_text():
    half_open = [measured("It ends" if k % 2 else "It ends.") for k in range(400)]
    baseline = TextBaseline.fit(half_open)
    assert baseline.faults(measured("It ends")) == ()
    # More of it is still seen over a window.
    assert judged(baseline, [measured("It ends")] * 200).decision == "fail"


def test_too_few_texts_fit_no_threshold():
    baseline = TextBaseline.fit([measured(f"Text {k} is short.") for k in range(50)])
    assert baseline.thresholds["loops"] == math.inf
    assert "loops" not in baseline.faults(measured("yes " * 100))


def test_thresholds_hold_for_one_text_in_a_hundred():
    rng = np.random.default_rng(0)
    above = []
    for _ in range(400):
        values = rng.exponential(size=301)
        baseline = TextBaseline.fit([{"loops": value} for value in values[:300]])
        above.append(bool(baseline.faults({"loops": values[300]})))
    assert np.mean(above) <= 0.02


def test_a_window_waits_where_it_is_thin(halves):
    baseline, fresh = halves
    verdict = judged(baseline, [measured(fresh[0])] * 10)
    assert verdict.decision == "wait"
    assert "10 texts against" in verdict.because
    assert judged(TextBaseline.fit([]), [measured("a")] * 100).decision == "wait"


def test_a_window_of_normal_texts_passes_and_one_with_loops_fails(halves):
    baseline, fresh = halves
    rng = Random(6)
    assert judged(baseline, [measured(text) for text in fresh]).decision == "pass"
    some = [measured(sentence_loop(text, rng) if k % 10 == 0 else text) for k, text in enumerate(fresh)]
    verdict = judged(baseline, some, "answer")
    assert verdict.decision == "fail"
    assert verdict.because.startswith("answer: ")
    assert "loops" in verdict.because
    worst = verdict.evidence[0]
    assert (worst.name, worst.where) == ("text_health", "answer")
    assert worst.low <= worst.value <= worst.high
    assert worst.conditions["p"] < 0.001


def test_a_rise_too_small_to_matter_alarms_nobody():
    baseline = TextBaseline.fit([{"loops": float(k)} for k in range(100_000)])
    window = [{"loops": float(k % 100_000)} for k in range(100_000)]
    window[:500] = [{"loops": 1e9}] * 500
    assert judged(baseline, window).decision == "pass"
    assert judged(baseline, window, least_rise=0.001).decision == "fail"


@pytest.mark.parametrize(
    ("hits", "n", "before", "of"), [(5, 100, 2, 300), (0, 9, 3, 9), (9, 9, 1, 9), (40, 90, 3, 1000)]
)
def test_the_exact_test_is_fishers(hits, n, before, of):
    expected = hypergeom.sf(hits - 1, n + of, n, hits + before)
    assert more_than_chance(hits, n, before, of) == pytest.approx(expected, rel=1e-9)


def test_false_alarms_of_a_window_keep_to_alpha_although_thresholds_are_fitted():
    rng = np.random.default_rng(1)
    alarms = 0
    for _ in range(300):
        before, now = ([{"loops": v, "repeats": v + rng.normal()} for v in rng.normal(size=300)] for _ in range(2))
        alarms += judged(TextBaseline.fit(before), now, alpha=0.05, least_rise=0.0).decision == "fail"
    assert alarms <= 0.05 * 300 + 3 * (0.05 * 300) ** 0.5


def test_an_alpha_that_is_none_is_refused():
    with pytest.raises(ValueError, match="`alpha` must be between 0 and 1, got 0"):
        TextBaseline.fit([], alpha=0)
