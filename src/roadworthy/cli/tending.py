"""Tending does the chores beside a server, again and again: each in its own time, whatever becomes of the others."""

from __future__ import annotations

import fcntl
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event

from msgspec import Struct

from roadworthy.core.errors import Taken
from roadworthy.store.bookmarks import move_bookmark, read_bookmark
from roadworthy.store.events import write_event
from roadworthy.store.state import State

log = logging.getLogger(__name__)


class Chore(Struct, frozen=True):
    """Something that is done every so often; `do` gets the time (Unix seconds) and may say what it did."""

    name: str
    every_seconds: float
    do: Callable[[float], str | None]


class Done(Struct, frozen=True, omit_defaults=True):
    """What became of a chore: `told` says what it did, `error` why it did not."""

    chore: str
    at: float
    seconds: float
    told: str = ""
    error: str = ""


class Tender:
    """Does the chores that are due. When each was last done is kept, so that a restart does nothing twice."""

    def __init__(self, state: State, chores: Sequence[Chore]) -> None:
        self.state, self.chores = state, chores
        self._failing: dict[str, str] = {}

    def turn(self, now: float) -> list[Done]:
        """Every chore that is due at `now`, in their order. One that fails is told, and stops no other."""
        return [self._do(chore, now) for chore in self.chores if self._is_due(chore, now)]

    def _is_due(self, chore: Chore, now: float) -> bool:
        last = read_bookmark(self.state.engine, _called(chore))
        # A clock that was set back must not let a chore lie for as long as it was ahead.
        return last is None or now - last.at >= chore.every_seconds or now < last.at

    def _do(self, chore: Chore, now: float) -> Done:
        began = time.monotonic()
        told = error = ""
        try:
            told = chore.do(now) or ""
        # Whatever it is, the other chores have nothing to do with it; this one is tried again in its own time.
        except Exception as wrong:
            error = f"{type(wrong).__name__}: {wrong}"
            self._tell(chore, now, error, wrong)
        else:
            self._failing.pop(chore.name, None)
        with self.state.engine.begin() as connection:
            move_bookmark(connection, _called(chore), 0, now)
        return Done(chore.name, now, time.monotonic() - began, told, error)

    def _tell(self, chore: Chore, now: float, error: str, wrong: Exception) -> None:
        """A failure that goes on is told once, and again when it becomes another."""
        if self._failing.get(chore.name) == error:
            return
        self._failing[chore.name] = error
        log.error("%s failed: %s", chore.name, error, exc_info=wrong)
        write_event(self.state.engine, now, "chore_failed", chore.name, {"error": error})


def tend_until(
    stop: Event,
    tender: Tender,
    every_seconds: float,
    say: Callable[[Done], None],
    now: Callable[[], float] = time.time,
    gone: Callable[[], bool] = lambda: False,
) -> None:
    """A turn every so often until told to stop, or until whoever it is done for is `gone`."""
    while not gone():
        for done in tender.turn(now()):
            say(done)
        if stop.wait(every_seconds):
            return


@contextmanager
def the_only_one(directory: Path) -> Iterator[None]:
    """Be the one process that tends a state directory. Raises Taken while another does."""
    with (directory / "tend.lock").open("a") as lock:
        try:
            # The kernel lets go of it when the process dies, however it dies.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as held:
            told = "is tended by another process already, as beside every server that has run for a minute"
            raise Taken(f"{str(directory)!r} {told}; `--once` is not needed then") from held
        yield


def _called(chore: Chore) -> str:
    return f"chore:{chore.name}"
