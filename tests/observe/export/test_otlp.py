"""The JSON is what opentelemetry-proto reads, and every reply means what the protocol says."""

from __future__ import annotations

import base64
import json
import math
import socket

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from roadworthy.core.errors import SpecError
from roadworthy.observe.export.otlp import (
    Collector,
    Link,
    Moment,
    Span,
    Status,
    attributes_of,
    encode,
    nanoseconds,
    read_reply,
)

TRACE, SPAN = "5b8efff798038103d269b633813fc60c", "eee19b7ec3c1b174"


def as_proto(body: bytes) -> ExportTraceServiceRequest:
    """OTLP/JSON read strictly: an unknown field is an error. Only its ids are not the JSON of protobuf."""

    def rewrite(value):
        if isinstance(value, dict):
            ids = ("traceId", "spanId", "parentSpanId")
            return {
                name: base64.b64encode(bytes.fromhex(each)).decode() if name in ids else rewrite(each)
                for name, each in value.items()
            }
        return [rewrite(each) for each in value] if isinstance(value, list) else value

    return json_format.ParseDict(rewrite(json.loads(body)), ExportTraceServiceRequest())


def test_a_span_reads_as_the_proto_has_it():
    told = {"a": "text", "b": True, "c": 2**60, "d": 0.5, "e": ["x", 1], "f": math.nan, "g": None, "h": 2**70}
    span = Span(
        TRACE,
        SPAN,
        "predict",
        nanoseconds(1700000000.25),
        nanoseconds(1700000001.0),
        SPAN,
        "ot=th:8",
        2,
        attributes_of(told),
        [Moment(nanoseconds(1700000000.5), "first piece", attributes_of({"k": 1}))],
        [Link(TRACE, SPAN)],
        Status("Late", 2),
    )
    read = as_proto(encode([span], {"service.name": "toy"}, "1.0", "https://schema"))
    (resource,) = read.resource_spans
    (scope,) = resource.scope_spans
    (found,) = scope.spans
    assert resource.resource.attributes[0].value.string_value == "toy"
    assert (scope.scope.name, scope.scope.version, scope.schema_url) == ("roadworthy", "1.0", "https://schema")
    assert (found.trace_id.hex(), found.span_id.hex(), found.parent_span_id.hex()) == (TRACE, SPAN, SPAN)
    assert (found.start_time_unix_nano, found.end_time_unix_nano) == (1700000000250000000, 1700000001000000000)
    assert (found.kind, found.trace_state, found.status.code, found.status.message) == (2, "ot=th:8", 2, "Late")
    values = {attribute.key: attribute.value for attribute in found.attributes}
    assert values["a"].string_value == "text"
    assert values["b"].bool_value is True
    assert values["c"].int_value == 2**60
    assert values["d"].double_value == 0.5
    assert [v.WhichOneof("value") for v in values["e"].array_value.values] == ["string_value", "int_value"]
    assert (values["f"].string_value, values["g"].string_value) == ("nan", "None")
    assert values["h"].string_value == str(2**70)
    assert (found.events[0].name, found.events[0].attributes[0].value.int_value) == ("first piece", 1)
    assert found.links[0].trace_id.hex() == TRACE


@pytest.mark.parametrize(
    ("status", "body", "end"),
    [
        (200, b"", "accepted"),
        (200, b"{}", "accepted"),
        (200, b'{"partialSuccess":{}}', "accepted"),
        (200, b"<html>please log in</html>", "held"),
        (302, b"", "held"),
        (400, b"bad span", "refused"),
        (401, b"", "held"),
        (404, b"", "held"),
        (413, b"", "refused"),
        (429, b"", "again"),
        (500, b"", "refused"),
        (502, b"", "again"),
        (503, b"", "again"),
        (504, b"", "again"),
    ],
)
def test_a_status_means_what_the_protocol_says(status, body, end):
    assert read_reply(status, {}, body, 0.0).end == end


@pytest.mark.parametrize("count", [3, "3"])
def test_a_partial_success_says_how_many_were_rejected(count):
    body = json.dumps({"partialSuccess": {"rejectedSpans": count, "errorMessage": "too old"}}).encode()
    reply = read_reply(200, {}, body, 0.0)
    assert (reply.end, reply.rejected, reply.because) == ("accepted", 3, "too old")


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("30", 30.0), ("Thu, 01 Jan 1970 00:01:00 GMT", 20.0), ("soon", None), ("", None)],
)
def test_retry_after_is_read_in_both_forms(given, seconds):
    assert read_reply(503, {"retry-after": given}, b"", 40.0).again_seconds == seconds


def test_the_path_is_added_where_there_is_none():
    assert Collector("http://host:4318").address == "http://host:4318/v1/traces"
    assert Collector("http://host:4318/").address == "http://host:4318/v1/traces"
    assert Collector("https://host/otlp/v1/traces").address == "https://host/otlp/v1/traces"


def test_an_address_that_is_none_is_refused():
    with pytest.raises(SpecError, match="`traces` is the address of an OTLP collector"):
        Collector("host:4318")


def test_nobody_there_is_a_reason_to_come_again():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    reply = Collector(f"http://127.0.0.1:{port}", timeout_seconds=1.0)(b"{}")
    assert reply.end == "again"
    assert "does not answer: URLError" in reply.because
