"""Work that goes on beside a block, on a thread of its own, until the block ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def beside_block(work: Callable[[threading.Event], None]) -> Iterator[threading.Event]:
    """Run `work` while the block does. It gets an event that is set when it shall end, which is then waited for."""
    stop = threading.Event()
    thread = threading.Thread(target=work, args=(stop,), daemon=True)
    thread.start()
    try:
        yield stop
    finally:
        stop.set()
        thread.join()
