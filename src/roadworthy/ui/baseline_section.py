"""The section on what has changed since an earlier report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from roadworthy.core.measure import Decision
from roadworthy.evaluate.reports.baseline import BaselineDiff, Moved
from roadworthy.ui.document import Badge, Block, Cell, Change, Fold, Note, Section, Table, section
from roadworthy.ui.words import metric_name, moment

_SAID: dict[str, Decision] = {"better": "pass", "same": "pass", "worse": "fail", "undecided": "wait"}


def since_baseline(diff: BaselineDiff) -> Section | None:
    """The verdict on the changes, then what is worse, better, newly failing; the rest folded away."""
    sure = [*diff.of("worse"), *diff.of("better")]
    rest = [*diff.of("undecided"), *diff.of("same")]
    decided: list[tuple[Cell, ...]] = [
        (metric_name(r.of), r.where or "everything", Badge(r.before, r.before), Badge(r.after, r.after), r.because)
        for r in diff.requirements
    ]
    failed: list[tuple[Cell, ...]] = [(f.where, f.because, f"{f.rows:,}") for f in diff.failures]
    told = f"{len(diff.of('undecided'))} numbers moved by no more than noise, {len(diff.of('same'))} did not move"
    heads: dict[str, Any] = {
        "head": ("Requirement", "Where", "Then", "Now", "Why"),
        "prose": ("Where", "Then", "Now", "Why"),
    }
    blocks: list[Block | None] = [
        Note(diff.verdict.because, Badge(diff.verdict.decision, diff.verdict.decision)),
        Table("Beyond noise", _HEAD, _rows(sure), _PROSE),
        Table(title="Decided otherwise", rows=decided, **heads),
        Table("Newly without an answer", ("Where", "Why", "Rows"), failed, ("Why",)),
        Fold(told, (Table("Not beyond noise", _HEAD, _rows(rest), _PROSE),)),
        Fold(f"What else is not the same ({len(diff.differs)})", tuple(map(Note, diff.differs))),
    ]
    when = f"The report of {moment(diff.before_at)} UTC is the baseline. " if diff.before_at else ""
    aside = f"{when}Named is what is sure from the two intervals alone, allowing for how many numbers were compared."
    return section("Since the baseline", blocks, aside)


_HEAD = ("Number", "Kind", "Where", "Then", "Now", "Change", "Finding", "Why")
_PROSE = ("Kind", "Where", "Finding", "Why")


def _rows(moved: Sequence[Moved]) -> list[tuple[Cell, ...]]:
    return [
        (
            metric_name(m.after.name),
            m.kind,
            m.where,
            m.before,
            m.after,
            Change(m.change),
            Badge(_SAID[m.standing], m.standing),
            m.because,
        )
        for m in moved
    ]
