"""Where the dial of a served cascade stands, for whoever reads a report."""

from __future__ import annotations

from datetime import UTC, datetime

from msgspec import Struct

from roadworthy.core.dials import Dial
from roadworthy.route.cascades.fits import Level
from roadworthy.route.cascades.following import CascadeWatcher


class Standing(Struct, frozen=True, omit_defaults=True):
    """What is in force, since when, after how many rows that say something; and how far a re-fit has come.

    `alarms` are the times that the promise was found broken. `evidence` has, for each metric promised, what a bet
    against it has become, of a stake of 1: at `alarm_from` it is broken.
    """

    shut: bool
    because: str
    at: float | None
    rows: int
    alarms: int
    levels: tuple[Level, ...]
    evidence: dict[str, float]
    alarm_from: float
    refit: str = ""


def standing(watcher: CascadeWatcher, dial: Dial | None) -> Standing:
    """That of a dial; of one that has not been turned yet, where None is given."""
    stand = watcher.stand(dial)
    return Standing(
        stand.shut,
        stand.because,
        None if dial is None else dial.at,
        stand.n,
        stand.opening - 1,
        watcher.levels(dial),
        {watch.metric: watch.evidence for watch in stand.watches},
        1 / stand.watches[0].alpha,
        watcher.progress(stand) if watcher.refits else "",
    )


def standing_text(found: Standing | None) -> str:
    """The same in lines for people; None: nothing follows."""
    if found is None:
        return "nothing follows: the thresholds stay, whatever becomes of the promise (`follow: watch` or `refit`)"
    when = "" if found.at is None else f" (written {datetime.fromtimestamp(found.at, UTC):%Y-%m-%d %H:%M} UTC)"
    lines = [f"dial: {found.because}{when}"]
    if not found.rows:
        lines.append("  no row has been followed yet: is `roadworthy tend` running?")
    elif not found.shut:
        told = ", ".join(f"{name} {value:.3g}" for name, value in found.evidence.items())
        lines.append(f"  evidence against it after {found.rows:,} rows: {told} (alarm at {found.alarm_from:,.0f})")
    if found.refit:
        lines.append(f"  {found.refit}")
    return "\n".join(lines)
