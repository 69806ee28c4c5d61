from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from roadworthy.core.record import Label, Record
from roadworthy.core.wire import Step

scalars = st.one_of(
    st.none(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=5), st.booleans(), st.integers(-9, 9)
)
values = st.dictionaries(st.text(max_size=5), scalars, max_size=4)
records = st.builds(
    Record,
    id=st.text(max_size=8),
    at=st.floats(0, 2e9),
    release=st.text(max_size=8),
    arm=st.sampled_from(["stable", "canary", "shadow", "fallback"]),
    inputs=values,
    outputs=values,
    confidence=st.one_of(st.none(), st.floats(0, 1)),
    prediction_set=st.one_of(st.none(), st.just(("yes", "no"))),
    path=st.lists(st.builds(Step, st.text(max_size=4), st.text(max_size=4)), max_size=2).map(tuple),
    seconds=st.dictionaries(st.text(max_size=4), st.floats(0, 9), max_size=2),
    error=st.one_of(st.none(), st.text(max_size=5)),
    label=st.one_of(st.none(), st.floats(0, 1)),
)


@given(records)
def test_a_record_goes_through_msgpack_and_json(record):
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(record), type=Record) == record
    assert msgspec.json.decode(msgspec.json.encode(record), type=Record) == record


def test_a_column_that_came_later_is_absent_from_an_old_row():
    old = msgspec.msgpack.encode({"id": "a", "at": 0.0, "release": "r", "arm": "stable", "inputs": {}, "outputs": {}})
    assert msgspec.msgpack.decode(old, type=Record) == Record("a", 0.0, "r", "stable", {}, {})


def test_a_column_that_is_gone_does_not_spoil_an_old_row():
    old = {"id": "a", "at": 0.0, "release": "r", "arm": "stable", "inputs": {}, "outputs": {}, "colour": "red"}
    assert msgspec.convert(old, Record).id == "a"


def test_an_arm_that_does_not_exist_is_refused():
    old = {"id": "a", "at": 0.0, "release": "r", "arm": "beta", "inputs": {}, "outputs": {}}
    with pytest.raises(msgspec.ValidationError, match="arm"):
        msgspec.convert(old, Record)


def test_a_label_goes_through_json():
    label = Label("a", 1.0, 5.0, "tower")
    assert msgspec.json.decode(msgspec.json.encode(label), type=Label) == label
