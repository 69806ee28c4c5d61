"""What a load test sends: bodies out of a file, rows out of a table, or something made up where that is possible."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from roadworthy.app.endpoints.detect import Endpoint
from roadworthy.app.endpoints.openai import SETTINGS, OpenAi
from roadworthy.app.endpoints.plain import Plain
from roadworthy.app.endpoints.rows import BODY, tensor_of
from roadworthy.app.endpoints.v2 import V2
from roadworthy.core.errors import BadData, BadRequest, nearest
from roadworthy.core.wire import Request, Tensor

if TYPE_CHECKING:
    import polars

    from roadworthy.evaluate.load_test.traces import Trace

# As many rows of a table are sent in turn; more would only fill the memory.
MOST_ROWS = 10_000
PROMPT = "Write one sentence about the sea."


async def requests_for(
    endpoint: Endpoint, body: Path | None = None, data: Path | None = None, columns: Sequence[str] = ()
) -> list[Request]:
    """At least one request, with an empty id. Raises BadData for a file that cannot be sent, BadRequest for none."""
    if body is not None and data is not None:
        raise BadRequest("--body and --data both say what to send; give one of them")
    if body is not None:
        return bodies(body)
    if isinstance(endpoint, V2):
        ports = (await endpoint.metadata()).get("inputs") or ()
        return _of_ports(ports, data)
    if data is not None:
        return _of_table(data, columns, isinstance(endpoint, OpenAi))
    if isinstance(endpoint, Plain):
        raise BadRequest("what shall be sent? Give --body FILE (JSON, or JSON lines) or --data TABLE (.parquet, .csv)")
    return [Request("", {"prompt": tensor_of("prompt", [PROMPT])}, 0.0)]


def of_trace(trace: Trace) -> list[Request]:
    """Prompts as long as those of a trace, allowing as many tokens as were written then."""
    found = []
    for k, traced in enumerate(trace.requests[:MOST_ROWS]):
        wanted = {"max_tokens": traced.output_tokens} if traced.output_tokens else {}
        prompt = trace.prompt(k) or PROMPT
        found.append(Request("", {"prompt": tensor_of("prompt", [prompt])}, 0.0, parameters=wanted))
    return found


def bodies(path: Path) -> list[Request]:
    """One request for the JSON object in a file, or for each of its lines."""
    try:
        raw = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as wrong:
        raise BadData(f"the body {str(path)!r} cannot be read: {wrong}") from wrong
    if not raw.strip():
        raise BadData(f"the body {str(path)!r} is empty; write the JSON object that the server takes")
    lines = [(0, raw)]
    if _trouble(raw) and len(raw.strip().splitlines()) > 1 and not _trouble(raw.strip().splitlines()[0]):
        lines = [(i, line) for i, line in enumerate(raw.splitlines(), 1) if line.strip()]
    for number, text in lines:
        if trouble := _trouble(text):
            where = f"{str(path)!r}" + (f", line {number}" if number else "")
            raise BadData(f"the body in {where} is no JSON object ({trouble}); write {{...}}, or one on each line")
    return [
        Request("", {BODY: Tensor(BODY, "BYTES", (1,), [text])}, 0.0, parameters=_settings(msgspec.json.decode(text)))
        for _, text in lines
    ]


def _trouble(text: str) -> str:
    """Why a text is no JSON object; "" where it is one."""
    try:
        msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as wrong:
        return str(wrong)
    return ""


def _settings(body: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in body.items() if name in SETTINGS}


def _of_table(path: Path, columns: Sequence[str], prompts: bool) -> list[Request]:
    frame = _frame(path, columns or None)
    if prompts and not columns:
        known = [name for name in frame.columns if name in ("prompt", "messages", *SETTINGS)]
        if not {"prompt", "messages"} & set(known):
            have = ", ".join(frame.columns)
            raise BadData(f"{str(path)!r} has no column `prompt` or `messages` (it has: {have}); name it: --columns")
        frame = frame.select(known)
    return [
        Request("", {name: tensor_of(name, [value]) for name, value in row.items()}, 0.0) for row in frame.to_dicts()
    ]


def _of_ports(ports: Sequence[Mapping[str, Any]], data: Path | None) -> list[Request]:
    """Rows with the inputs that a model says it takes, from a table or of zeros."""
    if not ports:
        raise BadRequest("the model does not say what it takes: give whole bodies, --body FILE")
    names = [str(port["name"]) for port in ports]
    rows: Sequence[Mapping[str, Any]] = [{}] if data is None else _frame(data, names).to_dicts()
    return [Request("", {str(port["name"]): _fed(port, row) for port in ports}, 0.0) for row in rows]


def _fed(port: Mapping[str, Any], row: Mapping[str, Any]) -> Tensor:
    """One row of an input: its cell, or zeros; the first dimension counts rows."""
    tail = tuple(max(1, int(size)) for size in tuple(port["shape"])[1:])
    width = 1
    for size in tail:
        width *= size
    nothing: Any = "" if port["datatype"] == "BYTES" else False if port["datatype"] == "BOOL" else 0
    cell = row.get(port["name"], [nothing] * width)
    flat = list(cell) if isinstance(cell, list | tuple) else [cell]
    if len(flat) != width:
        raise BadData(f"input {port['name']!r} takes {width} values a row, and the table has {len(flat)}")
    return Tensor(str(port["name"]), port["datatype"], (1, *tail), flat)


def _frame(path: Path, columns: Sequence[str] | None) -> polars.DataFrame:
    from roadworthy.data.tables import read_frame

    frame = read_frame(path).head(MOST_ROWS)
    for name in columns or ():
        if name not in frame.columns:
            raise BadData(f"{str(path)!r} has no column {name!r}{nearest(name, frame.columns)}")
    return frame.select(list(columns)) if columns else frame
