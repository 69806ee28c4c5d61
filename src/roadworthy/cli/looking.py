"""Looking: asks the gates of a running rollout every few seconds, beside a server on the wall clock.

It decides nothing itself: the controller does, and the server follows what the store then says.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from roadworthy.app.changes import Changes
from roadworthy.cli.background import beside_block
from roadworthy.cli.flows import controller_of
from roadworthy.cli.incidents import telling
from roadworthy.cli.opening import open_state, registry_of
from roadworthy.core.errors import Missing
from roadworthy.core.spec import Spec
from roadworthy.rollout.control.incident import Incident
from roadworthy.rollout.controller import Controller

log = logging.getLogger(__name__)

Tell = Callable[[Incident], object]


def looking(
    spec: Spec,
    directory: Path,
    every_seconds: float,
    now: Callable[[], float] = time.time,
    on_incident: Tell | None = None,
) -> AbstractContextManager[threading.Event]:
    """Look at once, and again and again while the block runs. A look that fails is logged, and the next tries afresh.

    The event ends it early. `on_incident` is told of each incident; without it those are told who the project names.
    """
    return beside_block(lambda stop: _look_until(stop, spec, directory, every_seconds, now, on_incident))


def _look_until(
    stop: threading.Event,
    spec: Spec,
    directory: Path,
    every_seconds: float,
    now: Callable[[], float],
    on_incident: Tell | None,
) -> None:
    with open_state(spec, directory) as state:
        registry = registry_of(spec, state)
        controller = controller_of(spec, state, registry, on_incident or telling(spec, state, registry))
        changes = Changes(state.engine)
        running = True
        try:
            while not stop.is_set():
                # While nothing runs, a look costs the question whether anything was written at all.
                if changes.seen() or running:
                    running = _look(controller, spec.application.name, now())
                stop.wait(every_seconds)
        finally:
            changes.close()
            controller.resign()


def _look(controller: Controller, name: str, at: float) -> bool:
    """One look; whether there is anything to look at again without a change in the store."""
    try:
        controller.look(name, at)
        return not controller.rests(name)
    except Missing:
        return False  # there never was a rollout
    except Exception:
        log.exception("the gates of %r could not be asked", name)
        return True
