"""The second listener, for the operator: what is going on, do what the store says now, what became of predictions."""

from __future__ import annotations

import asyncio

import msgspec

from roadworthy.app.deployment import Deployment, status_json
from roadworthy.app.edge import read_body
from roadworthy.app.exchange import Call, Refused, Reply, json_reply
from roadworthy.app.routes import Routes
from roadworthy.core.record import Label

_LABELS = msgspec.json.Decoder(list[Label])


class Admin:
    """GET /status, POST /sync, POST /labels."""

    def __init__(self, deployment: Deployment) -> None:
        self._deployment = deployment

    def add_to(self, routes: Routes) -> None:
        """All of them; none is on the public listener."""
        routes.add("GET", "/status", self.status)
        routes.add("POST", "/sync", self.sync)
        routes.add("POST", "/labels", self.label)

    async def status(self, call: Call) -> Reply:
        """What the deployment does, and how many records there are."""
        counts = await asyncio.to_thread(self._deployment.state.records.counts)
        return json_reply(status_json(self._deployment.status(), counts))

    async def sync(self, call: Call) -> Reply:
        """Apply the store's traffic now and let the shadow finish; answers when that is done."""
        _see_no_page(call)
        await self._deployment.sync(again=True)
        await self._deployment.drain()
        return json_reply(self._deployment.status())

    async def label(self, call: Call) -> Reply:
        """Join labels to their records; those of unknown ids are kept aside and told."""
        _see_no_page(call)
        labels = read_body(_LABELS, call.body)
        return json_reply(await asyncio.to_thread(self._deployment.state.records.write_labels, labels))


def _see_no_page(call: Call) -> None:
    # Loopback keeps other machines out, but any web page that the operator has open could post here.
    if b"origin" in call.headers:
        raise Refused(403, "the admin listener takes nothing from web pages; call it from the command line")
