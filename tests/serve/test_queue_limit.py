from __future__ import annotations

import pytest

from roadworthy.serve.queue_limit import QueueLimit


def after(limit: QueueLimit, intervals: int, waited: float, waiting: int, target: float = 0.05) -> int:
    """The limit after so many intervals of ten batches whose youngest waited so long."""
    for batch in range(10 * intervals + 2):
        limit.saw(0.0101 * batch, waited, waiting, target)
    return limit.rows


def test_a_queue_that_stands_too_long_is_cut_to_what_clears_in_the_target() -> None:
    assert after(QueueLimit(4096, 32), 1, waited=0.1, waiting=200) == 100
    assert after(QueueLimit(4096, 32), 9, waited=1.0, waiting=200) == 32


def test_it_is_cut_to_half_at_most_at_once() -> None:
    assert after(QueueLimit(4096, 32), 1, waited=10.0, waiting=4096) == 2048


def test_one_batch_that_found_the_queue_short_shows_that_it_does_not_stand() -> None:
    limit = QueueLimit(4096, 32)
    for batch in range(100):
        limit.saw(0.01 * batch, 0.0 if batch % 8 == 0 else 1.0, 200, 0.05)
    assert limit.rows == 4096


@pytest.mark.parametrize(("turned_away", "grown"), [(True, 110), (False, 200)])
def test_it_grows_slowly_while_somebody_is_turned_away_and_else_fast(turned_away: bool, grown: int) -> None:
    limit = QueueLimit(4096, 32)
    limit.rows, limit.turned_away = 100, turned_away
    assert after(limit, 1, waited=0.01, waiting=50) == grown


def test_it_never_leaves_its_bounds() -> None:
    assert after(QueueLimit(100, 32), 20, waited=0.0, waiting=10) == 100
    assert after(QueueLimit(8, 32), 20, waited=9.0, waiting=8) == 8
