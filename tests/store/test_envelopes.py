"""How rows travel: they come back as they were, and what is none is told apart."""

from __future__ import annotations

import pytest

from roadworthy.core.errors import BadData
from roadworthy.core.record import Label
from roadworthy.store.base import Arrival
from roadworthy.store.envelopes import VERSION, decode, encode
from roadworthy.testing.shipments import odd_rows, rows


@pytest.mark.parametrize("record", odd_rows(), ids=lambda record: record.id)
def test_a_record_comes_back_as_it_was(record):
    assert decode(encode("host", Arrival(7, record))) == ("host", Arrival(7, record))


def test_a_label_comes_back_as_a_label():
    label = Label("a", 1.0, 5.0, "review")
    assert decode(encode("host", Arrival(3, label))) == ("host", Arrival(3, label))


def test_a_reader_that_knows_fewer_fields_still_reads_the_row():
    import msgspec

    whole = msgspec.to_builtins(rows(1)[0]) | {"mood": "good"}
    raw = encode("host", Arrival(1, rows(1)[0]))[:4] + msgspec.msgpack.encode(["host", 1, whole])
    assert decode(raw)[1].row == rows(1)[0]


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"", "no record of Roadworthy"),
        (b"RW", "no record of Roadworthy"),
        (b'{"id": 1}', "no record of Roadworthy"),
        (b"RW" + bytes([VERSION + 1]) + b"r\x93", "upgrade roadworthy"),
        (b"RW\x01x\x93", "neither a record"),
        (encode("host", Arrival(1, rows(1)[0]))[:-1], "no row"),
        (encode("host", Arrival(1, Label("a", 1.0, 2.0))).replace(b"l", b"r", 1), "missing required field"),
        (b"RW\x01r\x93\xa1\xff\x01\x80", "no row"),
    ],
)
def test_what_is_no_row_is_told(raw, told):
    with pytest.raises(BadData, match=told):
        decode(raw)
