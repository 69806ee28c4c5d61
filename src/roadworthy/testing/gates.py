"""The laws of gates: no verdict on nothing, none by chance, and what has failed cannot pass by getting worse."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace as with_columns
from functools import lru_cache
from typing import Any

import numpy as np
from msgspec.structs import replace

from roadworthy.core.measure import Verdict
from roadworthy.core.record import Record
from roadworthy.core.window import Window
from roadworthy.core.wire import Arm, Step
from roadworthy.rollout.base import Expected, Gate

Arms = tuple[Window, Window]
_MODES: tuple[Arm, ...] = ("shadow", "canary")


def check_gate(leaf: type) -> None:
    """Run every law on a gate class, built with its defaults or by its classmethod `example()`.

    Raises AssertionError with the law that is broken.
    """
    try:
        made = getattr(leaf, "example", leaf)()
    except TypeError as needed:
        raise AssertionError(
            f"{leaf.__name__} cannot be built with its defaults ({needed}); add `@classmethod def example(cls)`"
        ) from needed
    check_waits_on_nothing(made)
    check_odd_rows(made)
    check_gives_reasons(made)
    check_pure(made)
    check_drawable(made)
    check_plans(made)
    check_worse_never_passes(made)
    check_calm(made)


def check_waits_on_nothing(made: Gate) -> None:
    """No rows of one arm or of both: `wait`. A candidate that answers nothing is not passed either."""
    control, candidate = twins(np.random.default_rng(0), 50, "canary")
    nothing = Window.of_all(())
    for name, arms in {
        "no rows": (nothing, nothing),
        "no rows of the candidate": (control, nothing),
        "no rows of stable": (nothing, candidate),
    }.items():
        decision = made(*arms).decision
        assert decision == "wait", f"{made!r} says {decision!r} on {name}; there is nothing to judge yet: say 'wait'"
    control, candidate = twins(np.random.default_rng(0), 1000, "canary", _silent)
    assert made(control, candidate).decision != "pass", f"{made!r} passes a candidate that fails every request"


def check_odd_rows(made: Gate) -> None:
    """Rows that are not as a gate would have them get a verdict with its reason, and no exception."""
    for name, odd in _ODD.items():
        for mode in _MODES:
            control, candidate = twins(np.random.default_rng(4), 400, mode)
            for arms in ((odd(control), odd(candidate)), (control, odd(candidate)), (odd(control), candidate)):
                try:
                    verdict = made(*arms)
                except Exception as raised:
                    raise AssertionError(f"{made!r} raises {raised!r} on {name}: say 'wait'") from raised
                assert verdict.because, f"{made!r} has no reason on {name}"


def check_gives_reasons(made: Gate) -> None:
    """Every verdict has a reason in words, and one that passes or fails has measurements behind it."""
    for spoil in (_as_is, _broken):
        verdict = made(*twins(np.random.default_rng(0), 2000, "shadow", spoil))
        assert verdict.because, f"{made!r} says {verdict.decision!r} without a reason: fill in `because`"
        assert verdict.decision == "wait" or verdict.evidence, f"{made!r} says {verdict.decision!r} without `evidence`"


def check_drawable(made: Gate) -> None:
    """What is drawn of a verdict says the same as the verdict: the bounds in the evidence's conditions hold or not."""
    for mode in _MODES:
        for spoil in (_as_is, _broken):
            verdict = made(*twins(np.random.default_rng(0), 3000, mode, spoil))
            for m in verdict.evidence:
                assert m.low <= m.value <= m.high or math.isnan(m.value), f"{made!r}: {m} lies outside of its interval"
            if verdict.decision != "wait":
                drawn = _looks_failed(verdict) if verdict.decision == "fail" else _looks_passed(verdict)
                assert drawn, (
                    f"{made!r} says {verdict.decision!r}, and its evidence does not: give a measurement `allowed` and"
                    f" `fails_above`, or `enough`, in its conditions, got {verdict.evidence!r}"
                )


def _looks_failed(verdict: Verdict) -> bool:
    """Whether an interval lies above what may be, or evidence has come to what is enough."""
    beyond = [m for m in verdict.evidence if m.low > m.conditions.get("fails_above", math.inf)]
    return bool(beyond) or any(m.value * (1 + 1e-9) >= m.conditions.get("enough", math.inf) for m in verdict.evidence)


def _looks_passed(verdict: Verdict) -> bool:
    """Whether evidence is not enough, and an interval lies at or below what is allowed."""
    allowed = any(m.high <= m.conditions.get("allowed", -math.inf) for m in verdict.evidence)
    return allowed and not any(m.value >= m.conditions.get("enough", math.inf) for m in verdict.evidence)


def check_plans(made: Gate) -> None:
    """A gate that says what it needs says numbers above 0 (or infinity), and an effect that is one."""
    plan: Any = getattr(made, "plan", None)
    if plan is None:
        return
    stable, _ = twins(np.random.default_rng(0), 2000, "shadow")
    for paired, share in ((True, 1.0), (False, 0.3)):
        need = plan(Expected(stable, 3600.0, share, paired, 3600.0, 1.0))
        assert min(need.requests, need.hours) > 0 <= need.labels, f"{made!r} needs nothing: {need!r}"
        effect = math.inf if need.effect is None else need.effect.value
        assert effect > 0, f"{made!r} plans to notice an effect of {effect!r}"
    nothing = plan(Expected(Window.of_all(()), 0.0, 0.1, False, 0.0, 0.0))
    assert nothing.requests > 0, f"{made!r} needs {nothing.requests!r} requests where nothing is known of stable"


def check_fails_broken(made: Gate) -> None:
    """A candidate that does everything wrong fails, in a shadow or in a canary. No law for a gate of other columns."""
    found = [made(*twins(np.random.default_rng(3), 4000, mode, _broken)) for mode in _MODES]
    assert any(verdict.decision == "fail" for verdict in found), f"{made!r} fails no broken candidate: {found!r}"


def check_pure(made: Gate) -> None:
    """The same rows get the same verdict, whatever the global random state, which is left alone."""
    before = random.getstate(), np.random.get_state(legacy=False)
    try:
        for mode in _MODES:
            arms = twins(np.random.default_rng(1), 600, mode)
            verdicts = {_said(_seeded(made, arms, seed)) for seed in (1, 2)}
            assert len(verdicts) == 1, f"{made!r} judges the same rows in two ways: {verdicts}"
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])


def check_worse_never_passes(made: Gate) -> None:
    """Rows of a candidate that failed, then more rows that are worse still: never `pass`."""
    for mode in _MODES:
        rng = np.random.default_rng(2)
        control, candidate = twins(rng, 1000, mode, _broken)
        if made(control, candidate).decision != "fail":
            continue
        for spoil in (_silent, _broken):
            for more in (1, 50, 500):
                later = twins(rng, more, mode, spoil, start=1000)
                decision = made(control.join(later[0]), candidate.join(later[1])).decision
                assert decision != "pass", f"{made!r} fails a candidate, and passes it after {more} rows more as bad"


def check_calm(made: Gate, repeats: int = 40) -> None:
    """A candidate as good as stable fails in at most `alpha` of repeated rollouts, looked at as they grow."""
    alpha = float(getattr(made, "alpha", 0.05))
    for mode in _MODES:
        fails = 0
        for seed in range(repeats):
            control, candidate = _equals(seed, mode)
            looks = (float(control.at[-1]) * part for part in (0.1, 0.2, 0.4, 0.7, 1.0))
            fails += any(made(_until(control, at), _until(candidate, at)).decision == "fail" for at in looks)
        assert fails <= _at_most(repeats, alpha), (
            f"{made!r} fails {fails} of {repeats} candidates that are as good as stable ({mode}), and its alpha is"
            f" {alpha:g}: use a test that is valid under repeated looks"
        )


@lru_cache(maxsize=256)
def _equals(seed: int, mode: Arm) -> Arms:
    """Twins that every gate is asked about again."""
    return twins(np.random.default_rng(seed), 1000, mode)


def twins(
    rng: np.random.Generator,
    n: int,
    mode: Arm,
    spoil: Callable[[Record, float], Record | None] | None = None,
    start: int = 0,
) -> Arms:
    """Rows of two equally good arms over `n` requests, 3 % failing, all labelled; `spoil` worsens the candidate.

    In shadow both answer every request; as a canary the candidate answers each with probability 0.3. Rows have a
    prediction set, an interval, a price, tags, a number and a category as inputs, and one in fifty met a guard. Where
    `spoil` gives None the row is lost. Labels come ten seconds late.
    """
    control: list[Record] = []
    candidate: list[Record] = []
    for k in range(start, start + n):
        chance, label = rng.beta(1, 3), rng.random()
        arms = ("stable", mode) if mode == "shadow" else (mode if rng.random() < 0.3 else "stable",)
        for arm in arms:
            row = _row(rng, k, arm, chance, float(label < chance))
            if arm == "stable":
                control.append(row)
            else:
                kept = spoil(row, rng.random()) if spoil else row
                candidate += [kept] if kept else []
    return Window.of_all(control), Window.of_all(candidate)


def _row(rng: np.random.Generator, k: int, arm: Any, chance: float, label: float) -> Record:
    error = "TimeoutError: twin" if rng.random() < 0.03 else None
    answer = 1 / (1 + math.exp(-math.log(chance / (1 - chance)) - 0.3 * rng.normal())) if 0 < chance < 1 else chance
    seconds = 0.02 * math.exp(0.4 * rng.normal())
    answers = {"probability": answer, "label": float(answer > 0.5), "low": answer - 0.9, "high": answer + 0.9}
    return Record(
        f"twin-{k:06d}",
        float(k),
        f"{arm}-release",
        arm,
        {"x": chance, "kind": "odd" if k % 2 else "even"},
        {} if error else answers,
        confidence=max(answer, 1 - answer),
        prediction_set=None if error else _set_of(answer),
        path=(Step("guard", "twin"),) if rng.random() < 0.02 else (),
        seconds={"total": 1.2 * seconds, "model": seconds},
        tokens=100,
        usd=0.001 * math.exp(0.3 * rng.normal()),
        tags={"segment": "a" if k % 3 else "b"},
        error=error,
        label=label,
        label_at=k + 10.0,
    )


def _as_is(row: Record, chance: float) -> Record:
    return row


def _silent(row: Record, chance: float) -> Record:
    return replace(row, outputs={}, error="RuntimeError: silent")


def _set_of(answer: float) -> tuple[str, ...]:
    """The labels that are not improbable, which holds the true one nine times in ten and more."""
    return tuple(label for label, chance in (("0", 1 - answer), ("1", answer)) if chance > 0.1)


def _broken(row: Record, chance: float) -> Record | None:
    """Loses one row in four, fails four in ten, answers the opposite, ten times slower and dearer, to no avail."""
    if chance < 0.4:
        return _silent(row, chance)
    if chance > 0.75:
        return None
    return replace(
        row,
        outputs={name: 1 - value for name, value in row.outputs.items()},
        prediction_set=(),
        path=(Step("guard", "broken"),),
        label=0.0,
        seconds={name: 10 * value for name, value in row.seconds.items()},
        usd=0.01,
        tokens=1000,
    )


def _with_answers(make: Callable[[int], Any]) -> Callable[[Window], Window]:
    return lambda rows: with_columns(rows, outputs={"probability": make(rows.n), "low": make(rows.n)})


_ODD: dict[str, Callable[[Window], Window]] = {
    "no answer column": lambda rows: with_columns(rows, outputs={}),
    "answers in words": _with_answers(lambda n: np.full(n, "high", object)),
    "vectors for answers": _with_answers(lambda n: np.ones((n, 3))),
    "answers that are not finite": _with_answers(lambda n: np.where(np.arange(n) % 2, np.inf, np.nan)),
    "one answer for all": _with_answers(lambda n: np.full(n, 0.5)),
    "no label": lambda rows: with_columns(rows, labels=np.full(rows.n, np.nan)),
    "labels of one class": lambda rows: with_columns(rows, labels=np.zeros(rows.n)),
    "labels of no class": lambda rows: with_columns(rows, labels=np.full(rows.n, -7.5)),
    "all at one time": lambda rows: with_columns(rows, at=np.zeros(rows.n)),
    "nothing but times": lambda rows: Window({}, {}, np.full(rows.n, np.nan), rows.at),
    "inputs of nothing": lambda rows: with_columns(rows, inputs={"x": np.full(rows.n, None, object)}, tags={}),
    "no price, no time taken, no set": lambda rows: with_columns(rows, usd=None, tokens=None, seconds={}, sets=None),
}


def _until(rows: Window, at: float) -> Window:
    return rows.take(rows.at <= at)


def _seeded(made: Gate, arms: Arms, seed: int) -> Verdict:
    random.seed(seed)
    np.random.seed(seed)
    before = _global_state()
    verdict = made(*arms)
    drawn = before != _global_state()
    assert not drawn, f"{made!r} draws from the global random state: a verdict must not hang on chance"
    return verdict


def _global_state() -> tuple[Any, bytes, int]:
    state = np.random.get_state(legacy=False)["state"]
    return random.getstate(), state["key"].tobytes(), state["pos"]


def _said(verdict: Verdict) -> str:
    return f"{verdict.decision}: {verdict.because}"


def _at_most(repeats: int, alpha: float) -> int:
    """The count that a gate of this alpha exceeds in one check of 10,000."""
    left, k = 1.0, -1
    while left > 1e-4:
        k += 1
        left -= math.comb(repeats, k) * alpha**k * (1 - alpha) ** (repeats - k)
    return k
