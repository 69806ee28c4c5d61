from __future__ import annotations

import math

import msgspec
import numpy as np
import pytest

from roadworthy.core.errors import SpecError
from roadworthy.core.sample import Sample
from roadworthy.evaluate.mix import PLAUSIBLE, Cause, Mix, Part, estimate, mixture

OPENINGS = ("Why is", "Where is", "Please tell me what happened to", "How long until I get", "I cannot find", "What is")
THINGS = ("my card", "the transfer I made", "a refund", "my new account", "the exchange rate", "the cash machine fee")
TAILS = ("in the app", "for my last payment", "since this morning", "from the other bank", "after two weeks", "today")
CAUSES = (
    Cause("typo", 0.5),
    Cause("incomplete", 0.8),
    Cause("mixed_language:language=es", 1.0),
    Cause("paste:form=html", 1.0),
    Cause("unicode:form=zero_width", 0.25),
    Cause("letter_case", 1.0),
    Cause("number_locale", 1.0),
)


def asked(n: int, seed: int) -> Sample:
    rng = np.random.default_rng(seed)
    texts = [" ".join(str(rng.choice(part)) for part in (OPENINGS, THINGS, TAILS)) + "?" for _ in range(n)]
    return Sample({"said": np.array(texts, dtype=object), "n": np.arange(n, dtype=float)})


def shares(production: Sample, n: int = 600, **settings: int) -> dict[str, Part]:
    found = estimate(production, asked(n, 1), np.random.default_rng(2), causes=CAUSES, **settings)
    return {str(part.plan): part for part in found.parts}


def test_a_planted_mix_is_found_again() -> None:
    planted = {"typo": 0.3, "mixed_language:language=es": 0.15, "paste:form=html": 0.1, "incomplete": 0.2}
    severities = {"typo": 0.5, "incomplete": 0.8}
    mix = Mix(tuple(Part(plan, severities.get(plan, 1.0), weight) for plan, weight in planted.items()))
    found = shares(mixture(asked(1000, 3), mix, np.random.default_rng(4)))
    for plan, weight in planted.items():
        assert found[plan].weight == pytest.approx(weight, abs=0.06)
        assert found[plan].share.low - 0.03 < weight < found[plan].share.high + 0.03
    assert found["letter_case"].weight == 0
    assert found["unicode:form=zero_width"].weight == 0


def test_production_like_the_lab_has_no_damage() -> None:
    found = shares(asked(1000, 5))
    assert sum(part.weight for part in found.values()) < 0.03


def test_what_the_lab_does_itself_is_no_damage_of_production() -> None:
    shouting = mixture(asked(600, 1), Mix((Part("letter_case", 1.0, 0.4),)), np.random.default_rng(6))
    as_usual = mixture(asked(800, 7), Mix((Part("letter_case", 1.0, 0.4),)), np.random.default_rng(8))
    found = estimate(as_usual, shouting, np.random.default_rng(2), causes=CAUSES)
    assert found.clean > 0.9


def test_too_few_texts_give_no_weight_and_say_so() -> None:
    found = shares(asked(40, 3))
    assert {part.weight for part in found.values()} == {0.0}
    assert all(math.isnan(part.share.value) for part in found.values())
    assert found["typo"].because == "40 texts of production and 600 of the lab: 100 and 200 are needed"


def test_damage_that_the_labs_texts_could_not_show_gets_no_weight() -> None:
    part = shares(asked(300, 3))["number_locale"]
    assert (part.weight, part.because) == (0.0, "leaves no sign on the lab's texts")
    assert part.share.n == 0


def test_a_mixture_spoils_so_many_rows_each_by_one_part() -> None:
    sample = asked(4000, 1)
    mix = Mix((Part("letter_case", 1.0, 0.3), Part("paste:form=html", 1.0, 0.2)))
    said = mixture(sample, mix, np.random.default_rng(0)).columns["said"]
    upper, tagged = np.array([text.isupper() for text in said]), np.array(["</" in text for text in said])
    assert 0.27 < upper.mean() < 0.33
    assert 0.17 < tagged.mean() < 0.23
    assert not (upper & tagged).any()
    assert (said[~upper & ~tagged] == sample.columns["said"][~upper & ~tagged]).all()
    again = mixture(sample, mix, np.random.default_rng(0)).columns["said"]
    assert (said == again).all()


def test_numbers_and_vectors_are_mixed_too() -> None:
    sample = Sample({"heat": np.ones(1000), "x": np.ones((1000, 3))})
    spoilt = mixture(sample, Mix((Part("unit:scale=5", 1.0, 0.4), Part("blank", 1.0, 0.4))), np.random.default_rng(0))
    assert 0.35 < (spoilt.columns["heat"] == 5).mean() < 0.45
    assert 0.35 < np.isnan(spoilt.columns["x"]).all(axis=1).mean() < 0.45
    assert set(sample.columns["heat"]) == {1.0}


def test_a_mix_by_hand_goes_to_json_and_back() -> None:
    assert PLAUSIBLE.clean == pytest.approx(0.1)
    assert msgspec.json.decode(msgspec.json.encode(PLAUSIBLE), type=Mix) == PLAUSIBLE
    estimated = Mix(tuple(shares(asked(40, 3)).values()))
    assert msgspec.json.encode(msgspec.json.decode(msgspec.json.encode(estimated), type=Mix)) == msgspec.json.encode(
        estimated
    )


def test_weights_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match=r"add up to at most 1, these to 1.2"):
        Mix((Part("typo", 1.0, 0.6), Part("ocr", 1.0, 0.6)))
    with pytest.raises(ValueError, match=r"`weight` of 'typo' must be between 0 and 1, got 1.5"):
        Part("typo", 1.0, 1.5)
    with pytest.raises(SpecError, match="no corruption named 'tpyo'; did you mean 'typo'"):
        mixture(asked(10, 1), Mix((Part("tpyo", 1.0, 1.0),)), np.random.default_rng(0))
