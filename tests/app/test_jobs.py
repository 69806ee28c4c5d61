"""Asynchronous requests over real sockets: accepted, polled, watched, told, cancelled, and run like any other."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, ClassVar

import pytest

from roadworthy.app.jobs import Jobs
from roadworthy.app.routes import Routes
from roadworthy.core.errors import Overloaded, SpecError
from roadworthy.core.wire import Request, Response, Tensor
from roadworthy.serve.queues.sqlite import Sqlite
from roadworthy.serve.webhooks import Webhooks, sign

LATER = {"prefer": "respond-async"}
ROW = {"rows": [{"a": 1, "b": None, "kind": "x"}]}
TENSORS = {
    "inputs": [
        {"name": "a", "datatype": "FP32", "shape": [1], "data": [1]},
        {"name": "b", "datatype": "FP32", "shape": [1], "data": [2]},
        {"name": "kind", "datatype": "BYTES", "shape": [1], "data": ["x"]},
    ]
}

Talk = Callable[["Client"], Awaitable[Any]]
Serve = Callable[..., Any]


class Client:
    """One request a connection; it remembers nothing."""

    def __init__(self, port: int) -> None:
        self.port = port

    async def raw(self, method: str, path: str, headers: dict[str, str], body: Any = None) -> tuple[bytes, bytes]:
        sent = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        head = f"{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{lines}content-length: {len(sent)}\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(head.encode() + sent)
        top, _, rest = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        return top, rest

    async def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        top, rest = await self.raw(method, path, named, body)
        return int(top.split(b" ", 2)[1]), json.loads(rest) if rest else None

    async def later(self, path: str = "/predict", body: Any = ROW, **headers: str) -> str:
        """The path of a job that was accepted."""
        status, told = await self("POST", path, body, **LATER, **headers)
        assert status == 202, told
        return str(told["location"])

    async def done(self, path: str) -> Any:
        status, told = await self("GET", f"{path}?wait=20")
        assert status == 200, told
        return told


@pytest.fixture
def serve(run, routes_of, tmp_path: Path) -> Serve:
    """`serve(handler, talk, **settings)`: both protocols and their jobs, the queue being on the disk."""

    def served(handler: Any, talk: Talk, queue: dict[str, Any] | None = None, **settings: Any) -> Any:
        async def main(port: int) -> Any:
            jobs.start()
            try:
                return await talk(Client(port))
            finally:
                await jobs.close(1.0)

        routes: Routes = routes_of(handler)
        opened = Sqlite(tmp_path, durability="process", **(queue or {}))()
        jobs = Jobs(opened, **settings)
        jobs.add_to(routes, ["/predict", "/v2/models/mean/infer", "/v2/models/*"])
        handler.jobs = jobs
        return run(routes, main)

    return served


class Gate:
    """A Handler that answers once it is let, and remembers what it was asked."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.open: asyncio.Future[None] | None = None
        self.seen: list[Request] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    async def __call__(self, request: Request) -> Response:
        self.seen.append(request)
        if self.open is not None and not self.open.done():
            await asyncio.shield(self.open)
        return await self.inner(request)

    def shut(self) -> None:
        self.open = asyncio.get_running_loop().create_future()

    def let(self) -> None:
        assert self.open is not None
        self.open.set_result(None)

    async def asked(self, n: int) -> None:
        while len(self.seen) < n:  # noqa: ASYNC110 what is waited for is in the server
            await asyncio.sleep(0.005)


def test_a_job_is_accepted_at_once_and_ends_with_the_reply_of_the_route(serve, mean):
    gate = Gate(mean())

    async def talk(client: Client) -> Any:
        gate.shut()
        top, body = await client.raw("POST", "/predict", {"Prefer": 'foo, Respond-Async; q="x"'}, ROW)
        location = json.loads(body)["location"]
        await gate.asked(1)
        running = await client("GET", location)
        gate.let()
        return top, body, running, await client.done(location), await client.raw("GET", f"{location}/result", {})

    top, body, (_, running), done, (result_top, result) = serve(gate, talk)
    told = json.loads(body)
    assert top.startswith(b"HTTP/1.1 202 ")
    assert f"location: /v2/jobs/{told['id']}\r\n".encode() in top + b"\r\n"
    assert b"preference-applied: respond-async" in top
    assert (running["state"], running["attempts"], "result" in running) == ("running", 1, False)
    assert (done["state"], done["status"]) == ("done", 200)
    assert done["accepted_at"] <= done["started_at"] <= done["finished_at"]
    assert done["result"] == json.loads(result)
    assert done["result"]["rows"] == [{"probability": 0.5, "confidence": 0.75}]
    assert result_top.startswith(b"HTTP/1.1 200 ")
    assert done["result"]["id"] == gate.seen[0].id == told["id"]


def test_every_protocol_has_jobs_and_a_request_without_the_header_is_answered_now(serve, mean):
    async def talk(client: Client) -> Any:
        paths = ["/v2/models/mean/infer", "/v2/models/mean/versions/abababab/infer"]
        jobs = [await client.done(await client.later(path, TENSORS)) for path in paths]
        return [await client("POST", path, TENSORS) for path in paths], [job["result"] for job in jobs]

    now, later = serve(mean(), talk)
    assert [status for status, _ in now] == [200, 200]
    for (_, answer), result in zip(now, later, strict=True):
        assert {**answer, "id": ""} == {**result, "id": ""}


def test_a_stream_is_read_to_its_end_and_kept_as_it_came(serve, mean):
    async def pieces():
        for k in range(3):
            yield Tensor("probability", "FP32", (1,), [k])

    class Streaming(mean):
        async def __call__(self, request: Request) -> Response:
            return Response(request.id, pieces())

    async def talk(client: Client) -> Any:
        location = await client.later("/v2/models/mean/infer", TENSORS)
        return await client.done(location), await client.raw("GET", f"{location}/result", {})

    done, (top, body) = serve(Streaming(), talk)
    assert done["result"]["content_type"] == "text/event-stream"
    assert b"content-type: text/event-stream" in top
    assert body.count(b'"probability"') == 3


def test_what_the_route_refuses_is_a_failed_job_with_the_sentence_and_the_status(serve, mean):
    class Broken(mean):
        async def __call__(self, request: Request) -> Response:
            raise ZeroDivisionError("secret")

    async def talk(client: Client) -> Any:
        bad = await client.later(body={"rows": [{"x": 1}]})
        return await client.done(bad), await client("GET", f"{bad}/result"), await client.done(await client.later())

    bad, (status, body), broken = serve(Broken(), talk)
    assert (bad["state"], bad["status"]) == ("failed", 400)
    assert (status, body["error"]) == (400, bad["error"])
    assert "no input named 'x'" in bad["error"]
    assert (broken["state"], broken["status"]) == ("failed", 500)
    assert "secret" not in str(broken)


def test_a_refusal_for_now_is_tried_again_until_there_is_an_answer(serve, mean):
    class Busy(mean):
        times = 0

        async def __call__(self, request: Request) -> Response:
            self.times += 1
            if self.times == 1:
                raise Overloaded("not now", 0.01)
            return await super().__call__(request)

    async def talk(client: Client) -> Any:
        return await client.done(await client.later())

    done = serve(Busy(), talk)
    assert (done["state"], done["attempts"]) == ("done", 2)


def test_jobs_run_at_priority_3_unless_their_caller_says_another_and_the_first_goes_first(serve, mean):
    gate = Gate(mean())

    async def talk(client: Client) -> Any:
        gate.shut()
        await client.later()
        await gate.asked(1)
        last = [await client.later(body={**ROW, "id": f"p{p}", "parameters": {"priority": p}}) for p in (2, 1)]
        gate.let()
        return [await client.done(path) for path in last]

    jobs = serve(gate, talk, at_once=1)
    assert [job["priority"] for job in jobs] == [2, 1]
    # The client's own ids, and in the order of priority.
    assert [request.id for request in gate.seen[1:]] == ["p1", "p2"]


def test_a_key_stands_for_one_job_also_when_it_is_done_and_for_no_other_request(serve, mean):
    gate = Gate(mean())

    async def talk(client: Client) -> Any:
        first = await client.later(idempotency_key="k")
        await client.done(first)
        again = await client("POST", "/predict", ROW, **LATER, idempotency_key="k")
        other = await client("POST", "/predict", {"rows": []}, **LATER, idempotency_key="k")
        long = await client("POST", "/predict", ROW, **LATER, idempotency_key="k" * 256)
        return first, again, other, long

    first, (status, again), other, long = serve(gate, talk)
    assert (status, again["location"], again["state"]) == (202, first, "done")
    assert len(gate.seen) == 1
    assert other[0] == 422
    assert "'k' stands for another request" in other[1]["error"]
    assert long[0] == 400


def test_callers_with_credentials_see_their_own_jobs_only_and_share_no_keys(serve, mean):
    async def talk(client: Client) -> Any:
        mine = await client.later(idempotency_key="k", authorization="Bearer me")
        other = await client.later(idempotency_key="k", authorization="Bearer you")
        seen = await client("GET", mine, authorization="Bearer me")
        hidden = [
            (await client(method, mine + tail, authorization="Bearer you"))[0]
            for method, tail in (("GET", ""), ("GET", "/events"), ("GET", "/result"), ("DELETE", ""))
        ]
        return mine, other, seen, hidden, await client("GET", "/v2/jobs", authorization="Bearer you")

    mine, other, seen, hidden, (_, listed) = serve(mean(), talk)
    assert seen[0] == 200
    assert hidden == [404] * 4
    assert [f"/v2/jobs/{job['id']}" for job in listed["jobs"]] == [other]
    assert mine != other


def test_credentials_are_not_written_to_the_disk(serve, mean, tmp_path):
    async def talk(client: Client) -> None:
        await client.done(await client.later(x_other="sesame"))
        path = await client.later(authorization="Bearer sesame")
        assert (await client("GET", f"{path}?wait=20", authorization="Bearer sesame"))[1]["state"] == "done"

    serve(mean(), talk)
    assert not any(b"sesame" in file.read_bytes() for file in tmp_path.iterdir())


def test_the_long_poll_ends_when_the_job_does_or_the_time_is_over(serve, mean):
    gate = Gate(mean())

    async def talk(client: Client) -> Any:
        gate.shut()
        location = await client.later()
        await gate.asked(1)
        _, early = await client("GET", f"{location}?wait=0.01")
        waiting = asyncio.ensure_future(client("GET", f"{location}?wait=60"))
        await asyncio.sleep(0.01)
        gate.let()
        return early, await waiting, await client("GET", f"{location}?wait=soon")

    early, (_, late), wrong = serve(gate, talk)
    assert early["state"] == "running"
    assert late["state"] == "done"
    assert wrong == (400, {"error": "`wait` is 'soon'; allowed: a number from 0 to 60"})


def events(raw: bytes) -> list[tuple[int, str, Any]]:
    """The events in a chunked body."""
    text = b"".join(raw.split(b"\r\n")[1::2]).decode()
    fields = [dict(line.split(": ", 1) for line in event.split("\n")) for event in text.strip().split("\n\n") if event]
    return [(int(each["id"]), each["event"], json.loads(each["data"])) for each in fields]


def test_events_tell_each_change_then_the_result_and_go_on_after_the_last_one_seen(serve, mean):
    gate = Gate(mean())

    async def talk(client: Client) -> Any:
        gate.shut()
        location = await client.later()
        await gate.asked(1)
        watching = asyncio.ensure_future(client.raw("GET", f"{location}/events", {}))
        await asyncio.sleep(0.05)
        gate.let()
        _, told = await watching
        rest = await client.raw("GET", f"{location}/events", {"last-event-id": "3"})
        over = await client.raw("GET", f"{location}/events", {"last-event-id": "4"})
        return told, rest, over

    told, (_, rest), (over, _) = serve(gate, talk)
    assert [(number, kind, job["state"]) for number, kind, job in events(told)] == [
        (2, "state", "running"),
        (3, "state", "done"),
        (4, "result", "done"),
    ]
    assert events(told)[-1][2]["result"]["rows"]
    assert [number for number, _, _ in events(rest)] == [4]
    assert over.startswith(b"HTTP/1.1 204 ")


def test_a_waiting_job_that_is_cancelled_never_runs_and_a_running_one_has_no_result(serve, mean):
    gate = Gate(mean())

    async def talk(client: Client) -> Any:
        gate.shut()
        running = await client.later()
        await gate.asked(1)
        waiting = await client.later()
        told = [await client("DELETE", path) for path in (waiting, running)]
        gate.let()
        last = await client.later()
        await client.done(last)
        states = [(await client("GET", path))[1] for path in (waiting, running)]
        return told, states, await client("DELETE", last), await client("GET", f"{running}/result")

    told, states, late, gone = serve(gate, talk, at_once=1)
    assert [(status, job["was"]) for status, job in told] == [(200, "queued"), (200, "running")]
    assert "never runs" in told[0][1]["note"]
    assert "dropped" in told[1][1]["note"]
    assert [(job["state"], "result" in job) for job in states] == [("cancelled", False)] * 2
    assert len(gate.seen) == 2
    assert late[0] == 409
    assert gone[0] == 410


def test_jobs_are_listed_page_by_page_the_newest_first(serve, mean):
    async def talk(client: Client) -> Any:
        made = [await client.later() for _ in range(5)]
        for path in made:
            await client.done(path)
        found, cursor = [], ""
        while cursor is not None:
            _, page = await client("GET", f"/v2/jobs?n=2&cursor={cursor}")
            found += [f"/v2/jobs/{job['id']}" for job in page["jobs"]]
            cursor = page["cursor"]
        wrong = [await client("GET", f"/v2/jobs?{query}") for query in ("state=odd", "cursor=x", "n=-1")]
        return made, found, await client("GET", "/v2/jobs?state=failed"), wrong

    made, found, (_, failed), wrong = serve(mean(), talk)
    assert found == made[::-1]
    assert failed == {"jobs": [], "cursor": None}
    assert [status for status, _ in wrong] == [400] * 3


def test_a_full_queue_says_when_to_come_back(serve, mean):
    gate = Gate(mean())

    async def talk(client: Client) -> Any:
        gate.shut()
        for _ in range(2):
            await client.later()
        top, _ = await client.raw("POST", "/predict", LATER, ROW)
        gate.let()
        return top

    top = serve(gate, talk, queue={"most": 2})
    assert top.startswith(b"HTTP/1.1 503 ")
    assert b"retry-after: 5" in top


def test_what_is_below_a_job_and_what_is_nowhere_is_said(serve, mean):
    async def talk(client: Client) -> Any:
        path = await client.later()
        return [await client("GET", each) for each in (f"{path}/reslt", "/v2/jobs/nobody", "/v2/jobs/nobody/events")]

    answers = serve(mean(), talk)
    assert [status for status, _ in answers] == [404] * 3
    assert "did you mean 'result'" in answers[0][1]["error"]


class Receiver(BaseHTTPRequestHandler):
    """Answers one status after the other, and keeps what it was told."""

    statuses: ClassVar[list[int]]
    got: ClassVar[list[tuple[dict[str, str], bytes]]]

    def do_POST(self) -> None:
        self.got.append((dict(self.headers), self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(self.statuses.pop(0))
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture
def receiver() -> Iterator[type[Receiver]]:
    """A receiver of webhooks on a thread, with its `url`."""
    kind = type("Kind", (Receiver,), {"statuses": [], "got": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        kind.url = f"http://127.0.0.1:{server.server_port}/hooks/x"
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield kind
        server.shutdown()
        thread.join()


def test_a_webhook_is_told_signed_and_until_it_has_heard(serve, mean, receiver):
    receiver.statuses += [500, 200]

    async def talk(client: Client) -> Any:
        location = await client.later(webhook_url=receiver.url)
        while (job := await client.done(location))["webhook"]["state"] == "pending":  # noqa: ASYNC110 as above
            await asyncio.sleep(0.02)
        return job

    courier = partial(Webhooks, first_seconds=0.05)
    job = serve(mean(), talk, secret="s3cret", courier=courier, webhooks=[receiver.url])
    assert job["webhook"] == {**job["webhook"], "state": "delivered", "attempts": 2}
    assert len(receiver.got) == 2
    for headers, body in receiver.got:
        assert json.loads(body)["result"] == job["result"]
        assert headers["webhook-id"] == job["id"]
        assert headers["webhook-signature"] == sign("s3cret", job["id"], int(headers["webhook-timestamp"]), body)


def test_a_webhook_that_is_not_allowed_is_refused_before_anything_is_kept(serve, mean):
    async def talk(client: Client) -> Any:
        asked = [
            await client("POST", "/predict", ROW, **LATER, webhook_url="https://evil.test/hooks"),
            await client("POST", "/predict", {**ROW, "parameters": {"webhook": "https://evil.test/"}}, **LATER),
            await client("POST", "/predict", {**ROW, "parameters": {"webhook": 1}}, **LATER),
        ]
        return asked, await client("GET", "/v2/jobs")

    asked, (_, listed) = serve(mean(), talk, webhooks=["https://good.test/hooks"])
    assert [status for status, _ in asked] == [400] * 3
    assert "allowed beginnings: 'https://good.test/hooks'" in asked[0][1]["error"]
    assert listed["jobs"] == []


def test_an_allowed_webhook_that_is_no_url_is_found_out_at_the_start(tmp_path):
    queue = Sqlite(tmp_path, durability="process")()
    with pytest.raises(SpecError, match="file:///etc"):
        Jobs(queue, webhooks=["file:///etc"])
    queue.close()


def test_draining_lets_go_of_whoever_waits_and_keeps_what_still_comes(serve, mean):
    gate = Gate(mean())

    async def talk(client: Client) -> Any:
        gate.shut()
        location = await client.later()
        await gate.asked(1)
        waiting = asyncio.ensure_future(client("GET", f"{location}?wait=60"))
        watching = asyncio.ensure_future(client.raw("GET", f"{location}/events", {}))
        await asyncio.sleep(0.05)
        gate.jobs.drain()
        _, job = await waiting
        await watching
        late = await client.later()
        gate.let()
        return job, (await client("GET", late))[1]

    job, late = serve(gate, talk)
    assert job["state"] == "running"
    assert late["state"] == "queued"


def test_closing_waits_for_what_runs_and_gives_back_what_is_refused_meanwhile(serve, mean):
    class Two(Gate):
        """The second one is refused, as by a model that is being closed."""

        async def __call__(self, request: Request) -> Response:
            response = await super().__call__(request)
            if len(response.id) == 1:
                raise Overloaded("this model is being closed")
            return response

    gate = Two(mean())

    async def begin(client: Client) -> list[str]:
        gate.shut()
        made = [await client.later(), await client.later(body={**ROW, "id": "x"})]
        await gate.asked(2)
        asyncio.get_running_loop().call_later(0.1, gate.let)
        return made

    first, second = serve(gate, begin)

    async def look(client: Client) -> Any:
        gone = (await client("GET", first))[1]
        return gone, await client.done(second)

    before, after = serve(mean(), look)
    assert before["state"] == "done"
    assert (after["state"], after["attempts"]) == ("done", 1)


def test_after_it_is_closed_callers_are_sent_to_the_next_server(serve, mean):
    gate = Gate(mean())

    async def talk(client: Client) -> Any:
        location = await client.later()
        await client.done(location)
        await gate.jobs.close()
        return [await client("GET", location), await client("POST", "/predict", ROW, **LATER)]

    answers = serve(gate, talk)
    assert [status for status, _ in answers] == [503, 503]


def test_a_stream_that_is_too_long_to_keep_is_an_error(serve, mean, monkeypatch):
    monkeypatch.setattr("roadworthy.app.jobs.MOST_RESULT_BYTES", 100)

    async def pieces():
        while True:
            yield Tensor("probability", "FP32", (1,), [1])

    class Streaming(mean):
        async def __call__(self, request: Request) -> Response:
            return Response(request.id, pieces())

    async def talk(client: Client) -> Any:
        return await client.done(await client.later("/v2/models/mean/infer", TENSORS))

    job = serve(Streaming(), talk)
    assert (job["state"], job["status"]) == ("failed", 500)
    assert "more than the 100 bytes" in job["error"]


def test_what_a_stopped_server_had_not_ended_is_run_by_the_next_one(serve, mean):
    gate = Gate(mean())

    async def begin(client: Client) -> list[str]:
        gate.shut()
        made = [await client.later() for _ in range(3)]
        await gate.asked(1)
        return made

    made = serve(gate, begin, at_once=1)

    async def look(client: Client) -> list[Any]:
        return [await client.done(path) for path in made]

    jobs = serve(mean(), look)
    assert [(job["state"], job["attempts"]) for job in jobs] == [("done", 1)] * 3
