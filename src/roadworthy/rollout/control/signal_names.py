"""What the signals of a rollout are called, so that two of one gate can be told apart."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from roadworthy.core.catalog import read_plan
from roadworthy.core.spec import Signal, Stage


def names_of(signals: Sequence[Signal]) -> tuple[str, ...]:
    """The gate of each, with as many of its settings as tell it from the others.

    >>> names_of([Signal("errors"), Signal("quality:metric=auc,margin=0.1"), Signal("quality:metric=brier,margin=0.2")])
    ('errors', 'quality metric=auc', 'quality metric=brier')
    """
    plans = [read_plan(signal.gate) for signal in signals]
    names = [_name(*plan, [other for other in plans if other is not plan]) for plan in plans]
    # What is written twice in the same words is numbered.
    return tuple(
        f"{name} {names[: k + 1].count(name)}" if names.count(name) > 1 else name for k, name in enumerate(names)
    )


def _name(gate: str, settings: dict[str, Any], others: Sequence[tuple[str, dict[str, Any]]]) -> str:
    told, alike = [gate], [other for name, other in others if name == gate]
    for key, value in settings.items():
        left = [other for other in alike if other.get(key) == value]
        if len(left) < len(alike):
            told.append(f"{key}={value}")
        alike = left
    return " ".join(told)


def stage_name(stage: Stage) -> str:
    """`canary 25 % of origin=LGA`.

    >>> stage_name(Stage("canary", 0.25, where="origin=LGA")), stage_name(Stage("ab", 0.005))
    ('canary 25 % of origin=LGA', 'ab 0.5 %')
    """
    return f"{stage.mode} {100 * stage.share:.3g} %{f' of {stage.where}' if stage.where else ''}"
