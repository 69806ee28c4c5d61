"""A shelf keeps within its bytes, forgets what is old, and is not emptied by a flood of what is asked for once."""

from __future__ import annotations

import gc
import tracemalloc
from random import Random

import pytest

from roadworthy.serve.shelf import ENTRY_BYTES, Shelf


class Clock:
    """A time that a test moves."""

    def __init__(self) -> None:
        self.at = 1000.0

    def __call__(self) -> float:
        return self.at


def shelf(entries: int = 100, fresh: float = 10.0, stale: float = 0.0, clock: Clock | None = None) -> Shelf:
    """Room for so many entries of eight bytes under eight bytes."""
    return Shelf(entries * (ENTRY_BYTES + 16), fresh, stale, clock or Clock())


def key(k: int) -> bytes:
    return k.to_bytes(8, "big")


def ask(on: Shelf, k: int, now: float = 1000.0) -> bool:
    """Look a key up and put it there where it is missing, as a cache does; True for a hit."""
    if on.fresh(key(k), now) is not None:
        return True
    on.put(key(k), b"answer%02d" % (k % 100), now)
    return False


def test_what_was_put_there_is_found_and_something_else_is_not() -> None:
    on = shelf()
    on.put(b"a", b"one", 1000.0)
    found = on.fresh(b"a", 1001.0)
    assert found is not None
    assert (found.blob, found.since, len(on)) == (b"one", 1000.0, 1)
    assert on.fresh(b"b", 1001.0) is None


def test_an_entry_is_fresh_then_stale_then_gone() -> None:
    clock = Clock()
    on = shelf(fresh=10.0, stale=5.0, clock=clock)
    on.put(b"a", b"one", clock())
    for seconds, fresh, kept in ((10.0, True, True), (10.1, False, True), (15.1, False, False)):
        clock.at = 1000.0 + seconds
        assert (on.fresh(b"a", clock()) is not None, on.stale(b"a") is not None) == (fresh, kept)


def test_putting_again_replaces_and_makes_fresh() -> None:
    clock = Clock()
    on = shelf(clock=clock)
    on.put(b"a", b"one", 1000.0)
    before = on.bytes
    on.put(b"a", b"three", 1009.0)
    found = on.fresh(b"a", 1018.0)
    assert found is not None
    assert (found.blob, len(on), on.bytes - before) == (b"three", 1, 2)


def test_the_bytes_are_never_above_the_bound_and_always_add_up() -> None:
    rng, on = Random(0), shelf(50)
    for _ in range(5000):
        k = rng.randrange(200)
        on.put(key(k), b"x" * rng.randrange(40), 1000.0)
        ask(on, rng.randrange(200))
        held = {**on._small, **on._main}
        assert on.bytes <= on.most_bytes
        assert on.bytes == sum(len(k) + len(e.blob) + ENTRY_BYTES for k, e in held.items())
        assert on._small_bytes == sum(len(k) + len(e.blob) + ENTRY_BYTES for k, e in on._small.items())
    assert on.evictions > 0
    assert len(on._ghosts) <= len(on._main)


def test_what_is_larger_than_its_part_of_the_room_is_not_kept() -> None:
    on = shelf(100)
    for k in range(50):
        ask(on, k)
    on.put(b"large", b"x" * (on.most_bytes // 5), 1000.0)
    assert (on.stale(b"large"), len(on)) == (None, 50)


def test_a_flood_of_single_questions_does_not_push_out_what_is_asked_often() -> None:
    on = shelf(100)
    for _ in range(3):
        for k in range(60):
            ask(on, k)
    for k in range(1000, 3000):
        ask(on, k)
    assert sum(ask(on, k) for k in range(60)) == 60


def test_what_is_no_longer_asked_for_makes_room() -> None:
    on, rng = shelf(100), Random(1)
    for part in range(3):
        for _ in range(4000):
            ask(on, 1000 * part + rng.randrange(90))
    assert sum(ask(on, 2000 + k) for k in range(90)) >= 80


def test_what_is_expired_is_evicted_however_often_it_was_asked_for() -> None:
    clock = Clock()
    on = shelf(100, clock=clock)
    for _ in range(4):
        for k in range(80):
            ask(on, k, clock())
    for k in range(500, 700):  # moves what is asked for often out of the small part
        ask(on, k, clock())
    assert len(on._main) >= 80
    clock.at += 60.0
    for k in range(1000, 1100):
        ask(on, k, clock())
    assert sum(ask(on, k, clock()) for k in range(1000, 1100)) == 100


def test_the_bytes_are_those_that_the_process_really_uses() -> None:
    def fill(on: Shelf) -> None:
        for k in range(30_000):
            on.put(k.to_bytes(40, "big"), k.to_bytes(200, "big"), 1000.0 + k)
            if k % 3:
                on.fresh(k.to_bytes(40, "big"), 1000.0 + k)

    gc.collect()
    tracemalloc.start()
    try:
        on = Shelf(4_000_000, 1e9, 0.0, Clock())
        fill(on)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used == pytest.approx(on.bytes, rel=0.15)
