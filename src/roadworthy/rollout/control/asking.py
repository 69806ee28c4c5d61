"""Asks the signals of a rollout for their verdicts, each with what it may say and when. It decides nothing."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Sequence

import numpy as np
from msgspec.structs import replace

from roadworthy.core.measure import Verdict
from roadworthy.core.spec import Signal
from roadworthy.core.window import Window
from roadworthy.rollout.base import Gate
from roadworthy.rollout.control.followed import Rows
from roadworthy.rollout.control.hierarchy import on_stage
from roadworthy.rollout.control.signal_names import names_of
from roadworthy.rollout.rollout_state import RolloutState

log = logging.getLogger(__name__)


def asked(now: RolloutState, gates: Sequence[Gate], rows: Rows, at: float) -> RolloutState:
    """The state with the verdicts of this look in the place of the last ones.

    `gates` are those of the whole hierarchy; the stage says which of them are asked.
    """
    signals, names = now.plan.hierarchy, names_of(now.plan.hierarchy)
    places = on_stage(now.plan, now.step, gates)
    lasting, verdicts = dict(now.lasting), []
    for place in places:
        leaf, signal = gates[place], signals[place]
        whole = getattr(leaf, "rows_since", "stage") == "rollout"
        control, candidate = (rows.control, rows.candidate) if whole else (rows.stage_control, rows.stage_candidate)
        found = _verdict(leaf, signal, control, candidate)
        if whole:
            found = _lasting(lasting, place, found)
        if found.decision == "pass" and signal.stale_hours:
            found = _unless_stale(leaf, signal, found, control, candidate, at)
        verdicts.append(replace(found, of=names[place]))
    return replace(now, verdicts=tuple(verdicts), asked=places, lasting=lasting, touched=rows.touched)


def _verdict(leaf: Gate, signal: Signal, control: Window, candidate: Window) -> Verdict:
    if min(control.n, candidate.n) < signal.least:
        fewer = (
            f"{control.n:,} rows of stable and {candidate.n:,} of the candidate; it has a say from {signal.least:,} on"
        )
        return Verdict("wait", fewer)
    try:
        found = leaf(control, candidate)
    except Exception as wrong:
        # One that cannot judge these rows is no reason to stop asking the others, which may have to roll back.
        log.exception("the gate %r could not be asked", leaf)
        return Verdict("wait", f"it could not be asked: {type(wrong).__name__}: {wrong}")
    # JSON has no NaN, and what was not measured says nothing that `because` does not.
    return replace(found, evidence=tuple(m for m in found.evidence if math.isfinite(m.value)))


def _lasting(shown: dict[int, Verdict], place: int, found: Verdict) -> Verdict:
    """What a gate over the whole rollout has shown stays shown, unless it now says the opposite.

    Its interval holds at all times together, so a bound that was reached once is reached; otherwise a few late labels
    of a shadow that is over could hold up a canary that adds no pairs.
    """
    if found.decision == "pass":
        shown[place] = found
    elif found.decision == "fail":
        shown.pop(place, None)
    return shown.get(place, found)


def _unless_stale(leaf: Gate, signal: Signal, found: Verdict, control: Window, candidate: Window, at: float) -> Verdict:
    """A pass that rests on old rows is no news: the labels, or the requests, may have stopped coming."""
    judged = candidate.at
    if _rests_on_labels(leaf, control, candidate):
        judged = candidate.at[~np.isnan(candidate.labels)]
    hours = (at - float(judged[-1])) / 3600 if len(judged) else math.inf
    if hours <= signal.stale_hours:
        return found
    old = f"the newest row that it judged is {hours:.1f} h old, of at most {signal.stale_hours:g} h"
    return replace(found, decision="wait", because=f"{old}; before that: {found.because}")


def _rests_on_labels(leaf: Gate, control: Window, candidate: Window) -> bool:
    """Whether a gate that passes would not without labels; asking it says more than any list of gates."""
    without = (_unlabelled(control), _unlabelled(candidate))
    try:
        return leaf(*without).decision != "pass"
    except Exception:
        return True


def _unlabelled(rows: Window) -> Window:
    """The rows as if nothing were known of them yet."""
    unknown = np.full(rows.n, np.nan)
    return dataclasses.replace(rows, labels=unknown, known_at=unknown)
