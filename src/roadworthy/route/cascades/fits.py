"""What a cascade promises, the thresholds that keep the promise, and what they were learnt from: plain data as JSON."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from roadworthy.core.errors import BadData
from roadworthy.core.measure import Measurement, Requirement

Scope = Literal["batch", "traffic"]
Against = Literal["labels", "oracle"]


class Target(Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What the whole cascade must reach, with probability 1 - `delta`; rows sent on and rows labelled count, too.

    Either `precision` and `recall` of the positive answers (two answers), or `accuracy` against labels, or
    `agreement` with the last model.

    >>> Target(precision=0.9, recall=0.9).words
    'precision 0.9 and recall 0.9 with probability 0.9'
    """

    precision: float | None = None
    recall: float | None = None
    accuracy: float | None = None
    agreement: float | None = None
    delta: float = 0.1

    def __post_init__(self) -> None:
        for name, value in (*self.stated.items(), ("delta", self.delta)):
            if not 0 < value < 1:
                raise ValueError(f"`{name}` must lie between 0 and 1, got {value!r}")
        if tuple(self.stated) not in {("precision", "recall"), ("accuracy",), ("agreement",)}:
            given = " and ".join(self.stated) or "nothing"
            raise ValueError(f"a target states precision and recall, or accuracy, or agreement; got {given}")

    @property
    def stated(self) -> dict[str, float]:
        """The metrics that are promised, and how much of each."""
        every = {name: getattr(self, name) for name in ("precision", "recall", "accuracy", "agreement")}
        return {name: value for name, value in every.items() if value is not None}

    @property
    def requirements(self) -> tuple[Requirement, ...]:
        """The same as bounds that a measurement is judged by."""
        return tuple(Requirement(name, at_least=value) for name, value in self.stated.items())

    @property
    def words(self) -> str:
        """The promise in words."""
        return f"{' and '.join(f'{n} {v:g}' for n, v in self.stated.items())} with probability {1 - self.delta:g}"

    def pair(self) -> tuple[float, float]:
        """Precision and recall, where these are what is promised."""
        if self.precision is None or self.recall is None:
            raise BadData(f"rows of two answers need a target of precision and recall, got {self.words}")
        return self.precision, self.recall

    def share(self) -> float:
        """Accuracy or agreement, where one of them is what is promised."""
        found = self.accuracy if self.accuracy is not None else self.agreement
        if found is None:
            raise BadData(f"answers with a confidence need a target of accuracy or agreement, got {self.words}")
        return found


class Level(Struct, frozen=True, omit_defaults=True):
    """Where one cheap model answers by itself. None: it never does so on that side.

    Two answers: no below `reject_below`, yes from `accept_from` on. Several classes: where the
    confidence is at least `keep_from`, or that of the predicted class in `by_class`. NaN goes on. `answers` is
    its share of the rows.
    """

    reject_below: float | None = None
    accept_from: float | None = None
    keep_from: float | None = None
    by_class: tuple[float | None, ...] = ()
    name: str = ""
    answers: float | None = None

    @property
    def shut(self) -> bool:
        """Whether every row goes on to the next level."""
        sides = (self.reject_below, self.accept_from, self.keep_from, *self.by_class)
        return all(side is None for side in sides)


class Point(Struct, frozen=True):
    """One choice of thresholds: the share of rows sent on, and what the cascade then reaches."""

    delegation: float
    reached: tuple[float, ...]


class CascadeFit(Struct, frozen=True, omit_defaults=True):
    """Thresholds, level by level, with the promise that they were certified for and what that rests on.

    `batch`: the promise is about the very rows that were given. `traffic`: about rows drawn as those of the sample
    were. `bought` labels came from the last model, and are counted in `delegation`; `tried` choices were tested in
    order. `curve` is what the sample shows over all choices, `ideal` what knowing every label would allow.
    """

    target: Target
    scope: Scope
    levels: tuple[Level, ...]
    rows: int
    labels: int
    delegation: Measurement
    certificate: str
    bought: int = 0
    tried: int = 0
    flips: float | None = None
    curve: tuple[Point, ...] = ()
    ideal: tuple[Point, ...] = ()

    @property
    def certified(self) -> bool:
        """Whether any row may be answered cheaply."""
        return not all(level.shut for level in self.levels)

    def shut(self, why: str) -> CascadeFit:
        """The same cascade sending every row on, until it is fitted anew."""
        from msgspec.structs import replace

        levels = tuple(Level(name=level.name) for level in self.levels)
        whole = Measurement("delegation", 1.0, self.delegation.n, 1.0, 1.0)
        return replace(self, levels=levels, delegation=whole, certificate=f"every row is sent on: {why}")
