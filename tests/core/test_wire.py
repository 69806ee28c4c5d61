from __future__ import annotations

import msgspec
import pytest

from roadworthy.core.wire import Request, Response, Step, Tensor

X = Tensor("x", "FP32", (3, 2), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0])


def test_a_request_counts_its_rows_by_its_first_tensor():
    assert Request("a", {"x": X}, 0.0).n == 3
    assert Request("a", {}, 0.0).n == 0


def test_a_request_cannot_be_changed_on_its_way():
    with pytest.raises(AttributeError):
        Request("a", {"x": X}, 0.0).shadow = True


def test_two_requests_share_no_tags():
    assert Request("a", {}, 0.0).tags is not Request("b", {}, 0.0).tags


def test_what_nobody_sets_is_the_stable_arm_and_unknown():
    response = Response("a", {"p": X})
    assert (response.arm, response.release, response.confidence, response.usd) == ("stable", "", None, None)
    assert (response.path, dict(response.seconds)) == ((), {})


def test_a_request_goes_through_msgpack():
    request = Request("a", {"x": X}, 5.0, key="k", tags={"ward": "north"})
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(request), type=Request) == request


@pytest.mark.parametrize("datatype", ["FLOAT", "fp32", "STRING"])
def test_a_datatype_that_the_protocol_lacks_is_refused(datatype):
    with pytest.raises(msgspec.ValidationError, match="datatype"):
        msgspec.convert({"name": "x", "datatype": datatype, "shape": [1], "data": [1]}, Tensor)


def test_a_step_says_where_and_why():
    assert Step("cascade", "margin 0.02 below 0.1").because == "margin 0.02 below 0.1"
