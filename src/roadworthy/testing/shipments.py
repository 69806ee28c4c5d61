"""The laws of shipments: all that was sent is there once and as it was, and what is not there was told.

Each check raises AssertionError with a sentence. `check_shipment` runs them all, each on a place of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from roadworthy.core.record import Label, Record
from roadworthy.core.wire import Step
from roadworthy.store.base import Arrival, Batch, Shipment

# What can be read there now: every record, once, with its label, in the order of `at`.
There = Callable[[], Sequence[Record]]

SOURCE = "host-1"


def check_shipment(leaf: type, folder: Path) -> None:
    """All of the laws, on what the class method `example(folder)` yields: a shipment, and what reads there."""
    for number, check in enumerate(
        (check_nothing_is_fine, check_rows_come_whole, check_again_is_once, check_labels_follow, check_none_is_missing)
    ):
        place = folder / str(number)
        place.mkdir()
        with leaf.example(place) as (shipment, there):  # type: ignore[attr-defined]  # a law asks for it
            check(shipment, there)


def check_nothing_is_fine(shipment: Shipment, there: There) -> None:
    """A batch of no rows is neither an error nor a row."""
    opened = shipment()
    opened.ship(Batch(SOURCE, 0, 0, ()))
    opened.ship(batch(SOURCE, rows(1)))
    opened.close()
    assert len(there()) == 1, f"{shipment!r} makes rows of a batch without any: {there()!r}"


def check_rows_come_whole(shipment: Shipment, there: There) -> None:
    """Every field of a record is there as it was, whatever a row before it had under the same names."""
    sent = odd_rows()
    opened = shipment()
    for start, row in enumerate(sent):
        opened.ship(batch(SOURCE, [row], start))
    opened.close()
    found = there()
    assert [r.id for r in found] == [r.id for r in sent], f"{shipment!r}: {[r.id for r in found]} of {len(sent)} rows"
    for one, other in zip(sent, found, strict=True):
        assert one == other, f"{shipment!r} made of {one!r} this: {other!r}"


def check_again_is_once(shipment: Shipment, there: There) -> None:
    """A batch that is sent again, by this process or the one after it, is there once; so is one of another host."""
    first, second = batch(SOURCE, rows(40)), batch(SOURCE, rows(20, 40), 40)
    opened = shipment()
    opened.ship(first)
    opened.ship(first)
    opened.close()
    opened = shipment()
    opened.ship(first)
    opened.ship(second)
    opened.ship(second)
    opened.ship(batch("host-2", rows(10, 60)))
    opened.ship(batch("host-2", rows(10, 30), 10))
    opened.close()
    ids = [record.id for record in there()]
    assert ids == [record.id for record in rows(70)], f"{shipment!r} shows {len(ids)} rows of 70, not each once"


def check_labels_follow(shipment: Shipment, there: There) -> None:
    """A label joins its record, also where it comes first, and where it comes twice."""
    labels = [Label(f"row-{k:05d}", k / 2, 50.0 + k, "review") for k in range(0, 10, 2)]
    opened = shipment()
    opened.ship(batch(f"{SOURCE}/labels", labels[:2]))
    opened.ship(batch(SOURCE, rows(10)))
    opened.ship(batch(f"{SOURCE}/labels", labels[2:], 2))
    opened.ship(batch(f"{SOURCE}/labels", labels[2:], 2))
    opened.close()
    known = {label.id: (label.value, label.at) for label in labels}
    for record in there():
        found = (record.label, record.label_at)
        told = f"{shipment!r} gives {record.id!r} the label {found!r}, not {known.get(record.id)!r}"
        assert found == known.get(record.id, (None, None)), told


def check_none_is_missing(shipment: Shipment, there: There) -> None:
    """Large rows too are there, or were told."""
    sent = rows(5) + [replace(row, inputs={"x": "y" * 10 ** (k + 2)}) for k, row in enumerate(rows(5, 5))]
    opened = shipment()
    refused = {row.id for row in opened.ship(batch(SOURCE, sent))}
    opened.close()
    missing = {row.id for row in sent} - {row.id for row in there()} - refused
    assert not missing, f"{shipment!r} neither shipped nor refused {sorted(missing)}"


def batch(source: str, sent: Sequence[Record | Label], after: int = 0) -> Batch:
    """The rows as they would come from a log whose position was `after`."""
    arrivals = tuple(Arrival(after + k + 1, row) for k, row in enumerate(sent))
    return Batch(source, after, after + len(sent), arrivals)


def rows(n: int, first: int = 0) -> list[Record]:
    """Records of a made-up application."""
    return [
        Record(
            f"row-{k:05d}",
            1000.0 + k,
            "5b" * 32,
            "stable",
            {"delay": k * 0.5, "carrier": "UA"},
            {"probability": 0.25},
            0.75,
            seconds={"model": 0.001},
            tags={"origin": "JFK"},
        )
        for k in range(first, first + n)
    ]


def odd_rows() -> list[Record]:
    """Records that differ in everything that a record may have."""
    values: list[dict[str, Any]] = [
        {"x": 1, "X": 2},
        {"x": 1.5, "x y": -0.0},
        {"x": "text", "": 3, "a.b#1": True},
        {"x": None, "é": "\x00\n\"'`"},
        {"x": [1.0, 2.0, None]},
        {"x": [[1, 2], [3, 4]], "deep": {"a": [1, {"b": None}]}},
        {"x": True, "large": 2**63, "small": -(2**63)},
        {"x": b"\x00\xff"},
        {"y": 1e308, "a.b": 5e-324, "x#1": "marked"},
        {},
    ]
    plain = [
        replace(row, inputs=given, outputs=given, seconds={"a b": 0.5}, tags={"q?": "1", "ü": ""})
        for row, given in zip(rows(len(values)), values, strict=True)
    ]
    plain[1] = replace(plain[1], error="timeout after 1.0s", confidence=None, arm="fallback")
    path = (Step("cheap", "confident"), Step("guard", "fine"))
    plain[2] = replace(plain[2], path=path, prediction_set=("a", "b"), tokens=7, usd=1e-9)
    plain[3] = replace(plain[3], prediction_set=(), arm="shadow", seconds={}, tags={}, outputs={})
    return plain
