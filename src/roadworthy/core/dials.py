"""A Dial is a setting of a running handler that follows late labels, while the release itself stays as it was."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol, runtime_checkable

from msgspec import Struct

from roadworthy.core.record import Record


class Dial(Struct, frozen=True, omit_defaults=True):
    """What a dial named `name` stands at since `at` (Unix seconds), after `n` labels in all, and why.

    `value` is all that its updater needs to go on after a restart. `position` is that of the last label followed, as
    `store.late_labels` counts, or of the last row, so that none is followed twice and none is left out. `alarm` says
    what whoever looks after the release must hear, as long as it lasts.
    """

    name: str
    at: float
    value: Mapping[str, float | tuple[float, ...]]
    n: int
    because: str
    position: int = 0
    alarm: str = ""


@runtime_checkable
class Dialled(Protocol):
    """A handler with a dial, named `dial`: `turn` puts it where a Dial says, from the next request on.

    It writes what is in force into the path of what it answers, so that it stays known what answered.
    """

    dial: str

    def turn(self, dial: Dial) -> None: ...


@runtime_checkable
class Follower(Protocol):
    """What knows where labels turn a dial. Pure: the same rows give the same dial, in one call or in many.

    `follow` takes the rows whose labels became known since `before` (None: none ever did), in that order, with those
    labels in them. It returns None where none of them says anything, and the dial may stay.
    """

    @property
    def dial(self) -> str: ...

    def follow(self, rows: Sequence[Record], before: Dial | None, now: float, position: int = 0) -> Dial | None: ...


@runtime_checkable
class Watcher(Follower, Protocol):
    """A Follower that looks long before it moves: `because` changes when what is in force does, and `n` as it looks.

    It `reads` rows as they were answered, or as their labels became known; `begins` is the `because` of a dial that has
    not moved yet. What it has seen since it moved need not be kept at once: the same rows are read again after a
    restart.
    """

    @property
    def reads(self) -> Literal["rows", "labels"]: ...

    @property
    def begins(self) -> str: ...


@runtime_checkable
class Follows(Protocol):
    """A policy with a dial: `follower` is what turns it, in a release of these members. None: nothing does."""

    def follower(self, members: Sequence[str]) -> Watcher | None: ...
