"""The loop behind the log: whatever the other side does, every row gets there, and the place is never lost."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from sqlalchemy import Engine

from roadworthy.core.errors import Taken
from roadworthy.core.record import Label
from roadworthy.store.arrivals import Arrivals
from roadworthy.store.base import Batch, Refused
from roadworthy.store.bookmarks import read_bookmark
from roadworthy.store.events import read_events
from roadworthy.store.files import StoreError
from roadworthy.store.records import RecordLog
from roadworthy.store.shipments.delta import Delta
from roadworthy.store.shipping import Shipping, keep_shipping, shipping_of
from roadworthy.store.state import State
from roadworthy.testing.shipments import rows


class Elsewhere:
    """Keeps batches by their number; may be away, refuse a row, or take a batch and die before it says so."""

    def __init__(self) -> None:
        self.held: dict[int, Batch] = {}
        self.away = self.dies = False
        self.refuses = ""

    def ship(self, batch: Batch) -> Sequence[Refused]:
        if self.away:
            raise StoreError("nobody answers")
        self.held[batch.number] = batch
        if self.dies:
            raise StoreError("the connection was lost while waiting for the answer")
        return [Refused(a.row.id, a.position, "too large") for a in batch.arrivals if a.row.id == self.refuses]

    def close(self) -> None:
        pass

    @property
    def ids(self) -> list[str]:
        return [arrival.row.id for batch in self.held.values() for arrival in batch.arrivals]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with State.open(tmp_path / "state", "process") as opened:
        yield opened


def shipping(state: State, elsewhere: Elsewhere, most: int = 10) -> Shipping:
    return Shipping(Arrivals(state.records), elsewhere, state.engine, "ship:elsewhere", "host", most)


def clock(*times: float) -> Iterator[float]:
    yield from times
    while True:
        yield times[-1]


def test_records_and_labels_get_there_in_the_order_in_which_they_came(state):
    elsewhere = Elsewhere()
    assert shipping(state, elsewhere).catch_up(lambda: 4.0).done
    state.records.write(reversed(rows(25)))
    state.records.write_labels([Label("row-00003", 1.0, 9.0), Label("row-00001", 0.0, 10.0)])
    shipped = shipping(state, elsewhere).catch_up(lambda: 5.0)
    assert (shipped.records, shipped.labels, shipped.refused, shipped.done) == (25, 2, (), True)
    labelled = [batch for batch in elsewhere.held.values() if batch.source == "host/labels"]
    assert [a.row for batch in labelled for a in batch.arrivals] == [
        Label("row-00003", 1.0, 9.0),
        Label("row-00001", 0.0, 10.0),
    ]
    records = [b for b in elsewhere.held.values() if b.source == "host"]
    assert [a.row.id for b in records for a in b.arrivals] == [r.id for r in reversed(rows(25))]
    assert [(b.after, b.position) for b in records] == [(0, 10), (10, 20), (20, 25)]
    assert str(shipped) == "25 records and 2 labels shipped"
    assert shipping(state, elsewhere).step(lambda: 6.0).records == 0


def test_what_came_while_the_other_side_was_away_is_sent_when_it_is_back(state):
    elsewhere = Elsewhere()
    elsewhere.away = True
    for start in range(0, 50, 10):
        state.records.write(rows(10, start))
        with pytest.raises(StoreError, match="nobody answers"):
            shipping(state, elsewhere).catch_up(lambda: 5.0)
    elsewhere.away = False
    assert shipping(state, elsewhere).catch_up(lambda: 6.0).records == 50
    assert elsewhere.ids == [record.id for record in rows(50)]


def test_a_batch_whose_answer_was_lost_is_sent_again_as_the_same_batch(state):
    elsewhere = Elsewhere()
    state.records.write(rows(4))
    elsewhere.dies = True
    with pytest.raises(StoreError, match="while waiting"):
        shipping(state, elsewhere).step(lambda: 5.0)
    state.records.write(rows(3, 4))  # rows that came meanwhile are another batch
    elsewhere.dies = False
    first = shipping(state, elsewhere).step(lambda: 6.0)
    assert (first.records, first.done) == (4, False)
    assert shipping(state, elsewhere).catch_up(lambda: 7.0).records == 3
    assert elsewhere.ids == [record.id for record in rows(7)]
    assert len(elsewhere.held) == 2


def test_a_log_that_was_put_back_from_a_backup_makes_other_batches(tmp_path):
    elsewhere = Elsewhere()
    for name, first in (("one", 0), ("restored", 100)):
        with State.open(tmp_path / name, "process") as state:
            state.records.write(rows(4, first))
            shipping(state, elsewhere).catch_up(lambda: 5.0)
    assert sorted(elsewhere.ids) == [record.id for record in rows(4) + rows(4, 100)]


def test_a_row_that_is_refused_is_told_and_kept_as_an_event(state):
    elsewhere = Elsewhere()
    elsewhere.refuses = "row-00002"
    state.records.write(rows(4))
    shipped = shipping(state, elsewhere).catch_up(lambda: 5.0)
    assert shipped.refused == (Refused("row-00002", 3, "too large"),)
    assert str(shipped).endswith("1 refused")
    (event,) = read_events(state.engine, "record_not_shipped")
    assert (event.subject, event.data["because"]) == ("row-00002", "too large")


def test_of_two_that_ship_under_one_name_one_is_stopped(state):
    class Slow(Elsewhere):
        def ship(self, batch: Batch) -> Sequence[Refused]:
            shipping(state, Elsewhere()).step(lambda: 5.0)
            return super().ship(batch)

    state.records.write(rows(4))
    with pytest.raises(Taken, match="another process ships too"):
        shipping(state, Slow()).step(lambda: 5.0)
    assert mark(state.engine) == 4


def test_the_lag_is_told_in_rows_and_in_seconds(state):
    elsewhere = Elsewhere()
    made = shipping(state, elsewhere)
    state.records.write(rows(15))
    behind, seconds = made.lag(lambda: 100.0)
    assert (behind.value, seconds.n) == (15, 0)  # nobody knows since when
    made.catch_up(lambda: 100.0)
    assert [m.value for m in made.lag(lambda: 200.0)] == [0.0, 0.0]
    elsewhere.away = True
    state.records.write(rows(5, 15))
    state.records.write_labels([Label("row-00003", 1.0, 9.0)])
    with pytest.raises(StoreError):
        made.step(lambda: 150.0)
    behind, seconds = made.lag(lambda: 3700.0)
    assert (behind.value, behind.unit) == (6.0, "rows")
    assert (seconds.value, seconds.unit, seconds.where) == (3600.0, "s", "ship:elsewhere")


def test_catching_up_does_not_hide_how_far_behind_it_is(state):
    elsewhere = Elsewhere()
    made = shipping(state, elsewhere)
    made.catch_up(lambda: 100.0)
    state.records.write(rows(25))
    made.step(lambda: 500.0)
    assert [m.value for m in made.lag(lambda: 500.0)] == [15.0, 400.0]


def test_nothing_to_ship_is_not_written_down_every_second(state):
    made = shipping(state, Elsewhere())
    made.step(lambda: 100.0)
    made.step(lambda: 101.0)
    assert read_bookmark(state.engine, "ship:elsewhere").at == 100.0
    made.step(lambda: 140.0)
    assert read_bookmark(state.engine, "ship:elsewhere").at == 140.0


class Pauses(threading.Event):
    """Does not wait; ends after so many pauses."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self.most = most

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout or 0.0)
        if len(self.seconds) == self.most:
            self.set()
        return self.is_set()


def test_whoever_is_away_is_asked_ever_more_rarely_and_then_as_before(state):
    elsewhere = Elsewhere()
    elsewhere.away = True
    state.records.write(rows(3))
    pauses, told = Pauses(12), []

    def say(what: object) -> None:
        told.append(what)
        elsewhere.away = len(told) < 10

    keep_shipping(shipping(state, elsewhere), lambda: 5.0, pauses, random.Random(1), say)
    away, back = pauses.seconds[:10], pauses.seconds[10:]
    assert all(0.5 * min(60, 2.0**k) <= s <= min(60, 2.0**k) for k, s in enumerate(away, 1))
    assert len(set(away)) == 10  # hosts do not come back all at once
    assert back == [1.0, 1.0]
    assert [isinstance(what, StoreError) for what in told] == [True] * 10 + [False] * 2
    assert told[10].records == 3


def mark(engine: Engine) -> int:
    found = read_bookmark(engine, "ship:elsewhere")
    return found.position if found else 0


def test_a_log_that_is_written_meanwhile_is_shipped_to_the_last_row(state):
    elsewhere = Elsewhere()
    log: RecordLog = state.records
    writer = threading.Thread(target=lambda: [log.write(rows(7, k)) for k in range(0, 700, 7)])
    writer.start()
    made = shipping(state, elsewhere, 50)
    while writer.is_alive():
        made.catch_up(lambda: 5.0)
    made.catch_up(lambda: 5.0)
    writer.join()
    assert elsewhere.ids == [record.id for record in rows(700)]


def test_how_far_a_log_was_shipped_hangs_on_the_place_and_not_on_other_settings(state, tmp_path):
    pytest.importorskip("deltalake")
    state.records.write(rows(5))
    for options, records in (({}, 5), ({"max_retries": "3"}, 0)):
        with shipping_of(Delta(str(tmp_path / "delta"), options), state) as made:
            assert made.catch_up(lambda: 5.0).records == records
            assert made.name == f"ship:delta:{tmp_path / 'delta'}"
    long = Delta("s3://" + "b" * 300)
    with shipping_of(long, state) as made, shipping_of(Delta(long.uri + "c"), state) as other:
        assert len(f"{made.name}/labels/sending") <= 128
        assert made.name != other.name
        assert made.source.endswith(str(state.directory))
