from __future__ import annotations

import msgspec
import numpy as np
import pytest

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.window import Window
from roadworthy.observe.drift.drift_kind import DriftKind, Kinds, Quality, lines

ROWS = 2000


def inputs(n, rng):
    age = rng.normal(size=n)
    return {
        "age": age,
        "load": 0.5 * age + 0.87 * rng.normal(size=n),
        "idle": rng.normal(size=n),
        "place": rng.choice(np.array(["north", "south", "east"], object), n, p=[0.5, 0.3, 0.2]),
    }


def chance(columns, slope=1.2, offset=-1.0):
    logit = slope * columns["age"] - 0.8 * columns["load"] + 0.6 * (columns["place"] == "north") + offset
    return 1 / (1 + np.exp(-logit))


def window(columns, labels):
    # The model knows the world as it was, and nothing of nulls.
    known = {name: v if v.dtype == object else np.nan_to_num(v) for name, v in columns.items()}
    at = np.arange(len(labels), dtype=float)
    return Window(dict(columns), {"probability": chance(known)}, labels.astype(float), at)


def world(seed, n=ROWS, **truth):
    rng = np.random.default_rng(seed)
    columns = inputs(n, rng)
    return window(columns, rng.random(n) < chance(columns, **truth))


def older(seed, n=ROWS):
    rng = np.random.default_rng(seed)
    columns = inputs(n, rng)
    columns["age"] = columns["age"] + 0.8
    columns["idle"] = columns["idle"] - 0.5
    return window(columns, rng.random(n) < chance(columns))


def other_mix(seed, n=ROWS, share=0.65):
    pool = world(seed, 8 * n)
    rows = [np.flatnonzero(pool.labels == value)[:k] for value, k in ((1, int(share * n)), (0, n - int(share * n)))]
    return pool.take(np.random.default_rng(seed).permutation(np.concatenate(rows)))


def broken(seed):
    found = world(seed)
    found.inputs["load"][::2] = np.nan
    return window(found.inputs, found.labels)


def unlabelled(found):
    return Window(found.inputs, found.outputs, np.full(found.n, np.nan), found.at)


REFERENCE = world(0)


@pytest.mark.parametrize(
    ("kind", "current", "trust", "told"),
    [
        ("none", world(1), "pass", "neither inputs nor outcomes moved (2000 labels)"),
        ("inputs", older(1), "pass", "outcomes follow from inputs as before"),
        ("labels", other_mix(1), "fail", "the rate of label 1"),
        ("concept", world(1, slope=-0.5), "fail", "the same inputs have other outcomes"),
        ("concept", world(1, offset=0.3), "fail", "above what the model says"),
        ("upstream fault", broken(1), "fail", "load: 0% null became 50%"),
    ],
)
def test_each_kind_is_told_from_the_others_with_labels(kind, current, trust, told):
    found = Kinds()(REFERENCE, current)
    assert (found.kind, found.trust.decision) == (kind, trust)
    assert told in found.because


@pytest.mark.parametrize(
    ("kind", "current", "trust"),
    [
        ("cannot tell", world(1), "wait"),
        ("inputs", older(1), "wait"),
        ("labels", other_mix(1), "fail"),
        ("cannot tell", world(1, slope=-0.5), "wait"),
        ("upstream fault", broken(1), "fail"),
    ],
)
def test_without_labels_it_says_no_more_than_can_be_seen(kind, current, trust):
    found = Kinds()(REFERENCE, unlabelled(current))
    assert (found.kind, found.trust.decision) == (kind, trust)


def test_other_inputs_and_another_concept_at_once_are_a_concept():
    rng = np.random.default_rng(5)
    columns = inputs(ROWS, rng)
    columns["age"] = columns["age"] + 0.8
    found = Kinds()(REFERENCE, window(columns, rng.random(ROWS) < chance(columns, slope=-0.5)))
    assert found.kind == "concept"
    assert "inputs moved too" in found.because


def test_a_mix_that_explains_the_inputs_is_estimated_without_labels():
    found = Kinds()(REFERENCE, unlabelled(other_mix(3)))
    rate = found.evidence[0]
    assert rate.name == "estimated_rate"
    assert rate.low < 0.65 < rate.high


def measured(value, half=0.02, name="accuracy"):
    return Measurement(name, value, 200, value - half, value + half)


def test_an_audit_that_disagrees_suspects_the_concept():
    current = unlabelled(REFERENCE)
    found = Kinds()(REFERENCE, current, quality=Quality(measured(0.9), measured(0.7)))
    assert (found.kind, found.trust.decision) == ("concept", "fail")
    assert found.because.startswith("the audit says accuracy 0.700 where 0.900 was estimated")
    assert Kinds()(REFERENCE, current, quality=Quality(measured(0.9), measured(0.88))).kind == "cannot tell"


def test_prediction_sets_that_grew_suspect_the_concept():
    current = unlabelled(REFERENCE)
    grown = Quality(set_size_before=measured(1.2, name="set_size"), set_size=measured(1.9, name="set_size"))
    found = Kinds()(REFERENCE, current, quality=grown)
    assert found.kind == "concept"
    assert "prediction sets grew from 1.20 to 1.90" in found.because


def test_doubts_take_the_trust_even_where_labels_show_no_change():
    found = Kinds()(REFERENCE, world(1), quality=Quality(measured(0.9), measured(0.7)))
    assert (found.kind, found.trust.decision) == ("none", "fail")


def test_what_detectors_said_counts_where_our_tests_are_silent():
    alarm = Verdict("fail", "age moved", "psi", (Measurement("psi", 0.3, 500, where="age"),))
    found = Kinds()(REFERENCE, world(1), {"psi": alarm})
    assert found.kind == "inputs"
    assert found.because.startswith("age moved")
    calm = Verdict("pass", "nothing", "psi", (Measurement("psi", 0.0, 500, where="age"),))
    assert Kinds()(REFERENCE, world(1), {"psi": calm}).kind == "none"


def test_classes_and_vectors_of_probabilities_are_told_apart_too():
    def three(seed, mix, hits=1.0, n=1500):
        rng = np.random.default_rng(seed)
        label = rng.choice(3, n, p=mix)
        x = rng.normal(size=(n, 3)) + 2 * np.eye(3)[label]
        odds = np.array([0.5, 0.3, 0.2]) * np.exp(2 * x)
        stated = odds / odds.sum(axis=1, keepdims=True)
        label = np.where(rng.random(n) < hits, label, rng.integers(0, 3, n))
        return Window({f"x{k}": x[:, k] for k in range(3)}, {"p": stated}, label.astype(float), np.arange(float(n)))

    usual = (0.5, 0.3, 0.2)
    reference = three(0, usual)
    assert Kinds()(reference, three(2, usual)).kind == "none"
    assert Kinds()(reference, three(2, (0.2, 0.3, 0.5))).kind == "labels"
    assert Kinds()(reference, three(2, usual, hits=0.6)).kind == "concept"


def test_numbers_have_kinds_without_rates():
    def priced(seed, slope=2.0, shift=0.0):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=1500) + shift
        y = 100 + 10 * slope * x + rng.normal(size=1500)
        return Window({"x": x}, {"price": 100 + 20 * x}, y, np.arange(1500.0))

    assert Kinds()(priced(0), priced(1)).kind == "none"
    assert Kinds()(priced(0), priced(1, shift=0.5)).kind == "inputs"
    assert Kinds()(priced(0), priced(1, slope=1.0)).kind == "concept"


def test_an_empty_window_cannot_be_told_and_one_without_output_says_so():
    nothing = Window({}, {}, np.empty(0), np.empty(0))
    assert "0 rows against 2000" in Kinds()(REFERENCE, nothing).because
    blind = Window(older(1).inputs, {}, older(1).labels, older(1).at)
    assert Kinds()(REFERENCE, blind).kind == "inputs"


def test_it_goes_to_json_and_back_and_is_told_in_three_lines():
    found = Kinds()(REFERENCE, other_mix(1))
    assert msgspec.json.decode(msgspec.json.encode(found), type=DriftKind) == found
    told = lines(found)
    assert told[0] == "kind of drift: labels (outcomes have another mix, and those of one kind look as ever)"
    assert told[2].startswith("an estimate without labels cannot be believed:")
    assert len(told) == 3


def test_a_long_window_is_looked_at_by_evenly_spaced_rows():
    found = Kinds(most_rows=500)(REFERENCE, world(1, 3000, slope=-0.5))
    assert found.kind == "concept"
    assert found.evidence[0].n == 500
