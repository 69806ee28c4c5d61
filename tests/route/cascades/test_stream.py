from __future__ import annotations

import msgspec
import numpy as np
import pytest
from scipy.stats import binom

from roadworthy.core.errors import BadData
from roadworthy.route.cascades.fits import Target
from roadworthy.route.cascades.stream import Progress, Stream
from roadworthy.route.cascades.tally import Tally, shared_out

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
    for seed in range(24):
        rng = np.random.default_rng(seed)
        scores, truth = rows(6000, rng)
        order = np.argsort(scores) if clustered else np.arange(6000)
        missed += through(Stream(NINE), scores[order], truth[order], rng)[1]
    assert missed <= binom.ppf(0.999, 24, 0.2)


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
    least = whole.reached(NINE)
    assert min(least) >= 0.9 - 1e-9
    assert worst(np.concatenate(answers), np.concatenate(truths)) >= min(least)


@pytest.mark.parametrize("n", [0, 1, 7])
def test_small_batches_are_answered(n):
    stream = Stream(NINE)
    found = stream.answer(np.linspace(0, 1, n), lambda asked: asked > 3, np.random.default_rng(0))
    assert len(found.positive) == n
    assert stream.tally.rows == n


@pytest.mark.parametrize("order", ["clustered", "drifting"])
def test_the_promise_holds_after_every_batch_when_the_scores_lose_their_meaning(rows, order):
    missed = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        scores, truth = rows(5000, rng)
        if order == "drifting":
            # More and more of the later rows are labelled by a coin.
            lost = rng.random(5000) < np.linspace(0, 1, 5000)
            truth = np.where(lost, rng.random(5000) < 0.5, truth)
        else:
            place = np.argsort(-scores + rng.normal(0, 0.1, 5000))
            scores, truth = scores[place], truth[place]
        missed += through(Stream(NINE), scores, truth, rng, 800)[1]
    assert missed <= binom.ppf(0.999, 20, 0.2)


def test_a_stream_that_was_written_down_goes_on_as_if_nothing_had_been(rows):
    scores, truth = rows(4000, np.random.default_rng(0))
    one, other, found = Stream(NINE), Stream(NINE), {}
    for start in range(0, 4000, 1000):
        part, seed = slice(start, start + 1000), [7, start]
        for stream in (one, other):
            labels = truth[part]
            given = stream.answer(scores[part], lambda asked, labels=labels: labels[asked], np.random.default_rng(seed))
            found.setdefault(start, []).append(given)
        other = Stream.resumed(msgspec.json.decode(msgspec.json.encode(other.progress), type=Progress))
    assert other.tally == one.tally
    for a, b in found.values():
        assert np.array_equal(a.positive, b.positive)
        assert np.array_equal(a.by_last, b.by_last)


def test_rows_that_nobody_can_answer_are_errors_of_the_cheap_model_and_counted_apart(rows):
    rng = np.random.default_rng(0)
    scores, truth = rows(4000, rng)
    silent = rng.random(4000) < 0.04
    stream = Stream(NINE)
    found = stream.answer(scores, lambda asked: np.where(silent[asked], np.nan, truth[asked]), rng)
    assert found.failed.any()
    assert not (found.failed & ~silent).any()
    assert not (found.failed & found.by_last).any()
    assert (stream.tally.failed, stream.tally.rows) == (found.failed.sum(), 4000 - found.failed.sum())
    steady = Stream(NINE)
    steady.answer(scores, lambda asked: truth[asked], np.random.default_rng(0))
    assert steady.tally.delegation < stream.tally.delegation < 1
    # All of them silent: whatever is answered is few enough to be wrong altogether.
    none = Stream(NINE)
    assert none.answer(scores, lambda asked: np.full(len(asked), np.nan), rng).failed.sum() >= 0.8 * 4000


def test_large_batches_send_on_less_than_small_ones(rows):
    scores, truth = rows(12_000, np.random.default_rng(0))
    sent = {}
    for size in (1000, 12_000):
        stream = Stream(NINE)
        through(stream, scores, truth, np.random.default_rng(1), size)
        sent[size] = stream.tally.delegation
    assert sent[12_000] < sent[1000] < 0.6


def test_scores_that_are_not_probabilities_are_refused():
    with pytest.raises(BadData, match="not probabilities"):
        Stream(NINE).answer(np.array([0.1, 1.2]), lambda asked: asked > 3, np.random.default_rng(0))
