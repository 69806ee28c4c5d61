"""The serving process: it holds the directory, loads, listens, follows the store, and leaves without a lost answer."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path

import msgspec
import uvloop
from msgspec import Struct

from roadworthy.app.changes import Changes
from roadworthy.app.deployment import Deployment, log
from roadworthy.app.doors import Doors
from roadworthy.app.edge import Clock
from roadworthy.app.fronts import Fronts
from roadworthy.app.http import Server
from roadworthy.app.limits import Limits
from roadworthy.app.noting import noting
from roadworthy.core.spec import Spec
from roadworthy.registry.releases import Registry
from roadworthy.store.state import State

ADDRESS = "server.json"
POLL_SECONDS = 0.5


class Address(Struct):
    """Where a running server is: the contents of `server.json`, which is there from ready to stopped."""

    pid: int
    host: str
    port: int
    admin_port: int
    grpc_port: int = 0
    tls: bool = False

    @property
    def url(self) -> str:
        """The public listener."""
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}"

    @property
    def admin_url(self) -> str:
        """The operator's listener."""
        return f"http://127.0.0.1:{self.admin_port}"


def serve(
    spec: Spec,
    state_dir: Path,
    host: str = "127.0.0.1",
    port: int = 8080,
    admin_port: int = 0,
    grpc_port: int | None = None,
    clock: Clock = "wall",
    drain_seconds: float = 1.0,
    grace_seconds: float = 30.0,
    limits: Limits | None = None,
    now: Callable[[], float] = time.time,
    say: Callable[[str], object] = sys.stdout.write,
) -> None:
    """Serve the spec's application until SIGTERM or SIGINT. Port 0 lets the system choose; no `grpc_port`, no gRPC.

    On the signal `ready` says 503 while the listeners stay open for `drain_seconds`, so that whoever balances the load
    can look away; then what has arrived is answered within `grace_seconds`. A second signal cuts both short. Raises
    Taken where another process serves the directory or has the port.
    """

    async def run() -> None:
        name = spec.application.name
        opened = State.open(state_dir, spec.serving.durability, spec.log, spec.store.metadata)
        with opened as state, state.lock_server(f"serving {name}"):
            deployment = Deployment(state, Registry(state, spec.promotion, spec.root), spec, name, now)
            doors = Doors(deployment, clock, limits)
            stop, hurry = _signals(doors.front)
            try:
                ports = await doors.listen(host, port, admin_port, grpc_port)
                await deployment.sync()
                quiet_collector()
                doors.open()
                address = Address(os.getpid(), host, *ports, doors.tls)
                noted = noting(deployment, doors.front, address.port) if clock == "wall" else nullcontext()
                with _told(state_dir / ADDRESS, address, say), noted:
                    await _follow(deployment, stop)
                    deployment.draining = True
                    doors.leave()
                    await _either(hurry, drain_seconds)
            finally:
                await _finish(deployment, doors, 0.0 if hurry.is_set() else grace_seconds)

    uvloop.run(run())


def read_address(state_dir: Path) -> Address | None:
    """Where the directory's server is, or None while none is ready. A file left by a killed process is ignored."""
    try:
        address = msgspec.json.decode((state_dir / ADDRESS).read_bytes(), type=Address)
        os.kill(address.pid, 0)
    except (FileNotFoundError, ProcessLookupError, msgspec.DecodeError):
        return None
    except PermissionError:  # it lives, and is somebody else's
        pass
    return address


async def _follow(deployment: Deployment, stop: asyncio.Event) -> None:
    """Look for changes in the store until told to stop."""
    changes = Changes(deployment.state.engine)
    try:
        while not await _either(stop, POLL_SECONDS):
            try:
                if changes.seen() or deployment.untidy:
                    await deployment.sync()
                await deployment.rest()
                await deployment.tell_stopped()
            except Exception:
                # The store may be away for a while; what is loaded goes on answering.
                log.exception("cannot read the traffic of %r", deployment.name)
                changes.forget()
    finally:
        changes.close()


async def _either(event: asyncio.Event, seconds: float) -> bool:
    """Wait for the event, or the time; True for the event."""
    with suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()


def _signals(front: Server | Fronts) -> tuple[asyncio.Event, asyncio.Event]:
    """Events of the first and the second signal; the second one also ends a patient close."""
    stop, hurry = asyncio.Event(), asyncio.Event()

    def signalled() -> None:
        if stop.is_set():
            hurry.set()
            front.hurry()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, signalled)
    return stop, hurry


def quiet_collector() -> None:
    """A request makes some 60 objects and no cycle: the default thresholds would spend 5 us of each on looking."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@contextmanager
def _told(path: Path, address: Address, say: Callable[[str], object]) -> Iterator[None]:
    """The address on the screen and in the file, for as long as it holds."""
    aside = path.with_suffix(".tmp")
    aside.write_bytes(msgspec.json.encode(address))
    aside.rename(path)
    grpc = f", gRPC on {address.host}:{address.grpc_port}" if address.grpc_port else ""
    say(f"serving on {address.url}{grpc}, admin on {address.admin_url}\n")
    sys.stdout.flush()
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


async def _finish(deployment: Deployment, doors: Doors, grace_seconds: float) -> None:
    """Answer what has arrived, then let the shadows and the models end."""
    await doors.close(grace_seconds)
    with suppress(TimeoutError):  # a shadow that hangs holds nobody up for ever
        await asyncio.wait_for(deployment.close(), max(1.0, grace_seconds))
