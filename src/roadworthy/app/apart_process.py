"""The process of an Apart: it loads one release and answers for it, at the lowest priority, within its share of a core.

`python -m roadworthy.app.apart_process FD` is started with one end of a socketpair, and with its task as the first line
of its standard input. When that input ends, so does the process, whatever the model does at that moment.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec
import uvloop

from roadworthy.app.apart import DIALS
from roadworthy.app.desk import Desk
from roadworthy.app.exchange import Call, Reply
from roadworthy.app.messages import Ready, failed
from roadworthy.app.mixture import Mixture, assembled
from roadworthy.app.pipe import Pipe
from roadworthy.app.routes import Routes
from roadworthy.app.turning import dialled, put
from roadworthy.core.dials import Dial
from roadworthy.core.errors import RoadworthyError
from roadworthy.core.wire import Handler, Request, Response
from roadworthy.serve.assemble import Assembled, Recipe
from roadworthy.serve.own_clock import OwnClock

LOWEST = 19
LOOK_SECONDS = 0.05
# What was not used in a quiet moment may be used in a burst, up to this many seconds of the core.
MOST_SAVED_SECONDS = 0.25


class One:
    """A deployment of one release, as a Desk knows one; its errors are put in words, which travel."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe
        self.name, self.signature = recipe.release.name, recipe.release.signature
        self.versions: tuple[str, ...] = ()
        self.handler: Assembled | Mixture | None = None

    async def __call__(self, request: Request) -> Response:
        """The release's answer. Raises RoadworthyError."""
        if self.handler is None:
            raise RoadworthyError("the release is not loaded yet")
        try:
            return await self.handler(request)
        except (RoadworthyError, asyncio.CancelledError):
            raise
        except Exception as wrong:
            raise RoadworthyError(f"{type(wrong).__name__}: {wrong}") from wrong

    @property
    def ready(self) -> bool:
        """Is the release loaded?"""
        return self.handler is not None

    def version(self, release: str) -> Handler:
        """There is one only."""
        return self

    def load(self) -> None:
        """Load and warm up. Raises RoadworthyError."""
        recipe = self.recipe
        files = {name: Path(file) for name, file in recipe.files.items()}
        try:
            made = assembled(recipe.release, files, Path(recipe.root), recipe.serving, OwnClock(), without=True)
            made.warm_up()
        except RoadworthyError:
            raise
        except (Exception, SystemExit) as wrong:
            raise RoadworthyError(f"{type(wrong).__name__}: {wrong}") from wrong
        self.handler = made

    def turn(self, dials: Sequence[Dial]) -> None:
        """Put what has a dial where it stands."""
        if self.handler is None:
            return
        stands = {dial.name: dial for dial in dials}
        for handler in dialled(self.handler):
            if handler.dial in stands:
                put(handler, stands[handler.dial], self.recipe.release.digest)

    async def told(self, call: Call) -> Reply:
        """A call with dials."""
        self.turn(msgspec.json.decode(call.body, type=list[Dial]))
        return Reply(204)


class Allowance:
    """How much of a core this process may use; `owed` is for how long it must rest to have used no more."""

    def __init__(self, share: float, now: float, used: float) -> None:
        self.share, self._now, self._used, self._saved = share, now, used, MOST_SAVED_SECONDS

    def owed(self, now: float, used: float) -> float:
        """Seconds to rest, `used` being those of the processor since the process began."""
        earned = self.share * (now - self._now)
        self._saved = min(MOST_SAVED_SECONDS, self._saved + earned - (used - self._used))
        self._now, self._used = now, used
        return max(0.0, -self._saved / self.share)


def main() -> None:
    """The program. Whatever threads the model has, it is over when the other side is gone."""
    os.setpriority(os.PRIO_PROCESS, 0, LOWEST)
    with suppress(OSError):  # where memory runs out, this is what can be spared
        Path("/proc/self/oom_score_adj").write_text("1000")
    for number in (signal.SIGINT, signal.SIGTERM):  # they reach the whole group; the other side decides
        signal.signal(number, signal.SIG_IGN)
    # What fails is recorded on the other side.
    logging.getLogger("roadworthy.app.exchange").setLevel(logging.CRITICAL)
    task = sys.stdin.buffer.readline()
    threading.Thread(target=_end_with, args=(sys.stdin.buffer,), daemon=True).start()
    recipe, share, dials = msgspec.json.decode(task, type=tuple[Recipe, float, list[Dial]])
    uvloop.run(_run(socket.socket(fileno=int(sys.argv[1])), recipe, share, dials))
    os._exit(0)


async def _run(end: socket.socket, recipe: Recipe, share: float, dials: Sequence[Dial]) -> None:
    over, one, routes = asyncio.Event(), One(recipe), Routes()
    routes.add("POST", DIALS.decode(), one.told)
    desk = Desk(one, routes, over.set)
    desk.pipe = pipe = Pipe(desk)
    await asyncio.get_running_loop().create_connection(lambda: pipe, sock=end)
    try:
        one.load()
        one.turn(dials)
    except RoadworthyError as wrong:
        desk.say(failed(0, wrong))
    else:
        desk.say(Ready(0))
    resting = asyncio.ensure_future(_rest(share))
    await over.wait()
    resting.cancel()


async def _rest(share: float) -> None:
    """Stand still for as long as it takes to stay within the share; what is asked meanwhile waits in the pipe."""
    allowance = Allowance(share, time.monotonic(), time.process_time())
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        owed = allowance.owed(time.monotonic(), time.process_time())
        if owed:
            time.sleep(owed)  # noqa: ASYNC251  that nothing else goes on is the point


def _end_with(stream: BinaryIO) -> None:
    stream.read()
    os._exit(0)


if __name__ == "__main__":
    main()
