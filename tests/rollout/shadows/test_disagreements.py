from __future__ import annotations

import msgspec
import numpy as np
import pytest
from rich.console import Console

from roadworthy.core.errors import SpecError
from roadworthy.core.record import Record
from roadworthy.core.window import Window
from roadworthy.core.wire import Arm
from roadworthy.rollout.shadows.answer_pairs import AnswerPairs, paired
from roadworthy.rollout.shadows.disagreements import Choice, Disagreements, disagreements
from roadworthy.rollout.shadows.label_needs import error_difference, label_need
from roadworthy.rollout.shadows.shadow_text import disagreements_text, need_text
from roadworthy.rollout.statistics.sequential import mean_bounds

RNG = np.random.default_rng


def record(
    k: int, arm: Arm, answer: float | str, x: float, carrier: str, label: float | None = None, fare: float = 1.0
) -> Record:
    inputs = {"x": x, "carrier": carrier, "fare": fare}
    return Record(f"r{k}", float(k), arm, arm, inputs, {"probability": answer}, tags={"carrier": carrier}, label=label)


def pairs_of(*rows: tuple[float | str, float | str, float, str], fares: dict[int, float] | None = None) -> AnswerPairs:
    """A pair for each (control's answer, candidate's answer, input, carrier)."""
    fares = fares or {}
    arms = [
        Window.of_all(
            [record(k, arm, row[place], row[2], row[3], fare=fares.get(k, 1.0)) for k, row in enumerate(rows)]
        )
        for place, arm in enumerate(("stable", "shadow"))  # type: ignore[misc]
    ]
    return paired(arms[0], arms[1], "probability")


def drawn(n: int, worse: float, rng: np.random.Generator, differ: float = 0.1, known: bool = True) -> AnswerPairs:
    """Pairs of which `differ` disagree; the candidate is wrong in a share of `worse` of those."""
    apart = rng.random(n) < differ
    control = np.where(rng.random(n) < 0.5, 0.2, 0.8)
    candidate = np.where(apart, 1 - control, control)
    wrong = rng.random(n) < np.where(apart, worse, 0.2)
    labels = np.where(wrong, candidate < 0.5, candidate >= 0.5).astype(float)
    arms = [
        Window.of_all([record(k, arm, float(p[k]), 0.0, "AA", float(labels[k]) if known else None) for k in range(n)])
        for arm, p in (("stable", control), ("shadow", candidate))  # type: ignore[list-item]
    ]
    return paired(arms[0], arms[1], "probability")


def shown(both: AnswerPairs, how: Choice) -> list[str]:
    return [row.id for row in disagreements(both, RNG(0), how).rows]


def test_the_largest_disagreement_comes_first_and_equal_answers_never() -> None:
    both = pairs_of((0.1, 0.2, 0.0, "AA"), (0.1, 0.9, 3.0, "AA"), (0.3, 0.3, 6.0, "AA"), (0.4, 0.1, 9.0, "AA"))
    assert shown(both, Choice()) == ["r1", "r3", "r0"]


def test_what_is_at_stake_outweighs_a_larger_difference() -> None:
    both = pairs_of((0.1, 0.5, 0.0, "AA"), (0.1, 0.3, 5.0, "AA"), fares={1: 1000.0})
    assert shown(both, Choice(stake="inputs.fare")) == ["r1", "r0"]
    found = disagreements(both, RNG(0), Choice(stake="inputs.fare")).rows[0]
    assert (found.stake, found.because) == (1000.0, "the same class, 0.2 apart, inputs.fare 1000")


def test_near_duplicates_of_a_shown_row_are_left_out() -> None:
    rows = [(0.1, 0.9 - k / 1000, k / 1000, "AA") for k in range(5)]
    both = pairs_of(*rows, *[(0.1, 0.3, float(k), "AA") for k in range(5, 30, 5)])
    ids = shown(both, Choice(alike=0.05))
    assert "r0" in ids
    assert not {"r1", "r2", "r3", "r4"} & set(ids)
    assert set(shown(both, Choice(alike=0.0))) >= {"r0", "r1", "r2", "r3", "r4"}


def test_one_slice_does_not_fill_the_list() -> None:
    many = [(0.1, 0.9, float(k), "AA") for k in range(0, 100, 5)]
    both = pairs_of(*many, (0.1, 0.6, 200.0, "UA"), (0.1, 0.5, 300.0, "HA"))
    carriers = [row.tags["carrier"] for row in disagreements(both, RNG(0), Choice(most=4)).rows]
    assert carriers[0] == "AA"
    assert {"UA", "HA"} <= set(carriers)


def test_rows_have_their_inputs_and_both_answers_and_go_to_json_and_back() -> None:
    found = disagreements(pairs_of((0.1, 0.9, 2.0, "AA")), RNG(0))
    row = found.rows[0]
    assert (row.control, row.candidate, dict(row.inputs)) == (0.1, 0.9, {"x": 2.0, "carrier": "AA", "fare": 1.0})
    assert row.because == "another class, 0.8 apart"
    assert msgspec.json.decode(msgspec.json.encode(found), type=Disagreements) == found


def test_texts_differ_by_their_words() -> None:
    both = pairs_of(("on time", "on time", 0.0, "AA"), ("a b c", "a b d", 5.0, "AA"), ("a b", "c d", 9.0, "AA"))
    found = disagreements(both, RNG(0))
    assert [row.id for row in found.rows] == ["r2", "r1"]
    assert found.rows[0].because == "100% of the words differ"
    assert (found.disagreeing, found.need) == (2, None)


def test_what_is_drawn_for_labels_is_a_random_part_of_all_disagreements() -> None:
    both = drawn(2000, 0.5, RNG(1))
    found = disagreements(both, RNG(0), Choice(labels=50))
    apart = {f"r{k}" for k in np.flatnonzero(~both.agree)}
    assert len(found.to_label) == 50
    assert set(found.to_label) < apart
    assert found.disagreeing == len(apart)
    # The mean place of 50 draws without an eye on anything lies near the middle.
    assert np.mean([int(id[1:]) for id in found.to_label]) == pytest.approx(1000, abs=400)


def test_labels_of_disagreements_alone_give_the_difference_of_the_errors_without_bias() -> None:
    rng, gaps, missed = RNG(5), [], 0
    for _ in range(150):
        both = drawn(600, 0.7, rng)
        wrong, wrong_now = both.errors
        found = error_difference(both)
        assert found.value == pytest.approx(wrong_now.mean() - wrong.mean())
        gaps.append(found.value)
        missed += not found.low <= 0.1 * 0.4 <= found.high
    assert np.mean(gaps) == pytest.approx(0.04, abs=0.004)
    assert missed <= 7


def test_without_labels_nothing_is_known_of_the_errors() -> None:
    assert error_difference(drawn(300, 0.5, RNG(0), known=False)).n == 0


def test_labelling_disagreements_takes_a_share_of_the_labels_of_a_plain_sample() -> None:
    need = label_need(drawn(4000, 0.5, RNG(2), known=False), margin=0.01)
    share = need.disagreement.value
    assert need.labels == pytest.approx(share * need.labels_unstratified, rel=0.02)
    assert need.requests == pytest.approx(need.labels / share)


def test_so_many_labels_do_settle_it_with_the_power_that_was_asked_for() -> None:
    rng = RNG(7)
    need = label_need(drawn(4000, 0.5, rng), margin=0.05)
    settled = 0
    for _ in range(100):
        gaps = rng.choice([-1.0, 1.0], round(need.labels)) * need.disagreement.value
        settled += mean_bounds(float(gaps.mean()), float(gaps.std()), len(gaps), 0.05, len(gaps))[1] <= 0.05
    assert 70 <= settled <= 92


def test_a_smaller_margin_and_more_power_need_more_labels() -> None:
    both = drawn(2000, 0.5, RNG(3))
    base = label_need(both, 0.02)
    assert label_need(both, 0.01).labels > 3 * base.labels
    assert label_need(both, 0.02, power=0.95).labels > base.labels
    assert label_need(both, 0.02, "log_loss").labels < label_need(both, 0.02, "log_loss").labels_unstratified


def test_arms_that_hardly_disagree_need_no_label_and_those_that_never_did_are_not_known() -> None:
    rare = drawn(4000, 0.5, RNG(4), differ=0.002)
    assert label_need(rare, 0.05).labels == 0.0
    never = drawn(30, 0.5, RNG(4), differ=0.0)
    need = label_need(never, 0.001)
    assert need.labels == float("inf")
    assert "No number of labels settles it: no pair disagrees yet" in need_text(need).plain
    assert label_need(never.take(np.zeros(0, np.int64)), 0.1).because == "there is no pair yet"


def test_what_names_no_class_and_a_margin_of_nothing_are_refused() -> None:
    texts = pairs_of(("a", "b", 0.0, "AA"))
    with pytest.raises(SpecError, match="between answers that name classes"):
        label_need(texts, 0.1)
    with pytest.raises(ValueError, match="`margin` must be above 0, got 0"):
        label_need(drawn(10, 0.5, RNG(0)), 0)
    with pytest.raises(SpecError, match="'fare' names no number of a row"):
        Choice(stake="fare")


def test_the_text_shows_the_rows_and_says_how_many_labels_settle_it() -> None:
    both = drawn(500, 0.5, RNG(6))
    console = Console(width=200)
    with console.capture() as caught:
        console.print(disagreements_text(disagreements(both, RNG(0), Choice(most=3))))
    text = caught.get()
    assert "pairs disagree; these are worth a look first" in text
    assert "labels of disagreeing pairs settle whether the candidate errs over 1.00% of all requests more often" in text
    assert "carrier=AA" in text
