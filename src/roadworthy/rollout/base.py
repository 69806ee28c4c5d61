"""A gate reads the rows of control and candidate and says pass, fail or wait. It never moves traffic."""

from __future__ import annotations

from typing import Protocol

from msgspec import Struct

from roadworthy.core.catalog import Catalog
from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.window import Window


class Gate(Protocol):
    """Valid under repeated looks: however often it is asked, it fails an equally good candidate with at most its alpha.

    That holds for the rows that it is given as they grow: those of one stage, each stage being a test of its own, or of
    the whole rollout where the gate's class says `rows_since = "rollout"`. It waits on nothing. `pass` means that the
    candidate is shown to be no worse than the gate's margin. Both windows hold every row (`Window.of_all`), failed ones
    too, in time order; rows of one request in both are a pair (same id). A field `share` is filled in by the controller
    with the candidate's share of the requests, a field `seed` with a number of the rollout.

    It is asked in the stages that its signal names, or else those of its class's `modes`, or else all.

    What is drawn of a verdict is read off its evidence: an interval whose conditions have `allowed` passes once it lies
    at or below that and fails once it lies above `fails_above`; one whose conditions have `enough` fails at that value.

    A gate may have a method `plan(expected: Expected) -> Need`; without one its need is told as not known.
    """

    def __call__(self, control: Window, candidate: Window) -> Verdict: ...


class Expected(Struct, frozen=True):
    """What a stage is expected to see: `stable` are recent rows of the release that answers now, in time order.

    `share` of the requests go to the candidate; in a shadow (`paired`) both arms have every one of that share.
    `labels_an_hour` counts labels of all requests, which become known `label_delay_hours` after them (median).
    """

    stable: Window
    requests_an_hour: float
    share: float
    paired: bool
    labels_an_hour: float
    label_delay_hours: float


class Need(Struct, frozen=True, omit_defaults=True):
    """What a gate needs until it can pass an equally good candidate four times in five, and what it would notice.

    `requests` are the candidate's, `labels` those among them whose outcome must be known; infinite where the gate could
    never pass. `effect` is the smallest change that it fails four times in five within the stage's hours.
    """

    requests: float
    labels: float = 0.0
    hours: float = 0.0
    effect: Measurement | None = None
    because: str = ""


gate: Catalog[Gate] = Catalog("gate", "roadworthy.rollout.gates")
