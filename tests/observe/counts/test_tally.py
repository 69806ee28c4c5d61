from __future__ import annotations

import zlib

import pytest

from roadworthy.core.sketch import Sketch
from roadworthy.observe.counts.tally import HOUR, MINUTE, Moments, Tally, merged


def tally(requests: int, seconds: float, span: int = MINUTE) -> Tally:
    sketch = Sketch.of([seconds] * requests).to_bytes()
    return Tally(span, {"requests": requests}, {"usd": Moments(requests, 0.5, 0.25)}, {"total": sketch})


def test_merging_adds_counts_moments_and_sketches():
    both = tally(2, 0.1).merge(tally(3, 0.5))
    assert both.counts == {"requests": 5}
    assert both.numbers["usd"] == Moments(5, 1.0, 0.5)
    assert Sketch.from_bytes(both.seconds["total"]) == Sketch.of([0.1] * 2 + [0.5] * 3)


def test_what_only_one_has_stays():
    both = tally(1, 0.1).merge(Tally(MINUTE, {"failed": 1}, {"tokens": Moments(1, 7, 49)}, {"queue": b"\x00"}))
    assert both.counts == {"requests": 1, "failed": 1}
    assert set(both.numbers) == {"usd", "tokens"}
    assert set(both.seconds) == {"total", "queue"}


def test_zero_changes_nothing_and_order_does_not_matter():
    parts = [tally(1, 0.1), tally(2, 0.2, HOUR), tally(3, 0.1)]
    assert merged([]) == Tally.zero()
    assert merged([Tally.zero(), parts[0]]) == parts[0]
    assert merged(parts) == merged(parts[::-1])
    assert merged(parts).span == HOUR


def test_bytes_give_the_same_tally_again():
    assert Tally.from_bytes(tally(4, 0.3).to_bytes()) == tally(4, 0.3)
    with pytest.raises(zlib.error):
        Tally.from_bytes(b"torn")
