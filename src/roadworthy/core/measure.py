"""Claim, Measurement, Requirement and Verdict, and the one function that compares them.

It does not know how a number came about, nor what anybody does with a verdict.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, field
from msgspec.structs import force_setattr

Decision = Literal["pass", "fail", "wait"]
# What a command returns for a decision; 2 is wrong use.
EXIT_CODES: Mapping[Decision, int] = {"pass": 0, "fail": 1, "wait": 3}

OPEN_BELOW = -math.inf


class Measurement(Struct, frozen=True, omit_defaults=True):
    """A number that we measured, and how sure we are of it.

    `low` and `high` bound it with the confidence in `conditions["confidence"]` (0.95 where not said). `n` counts
    the rows behind it. `where` names the slice, "" being everything. A value that could not be had is NaN with n=0.
    """

    name: str
    value: float = math.nan
    n: int = 0
    low: float = OPEN_BELOW
    high: float = math.inf
    unit: str = "1"
    where: str = ""
    conditions: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # JSON has no NaN and no infinity. They are the defaults, which are left out and come back when read; but
        # msgspec leaves out only the default object itself.
        if math.isnan(self.value):
            force_setattr(self, "value", math.nan)
        if self.low == -math.inf:
            force_setattr(self, "low", OPEN_BELOW)
        if self.high == math.inf:
            force_setattr(self, "high", math.inf)

    def __str__(self) -> str:
        interval = f" [{self.low:.4g}, {self.high:.4g}]" if math.isfinite(self.low) and math.isfinite(self.high) else ""
        unit = "" if self.unit == "1" else f" {self.unit}"
        where = f" on {self.where}" if self.where else ""
        return f"{self.name}{where} {self.value:.4g}{unit}{interval} (n={self.n})"


class Claim(Struct, frozen=True, omit_defaults=True):
    """A number that somebody states: a paper, a model card, a notebook. `tolerance` is half the width they allow.

    `data` is the digest or the name of the table it was measured on, `split` which part of it and `n` how many rows.
    `definition` says which variant of the metric (normalised, macro, top 5), `prompt` and `extractor` how a written
    answer was asked for and found. What nobody says is "" (0).
    """

    metric: str
    value: float
    tolerance: float = 0.0
    where: str = ""
    source: str = ""
    data: str = ""
    split: str = ""
    n: int = 0
    definition: str = ""
    prompt: str = ""
    extractor: str = ""
    model: str = ""


class Requirement(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A bound that the application sets on a metric, on a slice (`where`) or on everything."""

    metric: str
    at_least: float | None = None
    at_most: float | None = None
    where: str = ""
    unit: str = "1"

    def __post_init__(self) -> None:
        if self.at_least is None and self.at_most is None:
            raise ValueError(f"requirement on `{self.metric}` needs `at_least` or `at_most`")
        for name, bound in (("at_least", self.at_least), ("at_most", self.at_most)):
            if bound is not None:  # 50 and 50.0 are one bound, also in a report that was written and read back
                force_setattr(self, name, float(bound))

    def __str__(self) -> str:
        bounds = [f"at least {self.at_least:g}"] if self.at_least is not None else []
        bounds += [f"at most {self.at_most:g}"] if self.at_most is not None else []
        where = f" on {self.where}" if self.where else ""
        return f"{self.metric}{where} {' and '.join(bounds)}{'' if self.unit == '1' else ' ' + self.unit}"


class Verdict(Struct, frozen=True, omit_defaults=True):
    """What follows from a measurement against a bound, with the reason in words and the numbers behind it."""

    decision: Decision
    because: str
    of: str = ""
    evidence: tuple[Measurement, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 pass, 1 fail, 3 wait."""
        return EXIT_CODES[self.decision]


def judge(measured: Measurement, required: Requirement) -> Verdict:
    """Compare a measurement with a bound: `wait` while its interval straddles the bound or nothing was measured.

    >>> judge(Measurement("auc", 0.80, 1000, 0.77, 0.83), Requirement("auc", at_least=0.75)).decision
    'pass'
    >>> judge(Measurement("auc", 0.80, 1000, 0.77, 0.83), Requirement("auc", at_least=0.78)).decision
    'wait'
    """
    if measured.unit != required.unit:
        raise ValueError(f"`{required.metric}` is measured in {measured.unit!r} and required in {required.unit!r}")
    if measured.n == 0 or math.isnan(measured.value):
        return Verdict("wait", f"{required}: nothing measured yet", required.metric, (measured,))
    floor = -math.inf if required.at_least is None else required.at_least
    ceiling = math.inf if required.at_most is None else required.at_most
    if measured.high < floor or measured.low > ceiling:
        return Verdict("fail", f"{measured} breaks {required}", required.metric, (measured,))
    if measured.low >= floor and measured.high <= ceiling:
        return Verdict("pass", f"{measured} meets {required}", required.metric, (measured,))
    return Verdict("wait", f"{measured} straddles {required}: more data is needed", required.metric, (measured,))


def worst(verdicts: tuple[Verdict, ...] | list[Verdict]) -> Decision:
    """The decision over many verdicts: one fail fails, else one wait waits. Nothing to judge waits."""
    decisions = {v.decision for v in verdicts}
    if "fail" in decisions:
        return "fail"
    return "wait" if "wait" in decisions or not decisions else "pass"
