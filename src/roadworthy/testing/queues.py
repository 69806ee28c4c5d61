"""The laws of queues: what was put is kept, run in order, ended once, and comes back when its worker dies."""

from __future__ import annotations

import gc
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from roadworthy.core.errors import BadRequest, Missing
from roadworthy.serve.queue import Asked, End, Job, OpenQueue, Queue, Result, Sent, Status, Ticket

# A queue over a network may take a while to see that a worker is gone.
PATIENCE_SECONDS = 30.0

_numbers = count()


def check_queue(leaf: type, folder: Path) -> None:
    """Run every law on the example of a queue class.

    The class gives one: `@classmethod @contextmanager def example(cls, folder: Path) -> Iterator[Queue]`, with room for
    20 open jobs, 3 attempts and a short lease. Raises AssertionError with the law that is broken.
    """
    example = getattr(leaf, "example", None)
    assert example is not None, (
        f"{leaf.__name__} has no example to check: add `@classmethod @contextmanager def example(cls, folder: Path)` "
        f"that yields the queue with `most=20, attempts=3` and a short lease, on a store of its own"
    )
    with example(folder) as settings:
        queues = [settings()]
        try:
            for check in LAWS:
                check(queues[0])
                _finish_all(queues[0])
            check_restart(queues, settings)
            check_death(queues, settings)
        finally:
            queues[0].close()


def check_life(queue: OpenQueue) -> None:
    """A job comes out as it went in, and the first result of it stays."""
    job = _job(asked=Asked(b"/predict", b"a=b", {b"content-type": b"x"}, b"\x00\xff body"), webhook="")
    assert put(queue, job) == [Ticket(job.id, "new")], f"{queue!r} does not take a new job"
    _is(queue, job, "queued", attempts=0)
    (taken,) = _take(queue, 1)
    assert _same(taken, job), f"{queue!r} hands out {taken!r} for {job!r}"
    assert taken.attempts == 1, f"{queue!r} counts {taken.attempts} attempts at the first"
    _is(queue, job, "running", attempts=1)
    first = Result(200, b"\x00\xff first", b"x/y", ((b"a", b"b"),))
    end(queue, taken, first)
    assert _is(queue, job, "done").result == first, f"{queue!r} changes a result: {queue.get(job.id).result!r}"
    end(queue, taken, Result(200, b"second"))
    assert _is(queue, job, "done").result == first, f"{queue!r} lets a second result replace the first"
    assert not _look(queue), f"{queue!r} hands out a job that is done"


def check_order(queue: OpenQueue) -> None:
    """By priority, then age; no job twice."""
    jobs = [_job(priority=priority) for priority in (3, 2, 3, 1, 2, 1)]
    put(queue, *jobs)
    taken = [job.id for _ in jobs for job in _take(queue, 1)]
    # One at a time, for parts of a queue may be read side by side.
    expected = [jobs[k].id for k in (3, 5, 1, 4, 0, 2)]
    assert sorted(taken) == sorted(expected), f"{queue!r} was given {expected} and hands out {taken}"
    assert taken == expected, f"{queue!r} does not go by priority and age: {taken} instead of {expected}"


def check_errors(queue: OpenQueue) -> None:
    """A reply that refuses makes a failed job, with its reply."""
    job = _job()
    put(queue, job)
    end(queue, _take(queue, 1)[0], Result(400, b"no"))
    status = _is(queue, job, "failed")
    assert status.result == Result(400, b"no"), f"{queue!r} does not keep the reply of a failed job: {status!r}"


def check_keys(queue: OpenQueue) -> None:
    """A key stands for one job of its owner, also when that is done; with another request it clashes."""
    first = _job(key="k", digest="d", owner="me")
    put(queue, first)
    for state in ("queued", "running", "done"):
        if state == "running":
            (taken,) = _take(queue, 1)
        if state == "done":
            end(queue, taken)
        (same,) = put(queue, _job(key="k", digest="d", owner="me"))
        assert same == Ticket(first.id, "same", state), f"{queue!r} answers {same!r} to the key of a {state} job"
        (clash,) = put(queue, _job(key="k", digest="e", owner="me"))
        assert (clash.id, clash.outcome) == (first.id, "clash"), f"{queue!r} answers {clash!r} to a key used otherwise"
    twins = [_job(key="twin", digest="d"), _job(key="twin", digest="d")]
    outcomes = [(ticket.id, ticket.outcome) for ticket in put(queue, *twins)]
    kept = twins[0].id
    assert outcomes == [(kept, "new"), (kept, "same")], f"{queue!r} takes one key twice in a group: {outcomes}"
    (other,) = put(queue, _job(key="k", digest="e", owner="you"))
    assert other.outcome == "new", f"{queue!r} mixes up the keys of two owners: {other!r}"


def check_retries(queue: OpenQueue) -> None:
    """An attempt may be repeated, as one that was tried before, until there are no more."""
    job = _job()
    put(queue, job)
    (taken,) = _take(queue, 1)
    for attempt in (2, 3):
        end(queue, taken, Result(503, b"later"), again_at=time.time() - 1)
        _is(queue, job, "queued", attempts=attempt - 1)
        assert not _look(queue, again=0), f"{queue!r} hands out as new a job that was tried before"
        (taken,) = _take(queue, 1, fresh=0)
        assert taken.attempts == attempt, f"{queue!r} counts {taken.attempts} attempts at number {attempt}"
    end(queue, taken, Result(503, b"never"), again_at=time.time() - 1)
    assert _is(queue, job, "failed").result == Result(503, b"never"), f"{queue!r} loses the last refusal"
    patient = _job()
    put(queue, patient)
    end(queue, _take(queue, 1)[0], Result(503), again_at=time.time() + 3600)
    assert not _look(queue), f"{queue!r} tries a job again before its time"
    with queue.together():
        queue.cancel(patient.id)


def check_cancelling(queue: OpenQueue) -> None:
    """What waits never runs, what runs ends without a result, what has ended stays."""
    waiting, running, done = _job(), _job(), _job()
    put(queue, running, done)
    taken = _take(queue, 2)
    end(queue, next(job for job in taken if job.id == done.id))
    put(queue, waiting)
    with queue.together():
        found = [queue.cancel(job.id) for job in (waiting, running, done)]
    assert found == ["queued", "running", "done"], f"{queue!r} says that it cancelled {found}"
    assert not _look(queue), f"{queue!r} runs a cancelled job"
    end(queue, next(job for job in taken if job.id == running.id))
    for job in (waiting, running):
        assert _is(queue, job, "cancelled").result is None, f"{queue!r} keeps the result of a cancelled job"
    _is(queue, done, "done")
    _raises(queue, Missing, lambda: queue.cancel("nobody"))
    _raises(queue, Missing, lambda: queue.get("nobody"))


def check_bound(queue: OpenQueue) -> None:
    """There is room for 20 open jobs, and a job that ends makes room."""
    jobs = [_job(key="bound" if k == 0 else "", digest="d") for k in range(20)]
    outcomes = {ticket.outcome for ticket in put(queue, *jobs)}
    assert outcomes == {"new"}, f"{queue!r} has no room for 20 jobs: {outcomes}"
    late = _job()
    assert put(queue, late) == [Ticket(late.id, "full")], f"{queue!r} takes job number 21 of 20"
    _raises(queue, Missing, lambda: queue.get(late.id))
    (same,) = put(queue, _job(key="bound", digest="d"))
    assert same.outcome == "same", f"{queue!r} answers {same!r} to a known key when it is full"
    end(queue, _take(queue, 1)[0])
    assert put(queue, late) == [Ticket(late.id, "new")], f"{queue!r} stays full when a job ends"


def check_versions(queue: OpenQueue) -> None:
    """The version grows with each change of state, and `versions` says the same as `get`."""
    job = _job()
    put(queue, job)
    seen = [queue.get(job.id).version]
    (taken,) = _take(queue, 1)
    seen.append(queue.get(job.id).version)
    end(queue, taken)
    seen.append(queue.get(job.id).version)
    assert seen == sorted(set(seen)), f"{queue!r} gives the versions {seen} to three states"
    listed = dict(queue.versions([job.id, "nobody"]))
    assert listed == {job.id: seen[-1]}, f"{queue!r} says the versions {listed}, and {seen[-1]} in `get`"


def check_pages(queue: OpenQueue) -> None:
    """The jobs of one owner, each once, the newest first, of one state where one is asked for."""
    jobs = [_job(owner="pages") for _ in range(5)]
    put(queue, *jobs, _job(owner="somebody else"))
    with queue.together():
        queue.cancel(jobs[1].id)
    found, cursor = [], ""
    while True:
        page = queue.page("pages", cursor, 2)
        found += [status.id for status in page.jobs]
        cursor = page.cursor
        if not cursor:
            break
    assert found == [job.id for job in reversed(jobs)], f"{queue!r} lists {found}"
    cancelled = [status.id for status in queue.page("pages", state="cancelled").jobs]
    assert cancelled == [jobs[1].id], f"{queue!r} lists {cancelled} as cancelled"
    assert not queue.page("nobody").jobs, f"{queue!r} lists the jobs of others"
    _raises(queue, BadRequest, lambda: queue.page("pages", "x"))


def check_webhooks(queue: OpenQueue) -> None:
    """A notice is due when the job ends, once at a time, until it is delivered or given up."""
    told, lost = _job(webhook="http://a/"), _job(webhook="http://b/")
    put(queue, told, lost, _job())
    assert not _notices(queue), f"{queue!r} tells of jobs that have not ended"
    for job in _take(queue, 3):
        end(queue, job)
    due = {notice.id: notice for notice in _notices(queue)}
    assert set(due) == {told.id, lost.id}, f"{queue!r} tells {set(due)} instead of the two with a webhook"
    assert (due[told.id].url, due[told.id].attempt) == ("http://a/", 1), f"{queue!r} tells {due[told.id]!r}"
    assert not _notices(queue), f"{queue!r} hands out a notice that is on its way"
    with queue.together():
        queue.sent([Sent(told.id, False, "not yet", time.time() - 1), Sent(lost.id, False, "gone")])
    (again,) = _notices(queue)
    assert (again.id, again.attempt) == (told.id, 2), f"{queue!r} tries {again!r} again"
    assert queue.get(told.id).told_reason == "not yet", f"{queue!r} forgets why a notice failed"
    with queue.together():
        queue.sent([Sent(told.id, True)])
    assert not _notices(queue), f"{queue!r} tells again what was told"
    words = [queue.get(job.id).told for job in (told, lost)]
    assert words == ["delivered", "given up"], f"{queue!r} says {words} of its two webhooks"


def check_a_failed_group(queue: OpenQueue) -> None:
    """What was taken in a group that failed was not taken: it comes back."""
    job = _job()
    put(queue, job)
    with suppress(ZeroDivisionError), queue.together():
        until = time.monotonic() + PATIENCE_SECONDS
        while not queue.take(1, 1) and time.monotonic() < until:
            time.sleep(0.02)
        raise ZeroDivisionError
    (taken,) = _take(queue, 1)
    assert taken.id == job.id, f"{queue!r} loses a job that was taken in a group that failed"


def check_other_threads(queue: OpenQueue) -> None:
    """Whoever asks is not held up by who writes."""
    job = _job()
    put(queue, job)
    found: list[str] = []
    with queue.together():
        queue.put([_job()])
        reader = threading.Thread(target=lambda: found.append(queue.get(job.id).state), daemon=True)
        reader.start()
        reader.join(PATIENCE_SECONDS)
    assert found == ["queued"], f"{queue!r} cannot be read by another thread while a group is written"


def check_restart(queues: list[OpenQueue], settings: Queue) -> None:
    """What waits, runs or is done when a queue is closed is there when it is opened again (`queues` holds it)."""
    waiting, running, done = _job(), _job(), _job()
    put(queues[0], done)
    end(queues[0], _take(queues[0], 1)[0], Result(200, b"kept"))
    put(queues[0], running)
    _take(queues[0], 1)
    put(queues[0], waiting)
    queues[0].close()
    queue = queues[0] = settings()
    assert _is(queue, done, "done").result == Result(200, b"kept"), f"{queue!r} loses results in a restart"
    taken = {job.id: job.attempts for job in _take(queue, 2, again=0)}
    expected = {waiting.id: 1, running.id: 1}
    assert taken == expected, f"{queue!r} has the attempts {taken} after a restart, not {expected}"
    _finish_all(queue)


def check_death(queues: list[OpenQueue], settings: Queue) -> None:
    """What a dead worker held comes back as tried before, and is dead after its last attempt."""
    job, poison, told = _job(), _job(attempts=2), _job(attempts=2, webhook="http://a/")
    put(queues[0], job, poison, told)
    _take(queues[0], 3, again=3)
    with warnings.catch_warnings():  # nobody closes it: it is gone as its process would be
        warnings.simplefilter("ignore", ResourceWarning)
        queues.clear()
        gc.collect()
    queues.append(settings())
    queue = queues[0]
    (taken,) = _take(queue, 1, fresh=0)
    assert (taken.id, taken.attempts) == (job.id, 2), f"{queue!r} brings back {taken!r}"
    end(queue, msgspec.structs.replace(job, attempts=1), again_at=0.0)
    # An attempt that is over wants to be repeated: the one that runs goes on.
    _is(queue, job, "running", attempts=2)
    end(queue, taken)
    for lost in (poison, told):
        _until(partial(_is_dead, queue, lost))
        status = _is(queue, lost, "dead")
        assert "3 attempts" in status.reason, f"{queue!r} says {status.reason!r} of a job that died"
    assert [notice.id for notice in _notices(queue)] == [told.id], f"{queue!r} does not tell of a dead job"


LAWS: Sequence[Callable[[OpenQueue], None]] = (
    check_life,
    check_order,
    check_errors,
    check_keys,
    check_retries,
    check_cancelling,
    check_bound,
    check_versions,
    check_pages,
    check_webhooks,
    check_a_failed_group,
    check_other_threads,
)


def put(queue: OpenQueue, *jobs: Job) -> list[Ticket]:
    """Put jobs in a group of their own."""
    with queue.together():
        return queue.put(jobs)


def end(queue: OpenQueue, job: Job, result: Result | None = None, again_at: float | None = None) -> None:
    """End the attempt of a job that was taken, in a group of its own."""
    with queue.together():
        queue.end([End(job.id, job.attempts, result or Result(200), time.time(), again_at)])


def _job(**more: Any) -> Job:
    asked = Asked(b"/predict", body=b"{}")
    return Job(**{"id": f"job-{next(_numbers):06}", "asked": asked, "at": time.time(), **more})


def _same(taken: Job, job: Job) -> bool:
    return (taken.id, taken.asked, taken.at, taken.priority) == (job.id, job.asked, job.at, job.priority)


def _look(queue: OpenQueue, fresh: int = 100, again: int = 100) -> list[Job]:
    """What it hands out now."""
    with queue.together():
        return queue.take(fresh, again)


def _take(queue: OpenQueue, n: int, fresh: int | None = None, again: int = 1) -> list[Job]:
    """The next n jobs, waited for."""
    taken: list[Job] = []
    until = time.monotonic() + PATIENCE_SECONDS
    while len(taken) < n and time.monotonic() < until:
        taken += _look(queue, n - len(taken) if fresh is None else fresh, again)
    assert len(taken) == n, f"{queue!r} hands out {taken!r}, and not {n} jobs"
    return taken


def _notices(queue: OpenQueue) -> list[Any]:
    with queue.together():
        return queue.notices(10)


def _is(queue: OpenQueue, job: Job, state: str, attempts: int | None = None) -> Status:
    status = queue.get(job.id)
    assert status.state == state, f"{queue!r} has {status!r}, which should be {state}"
    assert attempts in (None, status.attempts), f"{queue!r} counts {status.attempts} attempts, not {attempts}"
    return status


def _finish_all(queue: OpenQueue) -> None:
    """Cancel whatever a law left open, so that the next begins with an empty queue."""
    ids = [f"job-{number:06}" for number in range(next(_numbers))]
    for id in queue.versions(ids):
        with queue.together():
            queue.cancel(id)


def _is_dead(queue: OpenQueue, job: Job) -> bool:
    return not _look(queue) and queue.get(job.id).state == "dead"


def _until(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not condition() and time.monotonic() < until:
        time.sleep(0.05)


def _raises(queue: OpenQueue, kind: type[Exception], act: Callable[[], object]) -> None:
    try:
        with queue.together():
            act()
    except kind:
        return
    raise AssertionError(f"{queue!r} should raise {kind.__name__}")
