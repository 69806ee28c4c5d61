"""The forty candidates: which model on which day, and what stands in front of the bad ones. It runs nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from models import Recipe

# A good candidate every ten days, and a bad one three days after it. Stable is 7 and 10 days old then.
APART, GOOD_AFTER, BAD_AFTER = 10.0, 7.0, 10.0
CELSIUS = {"scale": 5 / 9, "offset": -160 / 9}
Plan = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Candidate:
    """A release that somebody wants to let in on `day` against `stable`.

    One that is `recalibrated` gets a line on its log-odds by what became known since its training. `slice` is the
    carrier that suffers, where only one does.
    """

    name: str
    kind: str
    day: float
    stable: Recipe
    recipe: Recipe
    good: bool = False
    recalibrated: bool = False
    plans: tuple[Plan, ...] = ()
    slice: str = ""


@dataclass(frozen=True)
class Change:
    """What makes a good candidate another release than stable: settings of its training, or what is done to it."""

    kind: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    days_before: float = 0.0
    recalibrated: bool = False


@dataclass(frozen=True)
class Fault:
    """What is wrong with a bad candidate, as plans from the request to the model."""

    kind: str
    said: str
    plans: tuple[Plan, ...]
    slice: str = ""


RETRAINED = Change("retrained")
SLOWER = Change("slower learning", {"rounds": 200, "settings": {"learning_rate": 0.05}})
REGULARISED = Change("regularised", {"settings": {"l2_regularization": 5.0, "min_samples_leaf": 100}})
SMALLER = Change("smaller trees", {"rounds": 150, "settings": {"max_leaf_nodes": 15}})
BLENDED = Change("blend with logistic", {"logistic": 0.25})
RECENT = Change("last 150 days", {"last_days": 150.0})
RECALIBRATED = Change("recalibrated", {"seed": 2}, days_before=30.0, recalibrated=True)
# Of the rows that stable learnt from.
OTHER_SEED = Change("another seed", {"seed": 5}, days_before=GOOD_AFTER)
EXPORTED = Change("exported again", {"exported_again": True}, days_before=GOOD_AFTER)

CHANGES = (
    BLENDED, REGULARISED, EXPORTED, SLOWER, OTHER_SEED, BLENDED, REGULARISED, SLOWER, RETRAINED, OTHER_SEED,
    SMALLER, RECALIBRATED, RECENT, RECALIBRATED, SMALLER, SLOWER, BLENDED, RECALIBRATED, RETRAINED, EXPORTED,
)  # fmt: skip


def celsius(*columns: str) -> Fault:
    """The feed of the weather changed its unit."""
    plans = tuple({"rescale": {"column": column, **CELSIUS}} for column in columns)
    return Fault("wrong unit", f"{' and '.join(columns)} in Celsius", plans)


def stale(hours: float) -> Fault:
    """The feed of the weather hangs."""
    return Fault("stale weather", f"weather of {hours:g} hours ago", ({"spoiling.py:Stale": {"hours": hours}},))


def miscalibrated(slope: float, intercept: float) -> Fault:
    """The last step of the pipeline is another model's."""
    said = f"log-odds x {slope:g}" if slope != 1 else f"log-odds {intercept:+g}"
    return Fault("miscalibrated", said, ({"calibrated": {"slope": slope, "intercept": intercept}},))


def garbled(carrier: str, spread: float = 1.4) -> Fault:
    """The scores of one carrier are jumbled."""
    plan = {"spoiling.py:Garbled": {"carrier": carrier, "spread": spread}}
    return Fault("one carrier", f"noise on the log-odds of {carrier}", (plan,), carrier)


UTC = Fault("hour in UTC", "hour + 4", ({"rescale": {"column": "hour", "offset": 4.0, "modulo": 24.0}},))
SLOW = Fault("30 ms slower", "30 ms beside the model", ({"spoiling.py:Slow": {"seconds": 0.03}},))
FLAKY = Fault("3 % errors", "only live requests fail", ({"faults.py:Flaky": {"rate": 0.03}},))

FAULTS = (
    celsius("temp", "dewp"), garbled("UA"), stale(12.0), UTC, miscalibrated(1.5, 0.0), UTC, celsius("temp", "dewp"),
    garbled("EV"), FLAKY, miscalibrated(1.0, 0.5), stale(12.0), SLOW, celsius("temp"), miscalibrated(0.6, 0.0), SLOW,
    FLAKY, FLAKY, stale(24.0), UTC, garbled("B6"),
)  # fmt: skip


def candidates(seed: int) -> tuple[Candidate, ...]:
    """All forty in the order of their days. The seed is that of their trainings, and so of their splits too."""
    good = [_good(k, change, seed) for k, change in enumerate(CHANGES)]
    bad = [_bad(k, fault, seed) for k, fault in enumerate(FAULTS)]
    return tuple(sorted((*good, *bad), key=lambda candidate: candidate.day))


def _good(k: int, change: Change, seed: int) -> Candidate:
    day = APART * k + GOOD_AFTER
    settings = {**change.recipe, "seed": change.recipe.get("seed", 0) + 10 * seed}
    recipe = Recipe(day - change.days_before, **settings)
    return Candidate(
        f"good {k + 1}", change.kind, day, _stable(k, seed), recipe, good=True, recalibrated=change.recalibrated
    )


def _bad(k: int, fault: Fault, seed: int) -> Candidate:
    day = APART * k + BAD_AFTER
    kind = f"{fault.kind}: {fault.said}"
    return Candidate(
        f"bad {k + 1}", kind, day, _stable(k, seed), _stable(k + 1, seed), plans=fault.plans, slice=fault.slice
    )


def _stable(k: int, seed: int) -> Recipe:
    return Recipe(APART * k, seed=10 * seed)
