"""What a durable queue of asynchronous jobs is: the words that go in and come out, and the verbs of an open one.

It does not know HTTP routes or models: a job is a request kept as bytes, a result is a reply kept as bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Literal, Protocol

from msgspec import Struct, field

from roadworthy.core.catalog import Catalog
from roadworthy.core.errors import Missing
from roadworthy.core.wire import Priority

# `failed` was answered with an error; `dead` was never answered: every worker that tried it died.
Stage = Literal["queued", "running", "done", "failed", "cancelled", "dead"]
OPEN: frozenset[Stage] = frozenset({"queued", "running"})

# Whether the webhook of a job that ended was told: "" where there is none to tell, or not yet.
Told = Literal["", "pending", "delivered", "given up"]


class Asked(Struct, frozen=True, omit_defaults=True):
    """The request to run: the HTTP call as it came, with the few headers that matter."""

    path: bytes
    query: bytes = b""
    headers: Mapping[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""


class Job(Struct, frozen=True):
    """A request that waits to be run. `at` is Unix seconds; `attempts` counts starts, this one too once it is taken.

    `owner` is who may see it. `key` is the owner's idempotency key ("" for none) and `digest` says what it stands for.
    """

    id: str
    asked: Asked
    at: float
    owner: str = ""
    key: str = ""
    digest: str = ""
    priority: Priority = 3
    webhook: str = ""
    attempts: int = 0


class Ticket(Struct, frozen=True):
    """What became of a put: `id` is the job that stands for the key now, which may be an earlier one.

    "same": that job was put before; "clash": its key stood for something else. Of "full" and "large", which the store
    cannot hold, nothing was kept.
    """

    id: str
    outcome: Literal["new", "same", "clash", "full", "large"]
    state: Stage = "queued"


class Result(Struct, frozen=True, omit_defaults=True):
    """A reply kept as it would have gone out."""

    status: int
    body: bytes = b""
    content_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()


class End(Struct, frozen=True):
    """How attempt number `attempt` of a job ended. With `again_at` it is tried again then, while attempts are left."""

    id: str
    attempt: int
    result: Result
    at: float
    again_at: float | None = None


class Status(Struct, frozen=True):
    """All that is known of a job. `version` grows with each change of state; times are Unix seconds."""

    id: str
    state: Stage
    path: str
    at: float
    owner: str = ""
    priority: int = 3
    started: float | None = None
    finished: float | None = None
    attempts: int = 0
    version: int = 1
    reason: str = ""
    webhook: str = ""
    told: Told = ""
    told_attempts: int = 0
    told_reason: str = ""
    result: Result | None = None


class Page(Struct, frozen=True):
    """Jobs, the newest first and without results. `cursor` asks for the next page; "" where there is none."""

    jobs: tuple[Status, ...]
    cursor: str = ""


class Notice(Struct, frozen=True):
    """A webhook that is due: attempt number `attempt` to tell `url` of the end of a job."""

    id: str
    url: str
    attempt: int


class Sent(Struct, frozen=True):
    """What became of a notice: delivered, or why not and when to try again (None: never).

    `counts` is False where nothing was sent at all, so that it was no attempt.
    """

    id: str
    delivered: bool
    reason: str = ""
    again_at: float | None = None
    counts: bool = True


class OpenQueue(Protocol):
    """Jobs that survive `kill -9`. Every verb blocks; one thread calls them, and any `get`, `versions` and `page`.

    What is written inside `together` is durable when the block ends, and not acknowledged before. Raises a
    RoadworthyError that names the store where that cannot be reached; nothing of the block is acknowledged then.
    """

    def together(self) -> AbstractContextManager[None]:
        """A group: one sync, one round trip or one flush for all that is written in the block."""

    def put(self, jobs: Sequence[Job]) -> list[Ticket]:
        """Keep the jobs, one ticket each. The same owner and key give the earlier job until its retention is over."""

    def take(self, fresh: int, again: int) -> list[Job]:
        """Jobs to start now, by priority, then age: at most `fresh` new ones, and `again` that were started before.

        To be called every second or so, because it also keeps the leases of what was taken and not ended, brings back
        what dead workers held, buries what has used up its attempts, and forgets results past their retention.
        """

    def end(self, ends: Sequence[End]) -> None:
        """Record results. The first result of a job stays; one of a cancelled job is dropped."""

    def cancel(self, id: str) -> Stage:
        """Cancel a job that is open; returns the state it was in. Raises Missing."""

    def get(self, id: str) -> Status:
        """Raises Missing."""

    def versions(self, ids: Sequence[str]) -> Mapping[str, int]:
        """The version of each job that exists."""

    def page(self, owner: str, cursor: str = "", n: int = 50, state: Stage | None = None) -> Page:
        """One owner's jobs. Raises BadRequest for a cursor that is none."""

    def notices(self, n: int) -> list[Notice]:
        """Webhooks that are due, held for a while: they come back when no `sent` follows."""

    def sent(self, sents: Sequence[Sent]) -> None:
        """Record what became of notices."""

    def close(self) -> None:
        """Give back what was taken and has not ended, as if it had not been tried, and let go of the store."""


class Queue(Protocol):
    """Settings that open a queue. `now` is Unix seconds."""

    def __call__(self, now: Callable[[], float] = ...) -> OpenQueue: ...


def missing(id: str) -> Missing:
    """The error for a job that nobody knows."""
    return Missing(f"no job {id!r:.80}; it was never accepted here, or its result was kept no longer")


queue: Catalog[Queue] = Catalog("queue", "roadworthy.serve.queues")
