"""What an answer's JSON says beside its outputs is read as it was meant, and that of other servers is passed over."""

from __future__ import annotations

import math

import msgspec
import pytest

from roadworthy.app.answer_parameters import AnswerParameters
from roadworthy.core.wire import Step, Tensor

Y = Tensor("probability", "FP64", (2,), [0.1, 0.9])


def test_everything_that_is_said_comes_into_the_response():
    told = {
        "release": "abc",
        "arm": "canary",
        "confidence": [0.9, None],
        "prediction_set": [["no"], []],
        "paths": [[{"at": "small", "because": "sure", "usd": 0.1}], [{"at": "large", "because": "not sure"}]],
        "usd": 0.3,
        "unconfirmed": 1,
        "abstained": [False, True],
    }
    found = AnswerParameters.of_any(msgspec.Raw(msgspec.json.encode(told))).response("r1", [Y], "1")
    assert (found.id, found.release, found.arm, found.usd) == ("r1", "abc", "canary", 0.3)
    assert found.outputs == {"probability": Y}
    assert found.confidence is not None
    assert found.confidence[0] == 0.9
    assert math.isnan(found.confidence[1])
    assert found.prediction_set == [["no"], []]
    assert found.row_path(1) == (Step("large", "not sure"),)
    assert found.parameters == {"unconfirmed": 1, "abstained": [False, True]}


@pytest.mark.parametrize("given", [b"", b"{}", b'{"confidence": "high"}', b'{"path": 7, "priority": 1}', b'"text"'])
def test_what_another_server_says_is_no_error(given):
    found = AnswerParameters.of_any(msgspec.Raw(given)).response("r1", [Y], "2")
    assert (found.release, found.arm, found.confidence, found.path, found.parameters) == ("2", "stable", None, (), {})
