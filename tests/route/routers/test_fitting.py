from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from roadworthy.core.errors import BadData
from roadworthy.core.wire import Request, Tensor
from roadworthy.route.routers.fitting import fit
from roadworthy.route.routers.labelled import Labelled, of_training
from roadworthy.route.routers.logistic import sigmoid
from roadworthy.route.routers.router import Settings
from roadworthy.route.routers.router_text import fit_lines
from roadworthy.route.traffic.training import TrainingRows

HARD = ("prove", "integral", "theorem", "eigenvalue", "derive")
EASY = ("capital", "colour", "translate", "name", "summary")
FILLERS = ("please", "what", "is", "the", "of", "about", "my", "question")


def asked(n: int, seed: int = 0) -> Labelled:
    """Prompts of which the strong model alone solves the hard ones; segment "law" is harder for the weak one still."""
    rng = np.random.default_rng(seed)
    hard, law = rng.random(n) < 0.5, rng.random(n) < 0.4
    prompts = [" ".join([*rng.choice(FILLERS, 4), rng.choice(HARD if difficult else EASY)]) + "?" for difficult in hard]
    strong = rng.random(n) < 0.9
    weak = rng.random(n) < np.where(hard, 0.3, 0.85) - 0.2 * law
    segments = np.where(law, "law", "chat").tolist()
    return Labelled({"prompt": prompts}, strong.astype(float), weak.astype(float), segments)


def gains(router, rows: Labelled) -> np.ndarray:
    chances = sigmoid(router.odds(rows.columns, rows.segments))
    return chances[:, 0] - chances[:, 1]


def test_a_router_learns_when_the_strong_model_pays():
    found, fresh = fit(asked(400), bits=12), asked(500, seed=1)
    expected = gains(found.router, fresh)
    assert np.corrcoef(expected, fresh.strong - fresh.weak)[0, 1] > 0.4
    assert found.curve.apgr.value > 0.65
    chances = sigmoid(found.router.odds(fresh.columns, fresh.segments))
    assert abs(chances[:, 1].mean() - np.mean(fresh.weak)) < 0.06
    assert {m.name for m in found.measured} == {"log_loss", "auc", "debiased_ece"}


def test_labels_that_are_noise_earn_nothing_and_promise_nothing():
    rows, rng = asked(400), np.random.default_rng(3)
    found = fit(replace(rows, strong=rng.permutation(rows.strong), weak=rng.permutation(rows.weak)), bits=10)
    assert found.curve.apgr.low <= 0.5 <= found.curve.apgr.high
    assert np.ptp(gains(found.router, asked(200, seed=1))) < 0.35


def test_vectors_numbers_and_categories_are_read_too():
    rng, n = np.random.default_rng(4), 400
    vectors, size, tier = rng.normal(size=(n, 8)), rng.exponential(size=n), rng.choice(["gold", "iron"], n)
    weak = rng.random(n) < sigmoid(2 * vectors[:, 0] - size + (tier == "gold"))
    strong = rng.random(n) < 0.95
    columns = {"embedding": vectors, "size": size.tolist(), "tier": tier.tolist()}
    found = fit(Labelled(columns, strong.astype(float), weak.astype(float)))
    assert [type(part).__name__ for part in found.file.before.parts] == ["Vector", "Number", "Category"]
    assert found.curve.apgr.low > 0.6
    assert found.router.threshold_for(0.2) > found.router.threshold_for(0.8)


def test_what_the_answer_shows_is_worth_more_than_the_prompt():
    rows, rng = asked(500), np.random.default_rng(5)
    sure = sigmoid(3 * np.asarray(rows.weak) - 1.5 + rng.normal(size=500))
    sure[::7] = np.nan
    found = fit(replace(rows, after={"confidence": sure}), bits=10)
    assert found.after is not None
    assert found.after.apgr.value > found.curve.apgr.value + 0.05


def test_traffic_without_labels_sets_the_thresholds():
    rows, traffic = asked(300), asked(600, seed=2)
    only_hard = [prompt for prompt in traffic.columns["prompt"] if any(word in prompt for word in HARD)]
    law = ["law"] * len(only_hard)
    flat = Settings(times=None)
    usual = fit(rows, settings=flat, bits=10).router
    shifted = fit(rows, settings=flat, traffic={"prompt": only_hard}, traffic_segments=law, bits=10).router
    assert shifted.threshold_for(0.5, "law") > usual.threshold_for(0.5, "law") + 0.05
    assert len(shifted.reference_signals) == 3
    assert len(usual.reference_signals) == 1


def test_equal_prompts_of_one_group_do_not_flatter():
    rng = np.random.default_rng(6)
    words = [f"w{k}" for k in range(60)]
    prompts = [" ".join(rng.choice(words, 6)) for _ in range(60)] * 5
    labels = np.tile(rng.integers(0, 2, (2, 60)), 5).astype(float)
    order = rng.permutation(300)
    prompts, labels = [prompts[k] for k in order], labels[:, order]
    rows = Labelled({"prompt": prompts}, *labels)
    leaky = fit(rows, bits=10).curve.apgr.value
    honest = fit(replace(rows, groups=prompts), bits=10).curve.apgr.value
    assert leaky > 0.9
    assert honest < 0.75


def broken(**given) -> Labelled:
    return replace(asked(300), **given)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (asked(60), "at least 100 rows"),
        (broken(strong=np.ones(300)), "`strong` is nearly always the same: 0 of 300"),
        (broken(weak=np.zeros(300)), "`weak` is nearly always the same"),
        (broken(strong=asked(300).weak), "differ in 0 of 300 rows"),
        (broken(weak=np.full(300, np.nan)), "leave out rows whose label is not known yet"),
        (broken(strong=np.full(300, 0.5)), "must be 0 or 1"),
        (broken(weights=np.zeros(300)), "finite and above 0"),
        (broken(weights=np.full(300, np.nan)), "finite and above 0"),
        (broken(segments=["law"]), "columns of one length"),
        (broken(columns={}), "needs a column to look at"),
        (broken(groups=["a", "b"] * 150), "at least 5 groups"),
        (broken(after={"confidence": [0.5]}), "one number a row"),
        (broken(columns={"embedding": np.full((300, 2), np.nan)}), "not finite"),
    ],
)
def test_what_nothing_can_be_learnt_from_is_refused(rows, said):
    with pytest.raises(BadData, match=said):
        fit(rows, bits=8)


def test_a_column_or_kind_that_nobody_knows_is_refused():
    with pytest.raises(BadData, match="no column named 'promt'; did you mean 'prompt'"):
        fit(asked(200), kinds={"promt": "text"})
    with pytest.raises(BadData, match="no kind of column named 'words'"):
        fit(asked(200), kinds={"prompt": "words"})
    with pytest.raises(BadData, match="`traffic` needs columns and segments of one length, at least 2"):
        fit(asked(200), traffic={"prompt": ["a", "b"]})
    with pytest.raises(BadData, match="has no prompt"):
        fit(asked(200), traffic={"question": ["a", "b"]}, traffic_segments=["law", "law"])
    with pytest.raises(BadData, match="both a column and the tag"):
        fit(asked(200), tag="prompt")


def test_compared_traffic_is_what_a_router_learns_from():
    given = asked(300)
    n = np.arange(300)
    rows = TrainingRows(
        [
            {"prompt": prompt, "user": k} if k else {"prompt": prompt}
            for k, prompt in enumerate(given.columns["prompt"])
        ],
        np.array(given.segments, dtype=object),
        given.weak,
        given.strong,
        np.ones(300),
        n.astype(float),
        np.array([f"r{k // 2}" for k in n], dtype=object),
    )
    found = of_training(rows)
    assert list(found.columns) == ["prompt"], "an input that not every row has is none to learn from"
    assert found.groups[:3] == ["r0", "r0", "r1"]
    assert fit(found, bits=10).n == 300


def test_a_fit_is_told_in_words():
    told = "\n".join(fit_lines(fit(replace(asked(300), after={"confidence": np.linspace(0, 1, 300)}), bits=10)))
    assert "fitted to 300 judged rows, reading prompt (text), segment (category)" in told
    assert "before the answer: the dear model is right in 8" in told or "the dear model is right in 9" in told
    assert "after the answer" in told
    assert "no segment is to lose more than" in told


def test_labelled_rows_are_no_less_strange_than_fresh_ones():
    rng = np.random.default_rng(7)

    def prompts(n: int) -> list[str]:
        return [" ".join(f"w{k}" for k in rng.integers(0, 3000, 6)) for _ in range(n)]

    rows = replace(asked(300), columns={"prompt": prompts(300)}, segments=())
    router = fit(rows, settings=Settings(alarm=0.0)).router
    fresh = [Request("r", {"prompt": Tensor("prompt", "BYTES", (1,), [p])}, 0.0) for p in prompts(300)]
    # Uniform p-values have a mean of 1/2; were words counted that only the row itself has, it would be near 0.
    assert np.mean([router.gain(request).p_value for request in fresh]) == pytest.approx(0.5, abs=4 * 0.029)
