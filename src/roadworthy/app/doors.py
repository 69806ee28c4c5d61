"""All that a serving process can be asked through: its routes and listeners, and the order in which they end."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from roadworthy.app.admin import Admin
from roadworthy.app.deployment import Deployment
from roadworthy.app.doorman import Doorman, public_scope
from roadworthy.app.edge import Clock, Edge
from roadworthy.app.fronts import Fronts
from roadworthy.app.http import Server, open_many_files
from roadworthy.app.jobs import Jobs
from roadworthy.app.keys import KeyFile
from roadworthy.app.limits import Limits
from roadworthy.app.listener import Listener
from roadworthy.app.metrics import registry_of
from roadworthy.app.openapi import OpenApi
from roadworthy.app.openinference import OpenInference
from roadworthy.app.plain import Plain
from roadworthy.app.repository import Repository
from roadworthy.app.routes import Routes
from roadworthy.app.tls import Tls
from roadworthy.app.watched import WATCHED, Watched
from roadworthy.core.errors import MissingExtra, Taken
from roadworthy.core.spec import Spec
from roadworthy.serve.queue import queue

if TYPE_CHECKING:
    from roadworthy.app.grpc_server import GrpcServer

LOOPBACK = "127.0.0.1"


class Ports(NamedTuple):
    """Where a process listens; `grpc` is 0 where it does not."""

    public: int
    admin: int
    grpc: int


class Doors:
    """The public listener with its protocols, the operator's, the gRPC one where it is asked for, and the jobs.

    Must be made on a running loop. `close` after `listen`, whatever happened between.
    """

    def __init__(self, deployment: Deployment, clock: Clock = "wall", limits: Limits | None = None) -> None:
        spec, directory = deployment.spec, deployment.state.directory
        self.doorman = Doorman(KeyFile(directory, deployment.now), public_scope, deployment.now)
        self._spec = spec
        self._tls = tls_of(spec)
        self._served, self._edge = (
            deployment,
            Edge(deployment.signature, clock, deployment.now, timeout_seconds=spec.serving.timeout_seconds),
        )
        self._repository = Repository(deployment, spec.serving.control)
        self._jobs = jobs_of(spec, directory)
        self.front = self._front(limits, clock)
        watched = Watched(directory / WATCHED)
        self.back = Listener(Admin(deployment, registry_of(deployment, self.front, watched)).app)
        self.grpc: GrpcServer | None = None

    @property
    def tls(self) -> bool:
        """Does the public listener speak TLS?"""
        return self._tls is not None

    async def listen(self, host: str, port: int, admin_port: int, grpc_port: int | None) -> Ports:
        """Accept clients. Raises Taken for a port that is in use."""
        try:
            public = await (
                self.front.listen(host, port, self._tls)
                if isinstance(self.front, Server)
                else self.front.listen(host, port)
            )
        except OSError as taken:
            raise _taken(host, port, taken) from taken
        try:
            admin = await self.back.listen(LOOPBACK, admin_port)
        except OSError as taken:
            raise _taken(LOOPBACK, admin_port, taken) from taken
        if grpc_port is None:
            return Ports(public, admin, 0)
        self.grpc = self._grpc()
        return Ports(public, admin, await self.grpc.listen(host, grpc_port))

    def open(self) -> None:
        """The models can answer: begin with the jobs."""
        if self._jobs is not None:
            self._jobs.start()

    def leave(self) -> None:
        """Say that we are going: no job is begun, and each answer asks its client to connect elsewhere."""
        if isinstance(self.front, Server):
            self.front.leave()
        if self._jobs is not None:
            self._jobs.drain()

    async def close(self, grace_seconds: float) -> None:
        """Answer what has arrived within `grace_seconds`, on all doors at once; then give unfinished jobs back."""
        ends = [self.front.close(grace_seconds), self.back.close(1.0)]
        if self.grpc is not None:
            ends.append(self.grpc.close(grace_seconds))
        await asyncio.gather(*ends)
        if self._jobs is not None:  # last: until the front is closed it takes jobs for the next server
            await self._jobs.close(grace_seconds)
        self.doorman.note_used()

    def _front(self, limits: Limits | None, clock: Clock) -> Server | Fronts:
        """This process itself, or several in front of it where the project asks for them."""
        serving, deployment = self._spec.serving, self._served
        if serving.place == "fronts":
            pair = (self._tls.certificate, self._tls.key) if self._tls else None
            return Fronts(
                deployment,
                self._routes(),
                serving.fronts,
                limits,
                clock,
                serving.timeout_seconds,
                deployment.state.directory,
                pair,
            )
        open_many_files()
        front = Server(self._routes(), limits, deployment.now, self.doorman.admit)
        front.each_tick(self.doorman.refresh)
        return front

    def _routes(self) -> Routes:
        routes = Routes()
        OpenInference(self._served, self._edge, self._repository).add_to(routes)
        Plain(self._served, self._edge).add_to(routes)
        OpenApi(self._served, self._repository, jobs=self._jobs is not None).add_to(routes)
        if self._jobs is not None:
            self._jobs.add_to(routes, ("/predict", "/v2/models/*", f"/v2/models/{self._served.name}/infer"))
        return routes

    def _grpc(self) -> GrpcServer:
        try:
            from roadworthy.app.grpc_server import GrpcServer
        except ImportError as absent:
            raise MissingExtra("the gRPC listener", "grpc", "grpc") from absent
        pair = None if self._tls is None else self._tls.pair
        return GrpcServer(self._served, self._edge, self._repository, self.doorman.admit, tls=pair)


def tls_of(spec: Spec) -> Tls | None:
    """The certificate that the project names, or None. Raises SpecError for one that cannot be used."""
    certificate, key = spec.serving.tls_certificate, spec.serving.tls_key
    return Tls(spec.path(certificate), spec.path(key)) if certificate or key else None


def jobs_of(spec: Spec, directory: Path) -> Jobs | None:
    """The jobs on the queue that the project names; none where it says `jobs: ""`."""
    if not spec.serving.jobs:
        return None
    return Jobs(queue.make(spec.serving.jobs, spec.root, directory=directory)(), spec.serving.webhooks)


def _taken(host: str, port: int, wrong: OSError) -> Taken:
    return Taken(f"cannot listen on {host}:{port}: {wrong}; choose another port, or 0 for any")
