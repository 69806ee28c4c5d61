"""What a stream of rows was answered with so far, by one worker or many, and what it reaches at least."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from roadworthy.route.cascades.fits import Target
from roadworthy.route.cascades.hidden import Errors


class Tally(Struct, frozen=True):
    """What one or many workers have answered so far: a monoid that goes to JSON and back.

    Cheap answers are a `yes` (with several classes: to "is the predicted class right?") or a `no`. `positives` are the
    labels that said yes; `failed` rows have no answer, as the last model gave none, and are not among the `rows`.
    """

    rows: int = 0
    by_last: int = 0
    positives: int = 0
    failed: int = 0
    batches: int = 0
    drifts: int = 0
    yes: Errors = Errors()
    no: Errors = Errors()

    def merge(self, other: Tally) -> Tally:
        """Both together; where each of independent workers keeps its promise (`shared_out`), all do."""
        return Tally(
            self.rows + other.rows,
            self.by_last + other.by_last,
            self.positives + other.positives,
            self.failed + other.failed,
            self.batches + other.batches,
            self.drifts + other.drifts,
            self.yes.merge(other.yes),
            self.no.merge(other.no),
        )

    @property
    def delegation(self) -> float:
        """The share of answered rows that the last model answered; 0 of no rows."""
        return self.by_last / self.rows if self.rows else 0.0

    def reached(self, target: Target) -> tuple[float, ...]:
        """What all rows so far reach at least, metric by metric of the target (it fails with probability `delta`)."""
        if target.precision is None:
            return (max(0.0, 1 - self.yes.remaining / self.rows) if self.rows else 1.0,)
        right = max(self.positives + self.yes.unknown - self.yes.remaining, 0.0)
        if right == 0:
            return (1.0, 1.0) if self.yes.remaining + self.no.remaining <= 0 else (0.0, 0.0)
        return right / (right + self.yes.remaining), right / (right + self.no.remaining)

    def short(self, target: Target) -> tuple[bool, bool]:
        """Whether too many errors may hide in what was answered no, and yes."""
        stated = tuple(target.stated.values())
        under = [r < t for r, t in zip(self.reached(target), stated, strict=True)]
        return (False, under[0]) if len(under) == 1 else (under[1], under[0])


def shared_out(target: Target, workers: int) -> Target:
    """What each of several independent workers must promise, so that all do together."""
    if workers < 1:
        raise ValueError(f"`workers` must be at least 1, got {workers!r}")
    return replace(target, delta=target.delta / workers)
