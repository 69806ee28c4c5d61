"""A cascade's dial: alarms shut it, re-fits open it, and neither errs more often than it says."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from scipy.stats import binom

from roadworthy.core.dials import Dial, Watcher
from roadworthy.core.measure import Measurement
from roadworthy.route.cascades.confident import Cheap, level_of
from roadworthy.route.cascades.fits import CascadeFit, Level, Target
from roadworthy.route.cascades.following import RELEASED, CascadeWatcher
from roadworthy.route.cascades.known import Known, Members
from roadworthy.route.cascades.refit import Refit, Refitting, Shape, between
from roadworthy.route.cascades.standing import standing, standing_text

TARGET = Target(agreement=0.95, delta=0.1)
PAIR = Members(("small", "large"))


def fitted(*levels: Level, target: Target = TARGET) -> CascadeFit:
    return CascadeFit(target, "traffic", levels, 9, 9, Measurement("delegation", 0.2, 9), "")


def watcher(keep_from: float, **more) -> CascadeWatcher:
    settings = {"audit": 0.2, "refits": True, "over_hours": 0.0, **more}
    return CascadeWatcher(fitted(Level(keep_from=keep_from, name="small")), PAIR, **settings)


def agrees(sure, hard):
    """The chance that the large model agrees with an answer of this confidence."""
    return np.clip(1 - 0.9 * (1 - sure) - 0.25 * hard, 0, 1)


def share(edge: float, hard: float) -> float:
    """The agreement of the whole cascade with this threshold, where so many rows are hard."""
    sure = (np.arange(20000) + 0.5) / 20000
    sure = sure ** (1 / 4)  # Beta(4, 1)
    chance = (1 - hard) * agrees(sure, 0) + hard * agrees(sure, 1)
    return float(np.where(sure >= edge, chance, 1.0).mean())


def storms(n, rng, length):
    """A fifth of the rows are hard, in storms of about this length."""
    hard, at = np.zeros(n), -int(rng.integers(0, 4 * length))
    while at < n:
        at += int(rng.geometric(1 / (4 * length)))
        ends = at + int(rng.geometric(1 / length))
        hard[max(at, 0) : max(ends, 0)] = 1
        at = ends
    return hard


def served(sure, right, edge, shut, audit, rng, at):
    """What is known of rows that a cascade with this threshold answered."""
    n = len(sure)
    kept, drawn = (sure >= edge) & (not shut), rng.random(n) < audit
    last = np.where(kept & ~drawn, np.nan, right.astype(float))
    known = Known(
        sure[:, None],
        np.ones((n, 1)),
        np.where(kept, 0, 1),
        np.where(kept, 1.0, last),
        last,
        np.where(kept, audit, 1.0),
        np.full(n, shut),
        np.full(n, np.nan),
        rng.random(n),
        at + np.arange(n, dtype=float),
    )
    return known.take(np.isfinite(last))


def lived(found: CascadeWatcher, hard, seed: int, at_once: int = 500):
    """Each move of the dial, as (row, shut, threshold), over rows that are hard as told; and the last stand."""
    rng, stand = np.random.default_rng(seed), found.stand(None)
    sure = rng.beta(4, 1, len(hard))
    right = rng.random(len(hard)) < agrees(sure, hard)
    edge, moves = found.fit.levels[0].keep_from, []
    for start in range(0, len(hard), at_once):
        part = slice(start, start + at_once)
        seen = found.see(stand, served(sure[part], right[part], edge, stand.shut, found.audit, rng, start))
        edge = seen.edges[0] if seen.edges else edge
        if seen.because != stand.because:
            moves.append((start + at_once, seen.shut, edge))
        stand = seen
    return moves, stand


def test_thresholds_learnt_anew_break_the_promise_no_more_often_than_delta_allows():
    broken = moved = 0
    for seed in range(40):
        moves, _ = lived(watcher(0.93), np.zeros(10000), seed)
        moved += bool(moves)
        broken += any(share(edge, 0.0) < 0.95 for _, shut, edge in moves if not shut)
    assert moved >= 36
    assert broken <= binom.ppf(0.999, 40, 0.1)


@pytest.mark.parametrize("length", [0, 60])
def test_a_threshold_that_just_breaks_the_promise_is_seldom_certified_in_storms_too(length):
    hard = 0.2 if length else 0.0
    edge = next(e for e in np.arange(0.7, 1, 0.001) if share(e, hard) >= 0.949)
    rules = Refitting(fitted(Level(keep_from=0.9)), 0.2, over_hours=6000 / 3600)
    certified = 0
    for seed in range(60):
        rng, refit = (
            np.random.default_rng(seed),
            Refit(candidates=(edge,), bets=(0.0,) * 5, best=(0.0,), kept=(0.0,) * 2),
        )
        rows = storms(12000, rng, length) if length else np.zeros(12000)
        sure = rng.beta(4, 1, len(rows))
        known = served(sure, rng.random(len(rows)) < agrees(sure, rows), 2.0, True, 0.2, rng, 0)
        for start in range(0, len(rows), 100):
            refit = rules.decide(rules.see(refit, known.take(slice(start, start + 100))))
        certified += refit.reached
    assert certified <= binom.ppf(0.999, 60, rules.delta(1))


def test_after_a_drift_it_shuts_soon_and_opens_again_with_what_holds_now():
    shuts, opens = [], []
    for seed in range(8):
        hard = np.repeat([0.0, 1.0], [4000, 12000])
        moves, stand = lived(watcher(0.85, audit=0.1), hard, seed)
        shuts.append(next(at for at, shut, _ in moves if shut) - 4000)
        opens.append(next(at for at, shut, edge in moves if not shut and at > 4000 + shuts[-1]) - 4000 - shuts[-1])
        assert share(stand.edges[0], 1.0) >= 0.94
    assert min(shuts) > 0, "there was nothing to alarm about before"
    assert np.median(shuts) <= 3000
    assert np.median(opens) <= 5000


def test_a_promise_that_holds_is_left_alone_but_for_the_false_alarms_declared():
    alarms = 0
    for seed in range(40):
        edge = next(e for e in np.arange(0.7, 1, 0.001) if share(e, 0.0) >= 0.95)
        moves, _ = lived(watcher(float(edge), refits=False, false_alarm=0.2), np.zeros(6000), seed)
        alarms += any(shut for _, shut, _ in moves)
    assert alarms <= binom.ppf(0.999, 40, 0.2)


def test_re_fits_and_watches_share_what_they_may_err():
    rules = Refitting(fitted(Level(keep_from=0.9)), 0.1)
    assert sum(rules.delta(number) for number in range(1, 100000)) == pytest.approx(0.1, rel=1e-4)
    found = watcher(0.85)
    alphas = [
        found.stand(Dial("cascade", 0.0, {"opening": float(k), "watched": 0.0, "purses": (0.0,) * 5}, 0, ""))
        for k in (1, 2)
    ]
    assert alphas[0].watches[0].alpha == pytest.approx(4 * alphas[1].watches[0].alpha)


def test_a_dial_comes_back_from_json_as_it_was():
    found = watcher(0.9)
    assert isinstance(found, Watcher)
    stand = lived(found, np.zeros(2000), 0)[1]
    for one in (stand, lived(found, np.zeros(4500), 0)[1], found.stand(None)):
        dial = Dial("cascade", 1.0, one.value(), one.n, one.because)
        back = found.stand(msgspec.json.decode(msgspec.json.encode(dial), type=Dial))
        assert back == one
    assert lived(found, np.zeros(500), 0)[1].because == found.begins == RELEASED


def test_what_stands_is_told_in_words():
    found = watcher(0.9, over_hours=5.0)
    assert "no row has been followed yet" in standing_text(standing(found, None))
    one, two = (lived(found, np.zeros(n), 0)[1] for n in (500, 3000))
    told = [standing_text(standing(found, Dial("cascade", 0.0, s.value(), s.n, s.because))) for s in (one, two)]
    assert "of 300 rows to propose thresholds from" in told[0]
    assert "of 5 or more that it takes" in told[1]
    assert "agreement 0." in told[1]


@pytest.mark.parametrize(
    "levels",
    [
        (Level(0.12345678, 0.87654321, name="a"), Level(None, 0.9, name="b")),
        (Level(keep_from=0.8, name="a"), Level(name="b")),
        (Level(by_class=(0.6, None, 0.75), name="a"),),
    ],
)
def test_thresholds_are_numbers_and_thresholds_again(levels):
    target = Target(precision=0.9, recall=0.9) if levels[0].accept_from else TARGET
    shape = Shape.of(fitted(*levels, target=target))
    back = shape.levels_of(shape.edges(levels), tuple(level.name for level in levels))
    assert shape.edges(back) == pytest.approx(shape.edges(levels), abs=2e-7)
    assert [level.shut for level in back] == [level.shut for level in levels]


def test_a_score_of_seven_digits_tells_on_which_side_of_a_threshold_it_was():
    rng = np.random.default_rng(0)
    for edge in between(0.8123456), between(0.0123456), between(0.99999):
        scores = edge + rng.normal(0, 1e-6 * edge, 2000)
        told = np.array([float(f"{score:.7g}") for score in scores])
        assert ((scores >= edge) == (told >= edge)).all()


def test_two_answers_are_learnt_anew_for_precision_and_recall():
    target, rng = Target(precision=0.9, recall=0.9), np.random.default_rng(0)
    found = CascadeWatcher(fitted(Level(name="small"), target=target), PAIR, 0.2, True, over_hours=0.0)
    odds = rng.normal(0, 3, 6000)
    scores, truth = 1 / (1 + np.exp(-odds)), (rng.random(6000) < 1 / (1 + np.exp(-odds))).astype(float)
    n, nothing = len(odds), np.full(len(odds), np.nan)
    rows = Known(
        scores[:, None], nothing[:, None], np.ones(n, np.int64), truth, truth, np.ones(n), np.ones(n, bool), nothing,
        rng.random(n), np.arange(n, dtype=float),
    )  # fmt: skip
    stand = found.see(found.stand(None), rows)
    (level,) = found.levels(Dial("cascade", 0.0, stand.value(), stand.n, stand.because))
    assert 0 < level.reject_below < level.accept_from < 1
    yes = (scores >= level.accept_from) | ((scores >= level.reject_below) & (truth == 1))
    assert (truth[yes] == 1).mean() >= 0.89
    assert yes[truth == 1].mean() >= 0.89


def test_a_small_model_that_is_always_right_is_let_answer_again():
    found, rng = watcher(0.9), np.random.default_rng(0)
    shut = Dial(
        "cascade", 0.0, {"shut": 1.0, "opening": 2.0, "watched": 0.0, "purses": (0.0,) * 5, "number": 2.0}, 0, ""
    )
    sure = rng.beta(4, 1, 3000)
    stand = found.see(found.stand(shut), served(sure, np.ones(3000, bool), 0.9, True, 0.2, rng, 0))
    assert not stand.shut
    assert "re-fit 2 with its 0.015 of delta, and 91% of rows are kept" in stand.because


def test_a_level_that_was_not_asked_counts_as_wrong_and_labels_count_where_the_promise_is_about_them():
    target = Target(accuracy=0.9)
    levels = (Level(keep_from=0.8, name="a"), Level(keep_from=0.8, name="b"))
    rules = Refitting(fitted(*levels, target=target), 0.5)
    rows = Known(
        np.array([[0.9, np.nan], [0.3, 0.9], [0.3, 0.4]]), np.array([[1.0, np.nan], [1, 0], [1, 0]]),
        np.array([0, 1, 2]), np.array([1.0, 0, 2]), np.array([1.0, 0, 2]), np.array([0.5, 0.5, 1]),
        np.zeros(3, bool), np.array([1.0, 0, 1]), np.zeros(3), np.zeros(3),
    )  # fmt: skip
    edges = np.array([[[0.5], [0.5]], [[0.95], [0.95]], [[0.2], [0.2]]])
    _, right, kept = rules._outcomes(edges, rows)
    assert right[..., 0].T.tolist() == [[True, True, False], [False, True, False], [True, False, True]]
    cheap = [Cheap(np.array([1, 1, 1]), rows.scores[:, 0]), Cheap(np.array([0, 0, 0]), rows.scores[:, 1])]
    for number, edge in enumerate((0.5, 0.95, 0.2)):
        expected = level_of([Level(keep_from=edge), Level(keep_from=edge)], cheap) >= 0
        assert kept[:, number].tolist() == expected.tolist()
