"""Promotion rules: whether a release may become stable, said as verdicts with their reasons. It moves nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct
from sqlalchemy import Connection, Table, exists, insert, select

from roadworthy.core.artifact import Release
from roadworthy.core.errors import BadData, Denied, SpecError
from roadworthy.core.measure import Requirement, Verdict, judge
from roadworthy.core.spec import Promotion
from roadworthy.registry.home import Home
from roadworthy.registry.keeping.signing import signed_by


class Approval(Struct, frozen=True):
    """That `by` looked at a release at `at` (Unix seconds) and would have it in production, and why."""

    digest: str
    by: str
    at: float
    why: str


def may_become_stable(
    connection: Connection,
    home: Home,
    rules: Promotion,
    deployment: str,
    release: Release,
    rollout: str = "",
    root: Path = Path(),
) -> tuple[Verdict, ...]:
    """What each rule says; all must pass. `rollout` is the id of the rollout that passed with this candidate.

    A release that was stable before met the rules of its day: going back to it is free, so that nothing stands in the
    way of a rollback. Whether its signature is still right is looked at when it is loaded.
    """
    if _was_stable(connection, home.tables["aliases"], deployment, release.digest):
        return (Verdict("pass", f"it was stable of {deployment!r} before", "return"),)
    told = [_requirement(release, required) for required in rules.requirements]
    if rules.by_rollout:
        told.append(_by_rollout(connection, home, deployment, release.digest, rollout))
    if rules.signed:
        told.append(_signed(connection, home.tables["signatures"], release.digest, rules, root))
    if rules.approvals:
        told.append(_approved(release, approvals(connection, home.tables["approvals"], release.digest), rules))
    return tuple(told) or (Verdict("pass", "the project sets no rule of promotion", "promotion"),)


def refused(deployment: str, digest: str, verdicts: Iterable[Verdict]) -> Denied | None:
    """The error that names every rule that is not met; None where all are."""
    unmet = [f"{v.of}: {v.because}" for v in verdicts if v.decision != "pass"]
    if not unmet:
        return None
    return Denied(f"release {digest[:12]} may not become stable of {deployment!r} yet: {'; '.join(unmet)}")


def approve(connection: Connection, table: Table, release: Release, at: float, by: str, why: str) -> bool:
    """Write an approval down; False where `by` has approved before. Raises Denied for who made the release."""
    if not by or not why:
        raise SpecError(f"an approval names who gives it and why, got by={by!r} and why={why!r}")
    if by == release.made_by:
        raise Denied(f"{by!r} made release {release.digest[:12]}, and so cannot approve it: ask somebody else")
    if any(known.by == by for known in approvals(connection, table, release.digest)):
        return False
    connection.execute(insert(table).values(digest=release.digest, by=by, at=at, why=why))
    return True


def approvals(connection: Connection, table: Table, digest: str) -> list[Approval]:
    """Who approved the release, the first one first."""
    chosen = select(table).where(table.c.digest == digest).order_by(table.c.at, table.c.by)
    return [Approval(row.digest, row.by, row.at, row.why) for row in connection.execute(chosen)]


def _requirement(release: Release, required: Requirement) -> Verdict:
    """The bound against what was measured of the release; every measurement of that metric on that slice counts."""
    measured = [
        m for m in (*release.measured, *release.calibration) if (m.name, m.where) == (required.metric, required.where)
    ]
    if not measured:
        known = ", ".join(sorted({m.name for m in release.measured})) or "nothing"
        return Verdict("wait", f"{required} was not measured of it (measured: {known})", required.metric)
    units = {m.unit for m in measured} - {required.unit}
    if units:
        return Verdict(
            "fail", f"{required} is bound in {required.unit!r} and measured in {units.pop()!r}", required.metric
        )
    return max((judge(m, required) for m in measured), key=lambda v: ("pass", "wait", "fail").index(v.decision))


def _by_rollout(connection: Connection, home: Home, deployment: str, digest: str, rollout: str) -> Verdict:
    aliases, rollouts = home.tables["aliases"].c, home.tables["rollouts"].c
    ever = exists().where(aliases.deployment == deployment, aliases.alias == "stable", aliases.digest.is_not(None))
    if not connection.execute(select(ever)).scalar():
        return Verdict("pass", f"it is the first release of {deployment!r}", "rollout")
    if not rollout:
        said = f"only a rollout that passed makes it stable; begin one with `roadworthy rollout start {digest[:12]}`"
        return Verdict("fail", said, "rollout")
    row = connection.execute(select(rollouts.state).where(rollouts.id == rollout, rollouts.deployment == deployment))
    state = row.scalar()
    if state is None or _candidate(state) != digest:
        return Verdict("fail", f"rollout {rollout!r} of {deployment!r} did not try this release", "rollout")
    return Verdict("pass", f"rollout {rollout!r} passed", "rollout")


class _Tried(Struct, frozen=True):
    """What of a rollout's state says which release it is about."""

    candidate: str


def _candidate(state: str) -> str:
    try:
        return msgspec.json.decode(state, type=_Tried).candidate
    except msgspec.DecodeError as wrong:
        raise BadData(f"the state of a rollout cannot be read: {wrong}; restore the metadata from a backup") from wrong


def _signed(connection: Connection, table: Table, digest: str, rules: Promotion, root: Path) -> Verdict:
    try:
        keys = signed_by(connection, table, digest, rules.trusted, root)
    except Denied as refusal:
        return Verdict("fail", str(refusal), "signature")
    return Verdict("pass", f"signed by {', '.join(keys)}", "signature")


def _approved(release: Release, given: Sequence[Approval], rules: Promotion) -> Verdict:
    named = f" ({', '.join(approval.by for approval in given)})" if given else ""
    told = f"{len(given)} of {rules.approvals} approvals by others than who made it ({release.made_by!r}){named}"
    return Verdict("pass" if len(given) >= rules.approvals else "wait", told, "approvals")


def _was_stable(connection: Connection, table: Table, deployment: str, digest: str) -> bool:
    before = exists().where(table.c.deployment == deployment, table.c.alias == "stable", table.c.digest == digest)
    return bool(connection.execute(select(before)).scalar())
