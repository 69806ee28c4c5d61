"""Plain JSON over HTTP as a Handler: the `/predict` of Roadworthy, or any route that takes and gives JSON."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import msgspec

from roadworthy.app.endpoints.refusals import refusal
from roadworthy.app.endpoints.rows import BODY, columns_of, rows_of, whole_body
from roadworthy.app.endpoints.wire import Wire
from roadworthy.core.errors import BadData
from roadworthy.core.wire import Request, Response, Tensor

PATH = "/predict"


class Plain:
    """Posts `{"id": ..., "rows": [...]}` to `url`, or the whole body that a request carries as the input `body`.

    `rows` that come back become columns; any other JSON is one text under the name `body`. `url` may be the server
    alone, which means its `/predict`.
    """

    def __init__(self, url: str, **wire: Any) -> None:
        self.wire = Wire(url, **wire)
        query = urlsplit(url if "//" in url else f"http://{url}").query
        self.path = (self.wire.base or PATH) + (f"?{query}" if query else "")

    def __repr__(self) -> str:
        return f"Plain({self.wire.url + self.path!r})"

    async def __aenter__(self) -> Plain:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.wire.__aexit__()

    async def __call__(self, request: Request) -> Response:
        """The answer. Raises what the server refused as the error of the same meaning, Lost and Late."""
        body = whole_body(request)
        asked = {"id": request.id, "rows": rows_of(request)} if body is None else body
        if body is not None and ("rows" in body or "columns" in body):
            asked = {**body, "id": request.id}
        answer = await self.wire.ask("POST", self.path, msgspec.json.encode(asked), request.deadline)
        if not 200 <= answer.status < 300:
            raise refusal(self.wire.url, answer.status, answer.headers, answer.body)
        try:
            told = msgspec.json.decode(answer.body)
        except msgspec.DecodeError as wrong:
            raise BadData(f"{self.wire.url}{self.path} answered what is no JSON; is it the right path?") from wrong
        return _read(request.id, told, answer.body)


def _read(id: str, told: Any, raw: bytes) -> Response:
    if isinstance(told, dict) and isinstance(told.get("rows"), list):
        rows = told["rows"]
        if all(isinstance(row, dict) for row in rows):
            release = str(told.get("release") or "")
            # Its own id, not ours: whoever matches answers must see it where a server mixes them up.
            return Response(str(told.get("id") or id), columns_of(rows), release)
    return Response(id, {BODY: Tensor(BODY, "BYTES", (1,), [raw.decode("utf-8", "replace")])})
