"""The model-repository extension: which models there are, and loading and unloading them where a setting allows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import msgspec
from msgspec import Struct

from roadworthy.app.edge import read_body
from roadworthy.app.exchange import Call, Refused, Reply, json_reply
from roadworthy.app.routes import Routes
from roadworthy.core.errors import BadRequest, Missing, nearest

Control = Literal["none", "explicit"]


class ModelState(Struct, frozen=True):
    """One version of a model. `reason` says why it is not READY."""

    name: str
    version: str
    state: Literal["READY", "LOADING", "UNLOADING", "UNAVAILABLE"]
    reason: str = ""


class Controlled(Protocol):
    """Whatever holds models. `load` returns when the model answers, `unload` when it takes no more memory.

    Both raise Missing for a name that is not in the index, and may be cancelled by a caller who goes away.
    """

    def index(self) -> Sequence[ModelState]: ...
    async def load(self, name: str) -> None: ...
    async def unload(self, name: str) -> None: ...


class _Index(Struct):
    ready: bool = False


class _Change(Struct):
    parameters: dict[str, Any] | None = None


_INDEX = msgspec.json.Decoder(_Index)
_CHANGE = msgspec.json.Decoder(_Change)


class Repository:
    """What both the REST and the gRPC door do with `controlled`; `control` "none" only shows what there is."""

    def __init__(self, controlled: Controlled, control: Control = "none") -> None:
        self._controlled, self._control = controlled, control

    def add_to(self, routes: Routes) -> None:
        """POST /v2/repository/index, and .../models/NAME/load and unload."""
        routes.add("POST", "/v2/repository/index", self._answer_index)
        routes.add("POST", "/v2/repository/models/*", self._answer_change)

    def index(self, ready: bool = False) -> list[ModelState]:
        """All that is known, or only what is READY."""
        return [model for model in self._controlled.index() if model.state == "READY" or not ready]

    async def load(self, name: str, parameters: Mapping[str, Any] | None = None) -> None:
        """Load a model, anew where it is loaded already. Raises Refused (403), BadRequest, or what loading raises."""
        self._allow("load", name)
        sent = [given for given in parameters or () if given == "config" or given.startswith("file:")]
        if sent:
            raise BadRequest(
                f"`{sent[0]:.60}` cannot be given: a model is loaded as it was released; "
                "add a release to load another file or configuration"
            )
        await self._controlled.load(name)

    async def unload(self, name: str) -> None:
        """Unload a model. Raises Refused (403), or what unloading raises."""
        self._allow("unload", name)
        await self._controlled.unload(name)

    def _allow(self, verb: str, name: str) -> None:
        if self._control != "explicit":
            raise Refused(
                403,
                f"clients may not {verb} {name!r:.100} here: `serving: control:` is {self._control!r}; "
                "set it to 'explicit' to allow it",
            )

    async def _answer_index(self, call: Call) -> Reply:
        return json_reply(self.index(read_body(_INDEX, call.body or b"{}").ready))

    async def _answer_change(self, call: Call) -> Reply:
        path = call.path.decode("utf-8", "replace")
        name, _, verb = path.removeprefix("/v2/repository/models/").rpartition("/")
        if verb not in ("load", "unload"):
            raise Missing(f"nothing to POST at {path!r}{nearest(verb, ('load', 'unload'))} (known: load, unload)")
        parameters = read_body(_CHANGE, call.body or b"{}").parameters
        await (self.load(name, parameters) if verb == "load" else self.unload(name))
        return json_reply({})
