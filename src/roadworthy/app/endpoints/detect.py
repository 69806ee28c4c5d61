"""Which protocol a server speaks, by its path or by what it answers to harmless questions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple
from urllib.parse import urlsplit

import msgspec

from roadworthy.app.endpoints.openai import OpenAi
from roadworthy.app.endpoints.plain import PATH, Plain
from roadworthy.app.endpoints.v2 import V2
from roadworthy.app.endpoints.wire import Answered, Wire
from roadworthy.core.errors import BadRequest, Missing

Protocol = Literal["plain", "v2", "openai"]
Endpoint = Plain | V2 | OpenAi


class Told(NamedTuple):
    """What somebody says about a server: `api` and `model` may be left to be found out."""

    url: str
    api: Protocol | None = None
    model: str = ""
    stream: bool = True


async def endpoint(told: Told, **wire: Any) -> Endpoint:
    """The Handler for a server. `wire` are settings of the connections (`timeout_seconds`, `headers`, `context`).

    Raises Lost where nobody answers, and BadRequest or Missing where it cannot be known how to ask.
    """
    async with Wire(told.url, **wire) as asked:
        found = told if told.api else await _by_asking(told, asked)
        if found.api == "openai" and not found.model:
            found = found._replace(model=await _first_model(asked) or "")
    if found.api == "openai":
        return OpenAi(found.url, found.model, found.stream, **wire)
    if found.api == "v2":
        return V2(found.url, found.model, **wire)
    return Plain(found.url, **wire)


async def _by_asking(told: Told, asked: Wire) -> Told:
    path = urlsplit(told.url if "//" in told.url else f"http://{told.url}").path.rstrip("/")
    if path.endswith(("/completions", "/v1")):
        return told._replace(api="openai")
    if "/v2/models/" in path:
        return told._replace(api="v2")
    if path not in ("", "/v2"):
        return told._replace(api="plain")
    if (model := await _first_model(asked)) is not None:
        return told._replace(api="openai", model=told.model or model)
    if told.model or (model := await _only_model(asked)):
        return told._replace(api="v2", model=told.model or str(model))
    if (await asked.ask("OPTIONS", PATH)).status in (200, 204):
        return told._replace(api="plain")
    if _object(await asked.ask("GET", "/v2")).get("name"):
        raise BadRequest(f"{asked.url} speaks Open Inference V2, and does not list its models: say which with --model")
    raise Missing(
        f"{asked.url} answers, but has none of /v1/models, /v2 and {PATH}: give the whole path of the route, and --api "
        "plain, v2 or openai"
    )


async def _first_model(asked: Wire) -> str | None:
    """The first model of an OpenAI-compatible server, "" where it lists none; None where it is no such server."""
    base = asked.base.partition("/v1")[0]
    told = _object(await asked.ask("GET", f"{base}/v1/models"))
    models = told.get("data")
    if not isinstance(models, list):
        return None
    return next((str(model["id"]) for model in models if isinstance(model, dict) and "id" in model), "")


async def _only_model(asked: Wire) -> str | None:
    """The one model of a server that lists its repository."""
    if not _object(await asked.ask("GET", "/v2")).get("name"):
        return None
    answer = await asked.ask("POST", "/v2/repository/index", b"{}")
    try:
        models = msgspec.json.decode(answer.body, type=list[dict[str, Any]]) if answer.status == 200 else []
    except msgspec.DecodeError:
        return None
    names = sorted({str(model.get("name")) for model in models})
    return names[0] if len(names) == 1 else None


def _object(answer: Answered) -> Mapping[str, Any]:
    """The JSON object of an answer, an empty one where it is none."""
    try:
        return msgspec.json.decode(answer.body, type=dict[str, Any]) if answer.status == 200 else {}
    except msgspec.DecodeError:
        return {}
