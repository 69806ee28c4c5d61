"""Dials of the releases that answer are turned by the labels, or the rows, that came since they were turned last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from msgspec.structs import replace

from roadworthy.app.mixture import POLICY
from roadworthy.core.artifact import Release
from roadworthy.core.dials import Dial, Follower, Follows, Watcher
from roadworthy.core.errors import Missing
from roadworthy.core.measure import Verdict
from roadworthy.core.record import Label, Record
from roadworthy.core.wire import Arm
from roadworthy.observe.alerts import Sink
from roadworthy.observe.watch import Look, tell
from roadworthy.registry.releases import Registry
from roadworthy.rollout.traffic import traffic
from roadworthy.route.base import policy
from roadworthy.route.cascades.following import CascadeWatcher
from roadworthy.route.cascades.standing import Standing, standing
from roadworthy.serve.base import wrapper
from roadworthy.store.dials import newest_dials, put_dial
from roadworthy.store.events import write_event
from roadworthy.store.late_labels import LateLabels
from roadworthy.store.state import State

# So many labels are joined to their rows at once, or rows read.
AT_ONCE = 20_000
# What a watcher has seen since it moved is kept so often; after a restart what came later is read again.
KEEP_SECONDS = 600.0
# Whose answers a release stands for: a fallback is asked while others fail, about rows that are no sample of traffic.
ARMS: tuple[Arm, ...] = ("stable", "canary", "shadow", "holdback")


class Read(NamedTuple):
    """How far a follower has come: what is kept of it, the stand after what it read since, and up to where."""

    kept: Dial | None
    stand: Dial | None
    position: int


class Dialling:
    """Remembers how far it has read, so that what turns no dial is read once in a process."""

    def __init__(
        self, state: State, registry: Registry, deployment: str, root: Path, sinks: Iterable[Sink] = ()
    ) -> None:
        self._state, self._registry, self._deployment, self._root = state, registry, deployment, root
        self._labels, self._sinks = LateLabels(state.records), tuple(sinks)
        self._read: dict[tuple[str, str], Read] = {}
        self._followers: dict[str, tuple[Follower, ...]] = {}

    def follow(self, now: float) -> list[Dial]:
        """Turn every dial of stable and of a candidate by what came; returns those that moved.

        A watcher's alarm is told as an alert, and each of its moves as an event of the deployment.
        """
        moved = []
        for digest in self._answering():
            known = self._followers_of(digest)
            stands = newest_dials(self._state.engine, self._deployment, digest) if known else {}
            for follower in known:
                before = stands.get(follower.dial)
                dial = self._turned(follower, digest, before, now)
                if dial is not None and self._moves(follower, digest, before, dial):
                    moved.append(dial)
        return moved

    def _answering(self) -> list[str]:
        try:
            wanted = traffic(self._state, self._deployment)
        except Missing:
            return []
        return [digest for digest in dict.fromkeys((wanted.stable, wanted.candidate)) if digest]

    def _followers_of(self, digest: str) -> tuple[Follower, ...]:
        if digest not in self._followers:
            release = self._registry.get(digest)
            self._followers[digest] = followers(release, self._registry.files(release), self._root)
        return self._followers[digest]

    def _turned(self, follower: Follower, digest: str, before: Dial | None, now: float) -> Dial | None:
        """Where the dial stands now, if that is to be kept."""
        key = (digest, follower.dial)
        start = self._read.get(key)
        if start is None or start.kept != before:  # a process began, or another has turned the dial
            start = Read(before, before, before.position if before else 0)
        stand, position = start.stand, start.position
        for rows, position in self._new(follower, digest, start.position):
            stand = (follower.follow(rows, stand, now, position) if rows else None) or stand
        keeps = stand is not None and stand != before and _is_due(follower, before, stand, now)
        if keeps and stand is not None and stand.position != position:
            stand = replace(stand, position=position)
        self._read[key] = Read(stand if keeps else before, stand, position)
        return stand if keeps else None

    def _moves(self, follower: Follower, digest: str, before: Dial | None, dial: Dial) -> bool:
        """Keep the dial, and tell of it where it moved."""
        put_dial(self._state.engine, self._deployment, digest, dial)
        if not isinstance(follower, Watcher):
            return True
        if dial.because == (before.because if before else follower.begins):
            return False
        about = {"release": digest, "dial": dial.name, "because": dial.because}
        write_event(self._state.engine, dial.at, "dial_turned", self._deployment, about)
        verdict = Verdict("fail" if dial.alarm else "pass", dial.alarm or dial.because, dial.name)
        since = before.at if before else dial.at
        tell(self._state, self._deployment, [Look(dial.name, since, dial.at, dial.n, verdict)], self._sinks, digest)
        return True

    def _new(self, follower: Follower, digest: str, position: int) -> Iterator[tuple[list[Record], int]]:
        """The rows that came after the position for a follower, part by part, and how far each part goes."""
        if isinstance(follower, Watcher) and follower.reads == "rows":
            yield from self._answered(digest, position)
        else:
            yield from self._labelled(digest, position)

    def _answered(self, digest: str, position: int) -> Iterator[tuple[list[Record], int]]:
        records = self._state.records
        newest = records.position()
        while position < newest:
            end = min(position + AT_ONCE, newest)
            rows = records.read(release=digest, arms=ARMS, after=position, upto=end)
            position = end
            yield [row for row in rows if row.error is None], position

    def _labelled(self, digest: str, position: int) -> Iterator[tuple[list[Record], int]]:
        labels, end = self._labels.since(position)
        for some in _in_parts(labels):
            yield self._rows(some, digest), end
        if not labels:
            yield [], end

    def _rows(self, labels: Sequence[Label], digest: str) -> list[Record]:
        """The answered rows of a release with these labels in them, in the order of the labels."""
        read = self._state.records.read(release=digest, ids=[label.id for label in labels])
        rows = {row.id: row for row in read if row.error is None}
        return [replace(rows[label.id], label=label.value, label_at=label.at) for label in labels if label.id in rows]


def followers(release: Release, files: Mapping[str, Path], root: Path) -> tuple[Follower, ...]:
    """The wrappers of a release, and of its members, that follow labels, and what follows for its policy."""
    plans = [*release.wrappers, *(plan for member in release.members for plan in member.wrappers)]
    made = [wrapper.make(plan, root) for plan in plans]
    found = [leaf for leaf in made if isinstance(leaf, Follower)]
    own = watcher_of(release, files, root)
    return (*found, own) if own is not None else tuple(found)


def watcher_of(release: Release, files: Mapping[str, Path], root: Path) -> Watcher | None:
    """What turns the dial of a release's policy; None where it has none."""
    if not release.members or release.policy is None or POLICY not in files:
        return None
    output = next(iter(release.signature.outputs)) if len(release.signature.outputs) == 1 else ""
    chooses = policy.make(release.policy, root, output=output, file=files[POLICY])
    if not isinstance(chooses, Follows):
        return None
    return chooses.follower(tuple(member.name for member in release.members))


def cascade_standing(
    state: State, deployment: str, release: Release, files: Mapping[str, Path], root: Path
) -> Standing | None:
    """Where the dial of a release's cascade stands; None where nothing follows."""
    watcher = watcher_of(release, files, root)
    if not isinstance(watcher, CascadeWatcher):
        return None
    return standing(watcher, newest_dials(state.engine, deployment, release.digest).get(watcher.dial))


def _is_due(follower: Follower, before: Dial | None, stand: Dial, now: float) -> bool:
    """Whether a stand is to be kept: a watcher's only where it moved, or once in a while."""
    if not isinstance(follower, Watcher):
        return True
    moved = stand.because != (before.because if before else follower.begins)
    return moved or before is None or now - before.at >= KEEP_SECONDS


def _in_parts(labels: Sequence[Label]) -> Iterator[Sequence[Label]]:
    for start in range(0, len(labels), AT_ONCE):
        yield labels[start : start + AT_ONCE]
