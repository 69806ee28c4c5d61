"""A server whose behaviour is written down: latencies, queues, stalls, errors and tokens, to test clients against.

`python -m roadworthy.testing.mock_endpoint --port 8000 --script slow.yaml` starts one. It speaks chat and plain
completions as OpenAI does, Open Inference V2, and `/predict`.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib.util
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import msgspec

from roadworthy.core.errors import MissingExtra, RoadworthyError
from roadworthy.testing import mock_answers
from roadworthy.testing.mock_answers import Answer, object_of
from roadworthy.testing.mock_script import Fault, Script, read_script
from roadworthy.testing.mock_timetable import Timetable
from roadworthy.testing.mock_wire import Asked, Line, Place, chunk, head

JSON, EVENTS = "application/json", "text/event-stream"


class Seen(NamedTuple):
    """What became of one request: when it came (on the loop's clock), beside how many, and how it was dealt with."""

    path: str
    at: float
    in_flight: int
    fault: int | str | None
    wrong: bool


class MockEndpoint:
    """Answers as its script says. `with MockEndpoint(script) as mock` runs it on a thread, at `mock.url`.

    `answer` gives the right answer to a row (or to `{"prompt": text}`) in place of the script's. What chance decides
    about the i-th request depends on the seed and on i alone. `seen` keeps every request that was to be answered.
    """

    def __init__(self, script: Script | None = None, answer: Answer | None = None) -> None:
        self.script, self.answer = script or Script(), answer
        self.seen: list[Seen] = []
        self.in_flight = 0
        self.url = ""
        self._lines: set[Line] = set()
        self._thread: threading.Thread | None = None

    async def listen(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Answer on the running loop; returns the port. The clock of the stalls starts now."""
        self._loop = asyncio.get_running_loop()
        self._table = Timetable(self.script.servers, self.script.stall, self._loop.time())
        self._server = await self._loop.create_server(lambda: Line(self._ask, self._lines), host, port, backlog=4096)
        port = int(self._server.sockets[0].getsockname()[1])
        self.url = f"http://{host}:{port}"
        return port

    def now(self) -> float:
        """The time on the clock of the loop."""
        return self._loop.time()

    def at(self, when: float, act: Callable[[], None]) -> None:
        """Do something at a time, never before it."""
        self._loop.call_at(when, act)

    def serve(self, steps: Sequence[float]) -> list[float]:
        """When each step of a request that arrives now will be done."""
        return self._table.serve(self.now(), steps)

    async def close(self) -> None:
        """Hang up on everybody."""
        self._server.close()
        for line in tuple(self._lines):
            line.reset()
        await asyncio.sleep(0)

    def __enter__(self) -> MockEndpoint:
        ready = threading.Event()
        wrong: list[BaseException] = []
        self._thread = threading.Thread(target=self._run, args=(ready, wrong), daemon=True)
        self._thread.start()
        ready.wait()
        if wrong:
            raise wrong[0]
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        if self._thread is not None:
            self._thread.join()

    def _run(self, ready: threading.Event, wrong: list[BaseException]) -> None:
        async def until_stopped() -> None:
            self._stop = asyncio.Event()
            try:
                await self.listen()
            except BaseException as error:
                wrong.append(error)
                return
            finally:
                ready.set()
            await self._stop.wait()
            await self.close()

        # The loop of asyncio: the clock of uvloop ticks in milliseconds, and its timers fire before their time.
        with asyncio.Runner() as runner:
            runner.run(until_stopped())

    def _ask(self, asked: Asked, place: Place) -> None:
        try:
            self._answer(asked, place)
        except RoadworthyError as refused:
            _whole(place, msgspec.json.encode({"error": {"message": str(refused)}}), refused.status)

    def _answer(self, asked: Asked, place: Place) -> None:
        if asked.method != "POST":
            told = self._about(asked.path)
            body = {"error": f"no path {asked.path!r} here"} if told is None else told
            _whole(place, msgspec.json.encode(body), 404 if told is None else 200)
            return
        work = self._work(asked)
        body = object_of(asked.body)
        rng = Random(f"{self.script.seed}-{len(self.seen)}")
        fault = _fault(self.script.faults, rng.random())
        self.in_flight += 1
        wrong = 0 < self.script.degrade_above < self.in_flight
        seen = Seen(asked.path, self.now(), self.in_flight, fault.kind if fault else None, wrong)
        self.seen.append(seen)
        try:
            work(_Turn(self, place, body, rng, fault, seen))
        except RoadworthyError:
            self.in_flight -= 1
            raise

    def _work(self, asked: Asked) -> Callable[[_Turn], None]:
        """How a path is answered. Raises Missing."""
        if asked.path.endswith("/completions"):
            chat = asked.path.endswith("/chat/completions")
            return lambda turn: turn.complete(chat)
        if asked.path == "/predict":
            return lambda turn: turn.rows(mock_answers.plain)
        if asked.path == f"/v2/models/{self.script.model}/infer":
            return lambda turn: turn.rows(mock_answers.infer)
        raise _Nowhere(f"no path {asked.path!r} here (known: /predict, /v1/chat/completions, /v2/models/*/infer)")

    def _about(self, path: str) -> Any:
        """What a GET is told; None where there is nothing."""
        script = self.script
        inputs = [{"name": name, "datatype": "FP32", "shape": [-1]} for name in script.inputs]
        outputs = [{"name": script.output, "datatype": "FP64", "shape": [-1]}]
        model = {"name": script.model, "versions": ["1"], "platform": "mock", "inputs": inputs, "outputs": outputs}
        told: Mapping[str, Any] = {
            "/v1/models": {"object": "list", "data": [{"id": script.model, "object": "model"}]},
            "/v2": {"name": "mock", "version": "1", "extensions": []},
            "/v2/health/live": {"live": True},
            "/v2/health/ready": {"ready": True},
            f"/v2/models/{script.model}": model,
            f"/v2/models/{script.model}/ready": {"ready": True},
        }
        return told.get(path)


class _Nowhere(RoadworthyError):
    status = 404


class _Turn:
    """One request that is being answered."""

    def __init__(
        self, mock: MockEndpoint, place: Place, asked: dict[str, Any], rng: Random, fault: Fault | None, seen: Seen
    ) -> None:
        self.mock, self.script, self.place, self.asked = mock, mock.script, place, asked
        self.rng, self.fault, self.wrong = rng, fault, seen.wrong
        self.id = f"mock-{len(mock.seen)}"

    def rows(self, say: Callable[[Script, Answer | None, Mapping[str, Any], bool], bytes]) -> None:
        """Rows for rows, after the service time."""
        body = say(self.script, self.mock.answer, self.asked, self.wrong)
        if not self._refused():
            (done,) = self._serve([0.0])
            self.mock.at(self._held(done), partial(self._finish, body))

    def complete(self, chat: bool) -> None:
        """Tokens for a prompt, one by one where they were asked for so."""
        answer = mock_answers.written(self.script, self.mock.answer, self.asked, self.wrong, self.rng)
        if self._refused():
            return
        times = self._serve([token.after for token in answer.tokens] or [0.0])
        if not self.asked.get("stream"):
            body = mock_answers.whole(self.script, self.id, chat, self.asked, answer)
            self.mock.at(self._held(times[-1]), partial(self._finish, body))
            return
        pieces, end = mock_answers.events(self.script, self.id, chat, self.asked, answer)
        if self.fault is not None and isinstance(self.fault.kind, int):
            self.mock.at(times[0], partial(self._finish, b""))
            return
        self._stream(pieces, end, times)

    def _stream(self, pieces: list[bytes], end: bytes, times: list[float]) -> None:
        """Each piece at its time; a fault strikes in the middle."""
        kind, half = self.fault.kind if self.fault else None, len(pieces) // 2
        if kind == "garbled":
            pieces[half:] = [b'{"choices": oops\n\n', *pieces[half:]][: len(pieces) - half]
        if kind == "unfinished":
            end = end.replace(b"data: [DONE]\n\n", b"")
        late = self._held(times[-1]) - times[-1]
        acts: list[tuple[float, Callable[[], None]]] = [(times[0] + late, partial(self.place.write, head(200, EVENTS)))]
        acts += [(at + late, partial(self.place.write, chunk(piece))) for piece, at in zip(pieces, times, strict=False)]
        if kind in ("truncated", "reset"):
            acts[half + 1 :] = [(acts[min(half + 1, len(acts) - 1)][0], partial(self._break, kind))]
        else:
            acts.append((times[-1] + late, partial(self._end, chunk(end) + chunk(b""))))
        self._play(acts, 0)

    def _play(self, acts: Sequence[tuple[float, Callable[[], None]]], number: int) -> None:
        """One act after the other: timers that are due at once would not keep their order."""
        while number < len(acts) and acts[number][0] <= self.mock.now():
            acts[number][1]()
            number += 1
        if number < len(acts):
            self.mock.at(acts[number][0], partial(self._play, acts, number))

    def _refused(self) -> bool:
        """What is said, or not said, before any work: a status of the client's own making, or nothing for ever."""
        if self.fault is None:
            return False
        if self.fault.kind == "silent":
            return True
        if isinstance(self.fault.kind, int) and self.fault.kind < 500:
            self._finish(b"")
            return True
        return False

    def _serve(self, steps: Sequence[float]) -> list[float]:
        """When each step is done, the service time coming before the first."""
        service = self.script.service.draw(self.rng)
        return self.mock.serve([service + steps[0], *steps[1:]])

    def _held(self, at: float) -> float:
        return at + self.rng.random() * self.script.shuffle_seconds

    def _finish(self, body: bytes) -> None:
        """The answer in one piece, or what the fault makes of it."""
        kind = self.fault.kind if self.fault else None
        self.mock.in_flight -= 1
        if isinstance(kind, int):
            after = self.fault.retry_after_seconds if self.fault else 0.0
            more = f"retry-after: {after:g}\r\n" if after else ""
            _whole(self.place, b'{"error":{"message":"the script says so"}}', kind, more)
        elif kind == "reset":
            self.place.reset()
        elif kind in ("truncated", "unfinished"):
            self.place.write(head(200, JSON, len(body)) + body[: len(body) // 2])
            self.place.cut()
        else:
            _whole(self.place, b'{"choices": oops' if kind == "garbled" else body)

    def _end(self, last: bytes) -> None:
        self.mock.in_flight -= 1
        self.place.write(last)
        self.place.end()

    def _break(self, kind: str) -> None:
        self.mock.in_flight -= 1
        self.place.reset() if kind == "reset" else self.place.cut()


def _whole(place: Place, body: bytes, status: int = 200, more: str = "") -> None:
    place.write(head(status, JSON, len(body), more) + body)
    place.end()


def _fault(faults: Sequence[Fault], drawn: float) -> Fault | None:
    for fault in faults:
        drawn -= fault.share
        if drawn < 0:
            return fault
    return None


def _uvloop() -> Callable[[], asyncio.AbstractEventLoop]:
    if importlib.util.find_spec("uvloop") is None:
        raise MissingExtra("--uvloop", "uvloop", "serve")
    import uvloop

    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until interrupted; the address is the first line that is written."""
    parser = argparse.ArgumentParser(prog="python -m roadworthy.testing.mock_endpoint", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000, help="0 lets the system choose (8000)")
    parser.add_argument("--script", type=Path, default=None, metavar="FILE", help="what to do, in YAML or JSON")
    parser.add_argument("--uvloop", action="store_true", help="more requests a second, times true to 1 ms only")
    args = parser.parse_args(argv)

    async def serve(mock: MockEndpoint) -> None:
        await mock.listen(args.host, args.port)
        sys.stdout.write(f"{mock.url}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()

    try:
        mock = MockEndpoint(read_script(args.script) if args.script else None)
        with asyncio.Runner(loop_factory=_uvloop() if args.uvloop else None) as runner:
            runner.run(serve(mock))
    except (RoadworthyError, OSError) as refused:
        sys.stderr.write(f"mock_endpoint: {refused}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
