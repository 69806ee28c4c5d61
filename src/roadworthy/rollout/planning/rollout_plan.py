"""A RolloutPlan is what is known of a rollout before its start: needs, hours, chances and exposures, stage by stage."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from roadworthy.core.measure import Measurement

Fits = Literal["fits", "short", "never", "shown before", "not known"]


class SignalPlan(Struct, frozen=True, omit_defaults=True):
    """What one signal needs in one stage until it passes a candidate as good as stable, four times in five.

    `requests` and `labels` are the candidate's, `hours` count from the beginning of the stage; None where they are not
    known, or where no number would do. `short`: later than the stage's least hours, so that the stage waits for it;
    `never`: not within its most. `effect` is what it would notice.
    """

    signal: str
    may: Literal["promote", "block", "advise"]
    fits: Fits
    requests: float | None = None
    labels: float | None = None
    hours: float | None = None
    effect: Measurement | None = None
    because: str = ""


class StagePlan(Struct, frozen=True, omit_defaults=True):
    """One stage: when it begins and ends if all goes well, and what the candidate gets in its least hours.

    `begins_hours` count from the start of the rollout. `likely_hours` are those until every signal that may promote
    passes and the least hours are over, None where that is not known. `frozen_hours` are then spent waiting for a
    freeze to end.
    """

    name: str
    mode: Literal["shadow", "canary", "ab", "holdback"]
    hours: float
    at_most_hours: float
    begins_hours: float
    likely_hours: float | None
    requests: float
    labels: float
    frozen_hours: float = 0.0
    signals: tuple[SignalPlan, ...] = ()


class Exposure(Struct, frozen=True, omit_defaults=True):
    """How many requests a candidate with a certain harm answers for users until it is stopped, found by replaying rows.

    `stage` and `signal` stop it ("" where none does in the rows replayed of the least hours); `until_look`
    more are answered at most before the next look at the gates. `shadow` is the signal that would have stopped it
    before, in a shadow ("": none).
    """

    harm: str
    requests: float
    stage: str = ""
    signal: str = ""
    until_look: float = 0.0
    shadow: str = ""


class RolloutPlan(Struct, frozen=True, omit_defaults=True):
    """A whole rollout before its start, planned from `rows` recent requests of stable over `span_hours`.

    `hourly` are requests an hour by hour of the day. `false_rollback` bounds the chance that a gate rolls back a good
    release: the alphas of the signals that may, added up, once a stage for those that begin anew in each. `floor_hours`
    are the least hours of all stages with the freezes between them, `likely_hours` what it takes if all goes well.
    """

    starts_at: float
    timezone: str
    rows: int
    span_hours: float
    hourly: tuple[float, ...]
    labels_an_hour: float
    label_delay_hours: float
    label_delay_90_hours: float
    stages: tuple[StagePlan, ...]
    false_rollback: float
    floor_hours: float
    likely_hours: float | None = None
    exposures: tuple[Exposure, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def requests_an_hour(self) -> float:
        """On average over the day."""
        return sum(self.hourly) / len(self.hourly)
