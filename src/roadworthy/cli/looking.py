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

from roadworthy.cli.background import beside_block
from roadworthy.cli.flows import controller_of
from roadworthy.core.errors import Missing
from roadworthy.core.spec import Spec
from roadworthy.registry.releases import Registry
from roadworthy.store.state import State

log = logging.getLogger(__name__)


def looking(
    spec: Spec, directory: Path, every_seconds: float, now: Callable[[], float] = time.time
) -> AbstractContextManager[threading.Event]:
    """Look again and again while the block runs. A look that fails is logged, and the next one tries afresh.

    The event ends it early.
    """
    return beside_block(lambda stop: _look_until(stop, spec, directory, every_seconds, now))


def _look_until(
    stop: threading.Event, spec: Spec, directory: Path, every_seconds: float, now: Callable[[], float]
) -> None:
    with State.open(directory, spec.serving.durability, spec.log) as state:
        controller = controller_of(spec, state, Registry(state))
        while not stop.wait(every_seconds):
            try:
                controller.look(spec.application.name, now())
            except Missing:
                continue  # there never was a rollout
            except Exception:
                log.exception("the gates of %r could not be asked", spec.application.name)
