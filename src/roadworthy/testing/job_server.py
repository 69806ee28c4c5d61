"""A server process with a queue of jobs and a small model, to be killed by tests: `python -m ... FOLDER PLAN PORT`.

It answers each row with `x` and a number drawn anew in each run, so that a job that is answered twice is found out. A
negative `x` kills the process: a poison job.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from functools import partial
from pathlib import Path
from random import Random

import uvloop

from roadworthy.app.edge import Edge
from roadworthy.app.http import Server
from roadworthy.app.jobs import Jobs
from roadworthy.app.plain import Plain
from roadworthy.app.routes import Routes
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Request, Response, Tensor
from roadworthy.serve.queue import queue
from roadworthy.serve.recorded import Recorded
from roadworthy.store.records import RecordLog

SIGNATURE = Signature({"x": Field()}, {"x": Field(), "draw": Field()})
PORT_FILE = "port"


async def draw(rng: Random, request: Request) -> Response:
    """The model: it takes a few milliseconds, and never gives the same answer twice."""
    values = request.inputs["x"].data
    if min(values) < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    loop = asyncio.get_running_loop()
    later: asyncio.Future[None] = loop.create_future()
    loop.call_later(rng.uniform(0.0, 0.02), later.set_result, None)
    await later
    drawn = Tensor("draw", "FP64", (request.n,), [rng.random() for _ in values])
    return Response(request.id, {"x": Tensor("x", "FP64", (request.n,), values), "draw": drawn})


async def serve(folder: Path, plan: str, port: int) -> None:
    """Serve until SIGTERM; the port is written to a file once jobs are kept."""
    log = RecordLog(folder / "records.db", "process")
    jobs = Jobs(queue.make(plan, directory=folder)(), webhooks=(os.environ.get("HOOK", "http://127.0.0.1:1/"),))
    routes = Routes()
    Plain(Recorded(partial(draw, Random()), log.append, "ab" * 32, "stable"), Edge(SIGNATURE)).add_to(routes)
    jobs.add_to(routes, ["/predict"])
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = Server(routes)
    port = await server.listen("127.0.0.1", port)
    jobs.start()
    aside = folder / "port.tmp"
    aside.write_text(str(port))
    aside.rename(folder / PORT_FILE)
    await stop.wait()
    jobs.drain()
    await server.close(5.0)
    await jobs.close(5.0)
    log.close()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
