"""Dials of the releases that answer are turned by the labels that came since they were turned last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from msgspec.structs import replace

from roadworthy.core.artifact import Release
from roadworthy.core.dials import Dial, Follower
from roadworthy.core.errors import Missing
from roadworthy.core.record import Label, Record
from roadworthy.registry.releases import Registry
from roadworthy.rollout.traffic import traffic
from roadworthy.serve.base import wrapper
from roadworthy.store.dials import newest_dials, put_dial
from roadworthy.store.late_labels import LateLabels
from roadworthy.store.state import State

# So many labels are joined to their rows at once.
AT_ONCE = 20_000


class Dialling:
    """Remembers how far it has read, so that labels which turn no dial are read once in a process."""

    def __init__(self, state: State, registry: Registry, deployment: str, root: Path) -> None:
        self._state, self._registry, self._deployment, self._root = state, registry, deployment, root
        self._labels = LateLabels(state.records)
        self._read: dict[tuple[str, str], int] = {}
        self._followers: dict[str, tuple[Follower, ...]] = {}

    def follow(self, now: float) -> list[Dial]:
        """Turn every dial of stable and of a candidate by the labels that came; returns those that moved."""
        moved = []
        for digest in self._answering():
            known = self._followers_of(digest)
            stands = newest_dials(self._state.engine, self._deployment, digest) if known else {}
            for follower in known:
                dial = self._turned(follower, digest, stands.get(follower.dial), now)
                if dial is not None:
                    put_dial(self._state.engine, self._deployment, digest, dial)
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
            self._followers[digest] = followers(self._registry.get(digest), self._root)
        return self._followers[digest]

    def _turned(self, follower: Follower, digest: str, before: Dial | None, now: float) -> Dial | None:
        key = (digest, follower.dial)
        start = max(before.position if before else 0, self._read.get(key, 0))
        labels, position = self._labels.since(start)
        stand = before
        for rows in _in_parts(labels):
            found = self._rows(rows, digest)
            stand = (follower.follow(found, stand, now, position) if found else None) or stand
        self._read[key] = position
        return None if stand is before else stand

    def _rows(self, labels: Sequence[Label], digest: str) -> list[Record]:
        """The answered rows of a release with these labels in them, in the order of the labels."""
        read = self._state.records.read(release=digest, ids=[label.id for label in labels])
        rows = {row.id: row for row in read if row.error is None}
        return [replace(rows[label.id], label=label.value, label_at=label.at) for label in labels if label.id in rows]


def followers(release: Release, root: Path) -> tuple[Follower, ...]:
    """The wrappers of a release, and of its members, that follow labels."""
    plans = [*release.wrappers, *(plan for member in release.members for plan in member.wrappers)]
    made = [wrapper.make(plan, root) for plan in plans]
    return tuple(leaf for leaf in made if isinstance(leaf, Follower))


def _in_parts(labels: Sequence[Label]) -> Iterator[Sequence[Label]]:
    for start in range(0, len(labels), AT_ONCE):
        yield labels[start : start + AT_ONCE]
