"""Notes what an incident will be asked about later: when a server came and went, and what its machine was like."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from roadworthy import __version__
from roadworthy.app.deployment import Deployment
from roadworthy.app.fronts import Fronts
from roadworthy.app.http import Server
from roadworthy.observe.root_cause.change_log import note_settings, note_start, note_stop
from roadworthy.observe.root_cause.host import Sampler, sampling


@contextmanager
def noting(deployment: Deployment, front: Server | Fronts, port: int) -> Iterator[None]:
    """While the block runs the machine is sampled; its beginning and its end, and what was set, are events."""
    engine, name, now = deployment.state.engine, deployment.name, deployment.now
    note_settings(engine, now(), name, deployment.spec)
    note_start(engine, now(), name, port=port, version=__version__)

    def gauges() -> Mapping[str, float]:
        waiting = sum(rows for batch in deployment.batches().values() for rows in batch.waiting.values())
        return {"in_flight": front.in_flight, "connections": front.connections, "queue_rows": waiting}

    try:
        with sampling(deployment.state, Sampler(deployment.state.directory, gauges)):
            yield
    finally:
        note_stop(engine, now(), name, port=port)
