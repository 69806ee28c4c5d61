"""Every shipment in the catalog obeys the laws, and the laws see through shipments that do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec.structs import replace

from roadworthy.core.catalog import write_plan
from roadworthy.core.record import Label, Record
from roadworthy.store.base import Arrival, Batch, Refused, shipment
from roadworthy.testing.shipments import check_shipment

PLANS = {"delta": {"delta": {"uri": "s3://bucket/log"}}}


@pytest.mark.parametrize("name", list(shipment))
def test_obeys_the_laws(name, tmp_path):
    leaf = shipment.get(name)
    for module, _ in leaf.needs:
        pytest.importorskip(module)
    check_shipment(leaf, tmp_path)


@pytest.mark.parametrize("name", list(shipment))
def test_can_be_written_as_a_plan_and_made_again(name):
    for module, _ in shipment.get(name).needs:
        pytest.importorskip(module)
    plan = PLANS.get(name, name)
    made = shipment.make(plan)
    assert write_plan(made) == plan
    assert shipment.make(write_plan(made)) == made


@dataclass(frozen=True)
class Honest:
    """Keeps in a dict what it is given, and tells what is too large for it."""

    held: dict[object, Arrival] = field(default_factory=dict)
    most: int = 1000

    def __call__(self) -> Honest:
        return self

    def ship(self, batch: Batch) -> Sequence[Refused]:
        large = [a for a in batch.arrivals if len(str(a.row)) > self.most]
        for arrival in batch.arrivals:
            if arrival not in large:
                self.keep(batch, arrival)
        return [Refused(a.row.id, a.position, "too large") for a in large]

    def keep(self, batch: Batch, arrival: Arrival) -> None:
        kind = isinstance(arrival.row, Label)
        self.held.setdefault((kind, arrival.row.id), arrival)

    def close(self) -> None:
        pass

    def there(self) -> list[Record]:
        labels = {a.row.id: a.row for a in self.held.values() if isinstance(a.row, Label)}
        records = [a.row for a in self.held.values() if isinstance(a.row, Record)]
        joined = [
            replace(r, label=labels[r.id].value, label_at=labels[r.id].at) if r.id in labels else r for r in records
        ]
        return sorted(joined, key=lambda record: record.at)

    @classmethod
    @contextmanager
    def example(cls, folder: Path) -> Iterator[tuple[Honest, Callable[[], Sequence[Record]]]]:
        made = cls()
        yield made, made.there


@dataclass(frozen=True)
class MakesUpRows(Honest):
    """Makes a row of nothing."""

    def ship(self, batch: Batch) -> Sequence[Refused]:
        if not batch.arrivals:
            self.held["made up"] = Arrival(0, Record("made-up", 0.0, "", "stable", {}, {}))
        return super().ship(batch)


@dataclass(frozen=True)
class ForgetsThePath(Honest):
    """Has no column for the path."""

    def keep(self, batch: Batch, arrival: Arrival) -> None:
        row = arrival.row if isinstance(arrival.row, Label) else replace(arrival.row, path=())
        super().keep(batch, Arrival(arrival.position, row))


@dataclass(frozen=True)
class Doubles(Honest):
    """Shows what was sent twice twice."""

    def keep(self, batch: Batch, arrival: Arrival) -> None:
        self.held[len(self.held)] = arrival


@dataclass(frozen=True)
class TrustsThePosition(Honest):
    """Takes no position twice, whatever log it is of."""

    def keep(self, batch: Batch, arrival: Arrival) -> None:
        kind = isinstance(arrival.row, Label)
        self.held.setdefault((kind, arrival.position), arrival)


@dataclass(frozen=True)
class DropsEarlyLabels(Honest):
    """Forgets a label whose record it does not have yet."""

    def keep(self, batch: Batch, arrival: Arrival) -> None:
        if isinstance(arrival.row, Record) or (False, arrival.row.id) in self.held:
            super().keep(batch, arrival)


@dataclass(frozen=True)
class DropsWhatIsLarge(Honest):
    """Says nothing of it."""

    def ship(self, batch: Batch) -> Sequence[Refused]:
        super().ship(batch)
        return ()


def test_an_honest_toy_passes(tmp_path):
    check_shipment(Honest, tmp_path)


@pytest.mark.parametrize(
    ("leaf", "told"),
    [
        (MakesUpRows, "makes rows of a batch without any"),
        (ForgetsThePath, "made of"),
        (Doubles, "not each once"),
        (TrustsThePosition, "not each once"),
        (DropsEarlyLabels, "the label"),
        (DropsWhatIsLarge, "neither shipped nor refused"),
    ],
)
def test_a_faulty_shipment_is_seen_through(leaf, told, tmp_path):
    with pytest.raises(AssertionError, match=told):
        check_shipment(leaf, tmp_path)
