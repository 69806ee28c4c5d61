from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.window import Window
from roadworthy.observe.drift.label_shift import explains, mix_of, mix_seen
from roadworthy.observe.drift.laws import rows_of_both


def classes(n, seed, mix, spread=1.0):
    rng = np.random.default_rng(seed)
    label = rng.choice(len(mix), n, p=mix)
    x = spread * rng.normal(size=(n, len(mix))) + 1.5 * np.eye(len(mix))[label]
    odds = np.exp(1.5 * x)
    stated = odds / odds.sum(axis=1, keepdims=True)
    output = stated[:, 1] if len(mix) == 2 else stated
    columns = {f"x{k}": x[:, k] for k in range(len(mix))}
    return Window(columns, {"p": output}, label.astype(float), np.arange(n, dtype=float))


def rows(reference, current):
    return rows_of_both(reference, current, "")


@pytest.mark.parametrize("mix", [(0.2, 0.8), (0.7, 0.2, 0.1), (0.1, 0.1, 0.1, 0.7)])
def test_the_rates_are_recovered_without_labels_and_mostly_within_the_interval(mix):
    even = [1 / len(mix)] * len(mix)
    held = 0
    for seed in range(20):
        old, new = rows(classes(1500, seed, even), classes(800, 99 + seed, mix))
        found = mix_of(old, new)
        assert found.rates == pytest.approx(mix, abs=0.1)
        rate = found.measurement(0, new.n)
        held += rate.low <= mix[0] <= rate.high
    assert held >= 15


def test_weights_of_the_mix_make_the_reference_look_like_what_came():
    old, new = rows(classes(2000, 0, (0.5, 0.5)), classes(1000, 1, (0.15, 0.85)))
    assert not explains(np.ones(old.n), old, new, 0.01, 0.05)
    assert explains(mix_of(old, new).weights, old, new, 0.01, 0.05)
    assert explains(mix_seen(old, new), old, new, 0.01, 0.05)


def test_no_mix_explains_inputs_that_moved_otherwise():
    old, new = rows(classes(2000, 0, (0.5, 0.5)), classes(1000, 1, (0.5, 0.5), spread=1.6))
    assert not explains(mix_of(old, new).weights, old, new, 0.01, 0.05)


def test_answers_that_say_nothing_of_the_class_give_no_rates():
    old, new = rows(classes(300, 0, (0.5, 0.5)), classes(300, 1, (0.5, 0.5)))
    old.stated[:] = new.stated[:] = 0.5
    assert mix_of(old, new) is None
    only, new = rows(classes(300, 0, (1.0, 0.0)), classes(300, 1, (0.5, 0.5)))
    assert mix_of(only, new) is None
