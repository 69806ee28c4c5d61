from __future__ import annotations

import msgspec
import numpy as np
import pytest
from scipy.stats import binom

from roadworthy.route.cascades.fits import Target
from roadworthy.route.cascades.stream import STAKES, Errors, Stream, Tally, shared_out

NINE = Target(precision=0.9, recall=0.9, delta=0.2)


def through(stream, scores, truth, rng, size=1000):
    """The answers, and whether precision or recall was ever below 0.9 after a batch."""
    answers, missed = np.zeros(0, bool), False
    for start in range(0, len(scores), size):
        part = truth[start : start + size]
        found = stream.answer(scores[start : start + size], lambda asked, part=part: part[asked], rng)
        answers = np.concatenate([answers, found.positive])
        hits, so_far = (answers & truth[: len(answers)]).sum(), truth[: len(answers)].sum()
        missed |= bool(hits < 0.9 * answers.sum() or hits < 0.9 * so_far)
    return answers, missed


@pytest.mark.parametrize("clustered", [False, True])
def test_no_batch_is_below_the_targets_oftener_than_delta(rows, clustered):
    missed = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        scores, truth = rows(6000, rng)
        order = np.argsort(scores) if clustered else np.arange(6000)
        missed += through(Stream(NINE), scores[order], truth[order], rng)[1]
    assert missed <= binom.ppf(0.999, 40, 0.2)


def test_the_bound_on_all_errors_is_exceeded_no_oftener_than_delta():
    rng, exceeded = np.random.default_rng(0), 0
    for _ in range(300):
        errors, total, ever = Errors(), 0, False
        for _ in range(10):
            n, share = int(rng.integers(200, 900)), float(rng.uniform(0.05, 0.3))
            # How many errors there are follows what was found before, as thresholds do.
            wrong = int(n * min(0.1, 0.02 + errors.left(0.2) / 20_000))
            drawn = int(np.ceil(share * n))
            total, errors = total + wrong, errors.drawn(int(rng.hypergeometric(wrong, n - wrong, drawn)), drawn / n)
            ever |= total > errors.left(0.2)
        exceeded += ever
    assert exceeded <= binom.ppf(0.999, 300, 0.2)


def test_stakes_that_a_draw_is_too_thin_for_are_lost():
    thin = Errors().drawn(1, 0.01)
    assert [np.isfinite(score) for score in thin.scores] == [stake < 0.01 for stake in STAKES]
    assert np.isfinite(thin.left(0.1))


def test_later_batches_send_on_less(rows):
    rng = np.random.default_rng(0)
    scores, truth = rows(20_000, rng)
    stream, sent = Stream(NINE), []
    for start in range(0, 20_000, 2000):
        part = truth[start : start + 2000]
        sent.append(
            stream.answer(scores[start : start + 2000], lambda asked, part=part: part[asked], rng).by_last.mean()
        )
    assert np.mean(sent[-3:]) < sent[0] - 0.1


def test_when_scores_turn_round_the_promise_holds_and_the_plan_is_made_anew(rows):
    rng = np.random.default_rng(0)
    scores, truth = rows(12_000, rng)
    scores = np.concatenate([scores[:6000], 1 - scores[6000:]])
    stream = Stream(NINE)
    _, missed = through(stream, scores, truth, rng)
    assert not missed
    assert 1 <= stream.tally.drifts <= 2
    steady = Stream(NINE)
    through(steady, np.concatenate([scores[:6000], 1 - scores[6000:]]), truth, rng)
    assert steady.tally.drifts == 0
    assert steady.tally.delegation < stream.tally.delegation


def test_workers_that_share_delta_add_up(rows, worst):
    rng = np.random.default_rng(0)
    each = shared_out(NINE, 3)
    assert each.delta == pytest.approx(NINE.delta / 3)
    whole, answers, truths = Tally(), [], []
    for _ in range(3):
        scores, truth = rows(4000, rng)
        worker = Stream(each)
        answers.append(through(worker, scores, truth, rng)[0])
        truths.append(truth)
        whole = whole.merge(worker.tally)
    assert whole.rows == 12_000
    least = whole.reached()
    assert min(least) >= 0.9 - 1e-9
    assert worst(np.concatenate(answers), np.concatenate(truths)) >= min(least)


def test_a_tally_is_a_monoid_and_goes_to_json(rows):
    rng = np.random.default_rng(0)
    tallies = []
    for _ in range(3):
        scores, truth = rows(1500, rng)
        stream = Stream(NINE)
        through(stream, scores, truth, rng)
        tallies.append(stream.tally)
    a, b, c = tallies
    assert Tally().merge(a) == a == a.merge(Tally())
    left, right = a.merge(b).merge(c), a.merge(b.merge(c))
    assert left.rows == right.rows
    assert left.yes.scores == pytest.approx(right.yes.scores)
    assert msgspec.json.decode(msgspec.json.encode(a), type=Tally) == a


@pytest.mark.parametrize("n", [0, 1, 7])
def test_small_batches_are_answered(n):
    stream = Stream(NINE)
    found = stream.answer(np.linspace(0, 1, n), lambda asked: asked > 3, np.random.default_rng(0))
    assert len(found.positive) == n
    assert stream.tally.rows == n


def test_settings_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match=r"`share` must lie between 0\.01 and 1, got 0\.0"):
        Stream(NINE, share=0.0)
    with pytest.raises(ValueError, match="`workers` must be at least 1, got 0"):
        shared_out(NINE, 0)
