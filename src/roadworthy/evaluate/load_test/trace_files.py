"""Trace files are read into Traces: one small function a format, which makes one row into one request."""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from roadworthy.core.errors import BadData, Missing
from roadworthy.evaluate.load_test.traces import Trace, TracedRequest
from roadworthy.store.records import RecordLog

KNOWN = (
    "Azure CSV with `TIMESTAMP,ContextTokens,GeneratedTokens`, BurstGPT CSV with `Timestamp` and `Request tokens`, "
    "Mooncake JSON lines with `timestamp`, a number of seconds a line, or our own `records.db`"
)


def read_trace(path: Path) -> Trace:
    """The trace in a file of any of the formats in KNOWN, told by its first line.

    Raises Missing where there is no such file and BadData, with the line, where one cannot be read.
    """
    if not path.is_file():
        raise Missing(f"no trace at {str(path)!r}")
    if path.suffix == ".db":
        return Trace.of_times([record.at for record in RecordLog(path).read()], source=str(path))
    raw = path.read_bytes()
    try:
        lines = raw.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as wrong:
        raise BadData(f"{str(path)!r} is not UTF-8 text: {wrong}") from wrong
    return Trace.of(_requests(lines, str(path)), str(path), hashlib.sha256(raw).hexdigest())


def _requests(lines: list[str], source: str) -> Iterator[TracedRequest]:
    head = lines[0].strip() if lines else ""
    columns = {column.strip().lower() for column in head.split(",")}
    rows: Iterable[tuple[int, Any]] = _table(lines)
    if {"timestamp", "contexttokens", "generatedtokens"} <= columns:
        read: Callable[[Any], TracedRequest] = _azure
    elif {"timestamp", "request tokens", "response tokens"} <= columns:
        read = _burst_gpt
    elif head.startswith("{") or _is_number(head):
        read = _mooncake if head.startswith("{") else _number
        rows = ((k, line) for k, line in enumerate(lines, 1) if line.strip())
    else:
        raise BadData(f"{source!r} begins with {head[:80]!r}, which is no trace known here (known: {KNOWN})")
    for number, row in rows:
        yield _checked(read, row, f"{source}:{number}")


def _checked(read: Callable[[Any], TracedRequest], row: Any, where: str) -> TracedRequest:
    try:
        request = read(row)
    except (ValueError, KeyError, TypeError, AttributeError, msgspec.MsgspecError) as wrong:
        raise BadData(f"{where}: {row!r} cannot be read: {wrong!r}") from wrong
    if not math.isfinite(request.at):
        raise BadData(f"{where}: {row!r} has no time")
    return request


def _table(lines: list[str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    """The rows under the head with their line numbers, by the names of the columns in lower case."""
    table = csv.reader(lines)
    names = [name.strip().lower() for name in next(table)]
    for row in table:
        if row:
            yield table.line_num, dict(zip(names, row, strict=False))


def _azure(row: Mapping[str, str]) -> TracedRequest:
    # Seven digits behind the second, and from 2024 on a zone that is always UTC.
    moment = np.datetime64(row["timestamp"].removesuffix("+00:00"), "ns")
    if np.isnat(moment):
        raise ValueError("no timestamp")
    return TracedRequest(int(moment.astype(np.int64)) / 1e9, int(row["contexttokens"]), int(row["generatedtokens"]))


def _burst_gpt(row: Mapping[str, str]) -> TracedRequest:
    asked, answered = int(row["request tokens"]), int(row["response tokens"])
    return TracedRequest(float(row["timestamp"]), asked, answered, row.get("session id", ""))


class _Mooncake(msgspec.Struct):
    """A line of a Mooncake trace; `timestamp` is in milliseconds."""

    timestamp: float
    input_length: int = 0
    output_length: int = 0
    hash_ids: tuple[int, ...] = ()
    session_id: str = ""


def _mooncake(line: str) -> TracedRequest:
    row = msgspec.json.decode(line, type=_Mooncake, strict=False)
    return TracedRequest(row.timestamp / 1000, row.input_length, row.output_length, row.session_id, row.hash_ids)


def _number(line: str) -> TracedRequest:
    return TracedRequest(float(line))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
