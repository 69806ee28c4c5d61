"""A caller's deadline and priority reach the Request; a value that is none is refused."""

from __future__ import annotations

import pytest

from roadworthy.app.schedule import MOST_SECONDS, with_schedule
from roadworthy.core.errors import BadRequest
from roadworthy.core.wire import Request


def scheduled(parameters=None, deadline=None, priority=2, **headers) -> Request:
    given = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    request = Request("a", {}, 0.0, parameters=parameters or {}, deadline=deadline, priority=priority)
    return with_schedule(request, given, parameters, now=100.0)


@pytest.mark.parametrize(
    ("parameters", "headers", "deadline"),
    [
        ({"timeout": 2_500_000}, {}, 102.5),
        ({"timeout": 2_500_000.0}, {}, 102.5),
        ({}, {"x_envoy_expected_rq_timeout_ms": "250"}, 100.25),
        ({}, {"grpc_timeout": "2H"}, 7300.0),
        ({}, {"grpc_timeout": "3M"}, 280.0),
        ({}, {"grpc_timeout": "4S"}, 104.0),
        ({}, {"grpc_timeout": "500m"}, 100.5),
        ({}, {"grpc_timeout": "500000u"}, 100.5),
        ({}, {"grpc_timeout": "50000000n"}, 100.05),
        ({}, {"grpc_timeout": "0S"}, 100.0),
        ({"timeout": 3_000_000}, {"x_envoy_expected_rq_timeout_ms": "1000", "grpc_timeout": "2S"}, 101.0),
        ({"timeout": 10**30}, {}, 100.0 + MOST_SECONDS),
    ],
)
def test_the_earliest_deadline_holds(parameters, headers, deadline):
    assert scheduled(parameters, 50.0, **headers).deadline == pytest.approx(deadline)


@pytest.mark.parametrize(
    ("parameters", "headers"), [({"timeout": 0}, {}), ({}, {"x_envoy_expected_rq_timeout_ms": "0"}), (None, {})]
)
def test_without_one_the_deadline_of_the_request_stays(parameters, headers):
    assert scheduled(parameters, 50.0, **headers).deadline == 50.0


def test_priorities_are_taken_and_0_is_the_default():
    assert [scheduled({"priority": level}).priority for level in (0, 1, 2, 3, 3.0)] == [2, 1, 2, 3, 3]
    assert [scheduled({"priority": level}, priority=3).priority for level in (0, 1)] == [3, 1]


def test_what_is_understood_here_goes_no_further():
    assert scheduled({"timeout": 5, "priority": 1, "temperature": 0.5}).parameters == {"temperature": 0.5}


@pytest.mark.parametrize(
    ("parameters", "headers", "says"),
    [
        ({"timeout": -1}, {}, "parameter `timeout` is -1; allowed: whole microseconds, or 0 for the server's own"),
        ({"timeout": 1.5}, {}, "parameter `timeout` is 1.5;"),
        ({"timeout": True}, {}, "parameter `timeout` is True;"),
        ({"timeout": "5s"}, {}, "parameter `timeout` is '5s';"),
        ({"timeout": None}, {}, "parameter `timeout` is None;"),
        ({"priority": 4}, {}, "parameter `priority` is 4; allowed: 1 (first), 2, 3 (last), or 0 for the default"),
        ({"priority": "high"}, {}, "parameter `priority` is 'high';"),
        ({"priority": True}, {}, "parameter `priority` is True;"),
        ({}, {"x_envoy_expected_rq_timeout_ms": "soon"}, "is 'soon'; allowed: whole milliseconds"),
        ({}, {"x_envoy_expected_rq_timeout_ms": "-1"}, "is '-1'; allowed: whole milliseconds"),
        (
            {},
            {"grpc_timeout": "5"},
            "header `grpc-timeout` is '5'; allowed: up to 8 digits and one of H, M, S, m, u, n",
        ),
        ({}, {"grpc_timeout": "123456789S"}, "header `grpc-timeout` is '123456789S';"),
    ],
)
def test_a_value_that_is_none_is_refused_with_what_is_allowed(parameters, headers, says):
    with pytest.raises(BadRequest) as refused:
        scheduled(parameters, **headers)
    assert says in str(refused.value)
