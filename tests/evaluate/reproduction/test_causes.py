"""Planted faults are named by their cause; where there is none, none is named."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest
from sklearn.metrics import average_precision_score, f1_score, precision_score, recall_score

from roadworthy.core.measure import Claim, Measurement
from roadworthy.core.sample import Sample
from roadworthy.core.stats import nothing
from roadworthy.evaluate.metrics.accuracy import Accuracy
from roadworthy.evaluate.metrics.auc import Auc
from roadworthy.evaluate.metrics.exact_match import ExactMatch
from roadworthy.evaluate.metrics.macro_f1 import MacroF1
from roadworthy.evaluate.reproduction.causes import Asked, explain
from roadworthy.evaluate.reproduction.metric_variants import Scored, variants
from roadworthy.evaluate.reproduction.reproduce import Reproduction, reproduce

INCOMES = ("<=50K", ">50K")


def incomes(n: int = 4000, seed: int = 0) -> tuple[Sample, np.ndarray]:
    """A table with a category that decides much, and the answers of a model that knows it."""
    rng = np.random.default_rng(seed)
    job = rng.choice(np.array(["clerk", "farmer", "doctor"], dtype=object), n)
    age = rng.normal(40, 10, n)
    sample = Sample({"job": job, "age": age})
    answers = model(sample)
    y = (rng.random(n) < answers).astype(np.float64)
    return replace(sample, labels=y, targets=np.array(INCOMES, dtype=object)[y.astype(int)]), answers


def model(sample: Sample) -> np.ndarray:
    weight = np.array([{"doctor": 2.5, "clerk": -1.0, "farmer": -3.0}.get(job, -1.0) for job in sample.columns["job"]])
    return np.asarray(1 / (1 + np.exp(-weight - (sample.columns["age"] - 40) / 10)))


def classes_of(n: int = 3000, k: int = 12, seed: int = 0) -> tuple[Sample, np.ndarray]:
    rng = np.random.default_rng(seed)
    y = rng.choice(k, n, p=rng.dirichlet(np.ones(k)))
    answers = rng.gamma(1.0, 1.0, (n, k))
    answers[np.arange(n), y] += rng.gamma(2.0, 1.0, n)
    names = np.array([f"class {j}" for j in range(k)], dtype=object)
    return Sample({"x": rng.normal(0, 1, n)}, labels=y.astype(float), targets=names[y]), answers / answers.sum(
        axis=1, keepdims=True
    )


def explained(claim: Claim, asked: Asked, measured: Measurement | None = None, **more: Any) -> Reproduction:
    if measured is None:
        known = asked.sample.targets if asked.task == "generation" else asked.labels
        measured = asked.metric(known, asked.answers)
    return asyncio.run(explain(reproduce(claim, measured), asked, **more))


def test_labels_that_end_in_a_dot_are_named() -> None:
    sample, answers = incomes()
    truth = Auc()(sample.labels, answers)
    dotted = np.array([f" {text}." for text in sample.targets], dtype=object)
    broken = replace(sample, labels=np.full(sample.n, np.nan), targets=dotted)
    found = explained(
        Claim("auc", round(truth.value, 3)), Asked(broken, answers, "binary", Auc(), INCOMES), nothing("auc")
    )
    assert found.outcome == "not comparable"
    assert found.cause is not None
    assert found.cause.kind == "label mismatch"
    assert found.cause.measured.value == truth.value
    assert "0 of 4,000 labels are class names as written" in found.because
    assert 'blanks and a "." at the end are ignored' in found.because


def test_labels_that_all_became_negative_are_named() -> None:
    sample, answers = incomes()
    truth = Accuracy()(sample.labels, answers)
    broken = replace(
        sample, labels=np.zeros(sample.n), targets=np.array([f"{t}." for t in sample.targets], dtype=object)
    )
    found = explained(Claim("accuracy", round(truth.value, 3)), Asked(broken, answers, "binary", Accuracy(), INCOMES))
    assert found.cause is not None
    assert found.cause.kind == "label mismatch"


def test_swapped_labels_are_named() -> None:
    sample, answers = incomes()
    truth = Auc()(sample.labels, answers)
    broken = replace(sample, labels=1 - sample.labels, targets=None)
    found = explained(Claim("auc", round(truth.value, 3)), Asked(broken, answers, "binary", Auc()))
    assert found.cause is not None
    assert (found.cause.kind, found.cause.what) == ("labels inverted", "0 and 1 of the labels swapped")


def test_classes_in_another_order_are_named() -> None:
    sample, answers = classes_of()
    truth = Accuracy()(sample.labels, answers)
    broken = replace(sample, labels=(sample.labels + 1) % 12, targets=None)
    found = explained(Claim("accuracy", round(truth.value, 3)), Asked(broken, answers, "multiclass", Accuracy()))
    assert found.cause is not None
    assert found.cause.kind == "labels inverted"
    assert found.cause.measured.value == pytest.approx(truth.value, abs=0.01)


def choices(n: int = 4000, seed: int = 0) -> tuple[Sample, np.ndarray, np.ndarray]:
    """Log-likelihoods that grow with length, as those of a language model do."""
    rng = np.random.default_rng(seed)
    lengths, y = rng.integers(10, 60, (n, 4)).astype(float), rng.integers(0, 4, n)
    each = rng.normal(-1.0, 0.15, (n, 4))
    each[np.arange(n), y] += 0.25
    return Sample({"x": lengths[:, 0]}, labels=y.astype(float)), each * lengths, lengths


def test_accuracy_against_length_normalised_accuracy_is_named() -> None:
    sample, answers, lengths = choices()
    truth = float(((answers / lengths).argmax(axis=1) == sample.labels).mean())
    plain = Accuracy()(sample.labels, answers)
    assert truth - plain.value > 0.2
    asked = Asked(sample, answers, "multiclass", Accuracy(), choice_lengths=lengths)
    found = explained(Claim("accuracy", round(truth, 3)), asked)
    assert found.cause is not None
    assert (found.cause.kind, found.cause.what) == ("metric variant", "accuracy (length-normalised)")


def test_a_variant_that_the_claim_states_needs_no_other_proof() -> None:
    sample, answers, lengths = choices(800)
    truth = float(((answers / lengths).argmax(axis=1) == sample.labels).mean())
    asked = Asked(sample, answers, "multiclass", Accuracy(), choice_lengths=lengths)
    found = explained(Claim("accuracy", truth - 0.01, definition="length-normalised"), asked)
    assert found.outcome == "not comparable"
    assert "(length-normalised) and the plain one" in found.because
    assert found.cause is not None
    assert found.cause.because.endswith("meets the claim, which says so itself")


@pytest.mark.parametrize(("average", "what"), [("weighted", "f1 (weighted)"), ("micro", "f1 (micro)")])
def test_another_average_is_named(average: str, what: str) -> None:
    sample, answers = classes_of()
    truth = f1_score(sample.labels, answers.argmax(axis=1), average=average)
    found = explained(Claim("macro_f1", round(truth, 4)), Asked(sample, answers, "multiclass", MacroF1()))
    assert found.cause is not None
    assert (found.cause.kind, found.cause.what) == ("metric variant", f"macro_{what}")


def test_top_5_claimed_as_accuracy_is_named() -> None:
    sample, answers = classes_of()
    truth = (np.argsort(-answers, axis=1)[:, :5] == sample.labels[:, None]).any(axis=1).mean()
    found = explained(Claim("accuracy", round(float(truth), 3)), Asked(sample, answers, "multiclass", Accuracy()))
    assert found.cause is not None
    assert found.cause.what == "accuracy (top-5)"


def test_another_threshold_is_named() -> None:
    sample, answers = incomes(seed=3)
    tilted = answers**3
    cut = np.quantile(tilted, 1 - sample.labels.mean())
    truth = float(((tilted >= cut) == (sample.labels == 1)).mean())
    found = explained(Claim("accuracy", round(truth, 4)), Asked(sample, tilted, "binary", Accuracy()))
    assert found.cause is not None
    assert found.cause.kind == "threshold"


def solutions(n: int = 1200, seed: int = 0) -> tuple[Sample, np.ndarray]:
    """Generated solutions of which a fifth ends as GSM8K wants it; the others only say the number."""
    rng = np.random.default_rng(seed)
    y, fine, form = rng.integers(2, 2000, n), rng.random(n) < 0.8, rng.random(n) < 0.2
    said = np.where(fine, y, y + 1)
    texts = [
        f"First 7, then.\n#### {v:,}" if f else f"First 7, so it is ${v:,}." for v, f in zip(said, form, strict=True)
    ]
    targets = np.array([f"Some steps with 7.\n#### {v}" for v in y], dtype=object)
    return Sample({"x": y.astype(float)}, targets=targets), np.array(texts, dtype=object)


def test_strict_against_flexible_extraction_is_named() -> None:
    sample, texts = solutions()
    strict = Measurement("exact_match", 0.16, sample.n, 0.14, 0.18)
    found = explained(Claim("exact_match", 0.8), Asked(sample, texts, "generation", ExactMatch()), strict)
    assert found.cause is not None
    assert (found.cause.kind, found.cause.what) == ("extractor", "answers found by flexible-extract")
    lower = Measurement("exact_match", 0.8, sample.n, 0.78, 0.82)
    truth = next(c for c in found.causes if c.what.endswith("strict-match")).measured.value
    assert truth == pytest.approx(0.16, abs=0.03)
    back = explained(Claim("exact_match", round(truth, 3)), Asked(sample, texts, "generation", ExactMatch()), lower)
    assert back.cause is not None
    assert back.cause.what == "answers found by strict-match"


def test_answers_that_are_only_written_otherwise_are_named() -> None:
    rng = np.random.default_rng(0)
    y = rng.choice(np.array(["Paris", "Rome", "Oslo"], dtype=object), 500)
    said = np.where(rng.random(500) < 0.9, np.array([f" {t.lower()}." for t in y], dtype=object), "bern")
    found = explained(Claim("exact_match", 0.9), Asked(Sample({"x": y}, targets=y), said, "generation", ExactMatch()))
    assert found.cause is not None
    assert found.cause.kind in ("label mismatch", "extractor")
    assert found.causes[0].kind == "label mismatch"


@pytest.mark.parametrize("waits", [True, False])
def test_a_leading_blank_in_the_categories_is_named(waits: bool) -> None:
    sample, answers = incomes()
    truth = Auc()(sample.labels, answers)
    blanks = replace(
        sample, columns={**sample.columns, "job": np.array([f" {j}" for j in sample.columns["job"]], dtype=object)}
    )

    def strip(given: Sample) -> Sample:
        return replace(given, columns={**given.columns, "job": np.array([j.strip() for j in given.columns["job"]])})

    async def later(given: Sample) -> np.ndarray:
        await asyncio.sleep(0)
        return model(given)

    found = explained(
        Claim("auc", round(truth.value, 3)),
        Asked(blanks, model(blanks), "binary", Auc()),
        ask=later if waits else model,
        repairs={"nothing": lambda s: s, "strip the categories": strip},
    )
    assert found.cause is not None
    assert (found.cause.kind, found.cause.what) == ("preprocessing", "strip the categories (4,000 rows)")
    assert [c.what for c in found.causes if c.kind == "preprocessing"] == ["strip the categories (4,000 rows)"]


def test_another_split_is_named() -> None:
    sample, answers = incomes()
    train = Measurement("auc", 0.9871, 9000, 0.985, 0.989, where="train")
    other = Measurement("auc", 0.91, 9000, 0.9, 0.92, where="production")
    asked = Asked(sample, answers, "binary", Auc())
    found = explained(Claim("auc", 0.987), asked, elsewhere=[other, train])
    assert found.cause is not None
    assert (found.cause.kind, found.cause.what) == ("split", "measured on train")
    stated = explained(Claim("auc", 0.985, split="train"), asked, elsewhere=[train])
    assert stated.cause is not None


def test_a_number_that_only_happens_to_lie_near_is_not_named() -> None:
    sample, answers = incomes()
    near = Measurement("auc", 0.955, 9000, 0.94, 0.97, where="train")
    found = explained(Claim("auc", 0.96), Asked(sample, answers, "binary", Auc()), elsewhere=[near])
    assert found.cause is None
    assert "so it is not named" in next(c for c in found.causes if c.kind == "split").because
    assert "no cause found among" in found.because


def test_a_claim_that_is_reproduced_needs_no_cause() -> None:
    sample, answers = incomes()
    truth = Auc()(sample.labels, answers)
    found = explained(Claim("auc", truth.value), Asked(sample, answers, "binary", Auc()))
    assert (found.outcome, found.causes) == ("reproduced", ())


def test_no_false_cause_in_unexplained_claims() -> None:
    named = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        sample, answers = incomes(3000, seed) if seed % 2 else classes_of(seed=seed)
        task = "binary" if seed % 2 else "multiclass"
        names = INCOMES if seed % 2 else tuple(f"class {j}" for j in range(12))
        metric = Accuracy() if seed % 4 < 2 else MacroF1()
        truth = metric(sample.labels, answers).value
        claim = Claim(
            metric(sample.labels, answers).name, round(truth + rng.choice([-1, 1]) * rng.uniform(0.05, 0.2), 3)
        )
        near = Measurement(claim.metric, truth + rng.normal(0, 0.05), 1500, 0.0, 1.0, where="train")
        noisy = np.clip(answers + rng.normal(0, 0.02, answers.shape), 1e-6, 1 - 1e-6)
        found = explained(
            claim,
            Asked(sample, answers, task, metric, names),
            ask=lambda s, noisy=noisy: noisy,
            repairs={"noise": lambda s: replace(s, columns={k: v[::-1] for k, v in s.columns.items()})},
            elsewhere=[near],
        )
        assert found.outcome != "reproduced"
        named += found.cause is not None
    assert named <= 3


def test_what_was_tried_goes_to_json_and_back() -> None:
    sample, answers = incomes(500)
    found = explained(Claim("auc", 0.5), Asked(sample, answers, "binary", Auc()))
    assert found.causes
    assert msgspec.json.decode(msgspec.json.encode(found), type=Reproduction) == found


@pytest.mark.parametrize("average", ["macro", "weighted", "micro"])
def test_variants_agree_with_scikit_learn(average: str) -> None:
    sample, answers = classes_of(800)
    decided, rng = answers.argmax(axis=1), np.random.default_rng(0)
    for metric, score in (("f1", f1_score), ("precision", precision_score), ("recall", recall_score)):
        found = dict(variants(metric, Scored(sample.labels, answers), rng))[average]
        assert found.value == pytest.approx(score(sample.labels, decided, average=average, zero_division=0))
        assert found.low < found.value < found.high


def test_the_area_under_precision_and_recall_agrees_with_scikit_learn() -> None:
    sample, answers = incomes(900)
    coarse = np.round(answers, 1)
    found = dict(variants("auc", Scored(sample.labels, coarse), np.random.default_rng(0)))
    expected = average_precision_score(sample.labels, coarse)
    assert found["under the precision-recall curve"].value == pytest.approx(expected)
