"""The table of jobs in one SQLite file: what each verb of a queue reads and writes. It opens and commits nothing."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from roadworthy.core.errors import BadRequest
from roadworthy.serve.queue import OPEN, Asked, End, Job, Notice, Page, Result, Sent, Stage, Status, Ticket, missing
from roadworthy.store.files import StoreError

# "RwJq": a file of some other program is refused, not filled with our tables.
APPLICATION_ID = 0x52774A71
VERSION = 1

SCHEMA = (
    # Bodies stand aside: a change of state would otherwise write a request of megabytes anew.
    """CREATE TABLE jobs (seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, owner TEXT NOT NULL, key TEXT NOT NULL,
       digest TEXT NOT NULL, state TEXT NOT NULL, priority INTEGER NOT NULL, path TEXT NOT NULL, at REAL NOT NULL,
       due REAL NOT NULL, started REAL, finished REAL, attempts INTEGER NOT NULL DEFAULT 0,
       version INTEGER NOT NULL DEFAULT 1, worker TEXT NOT NULL DEFAULT '', reason TEXT NOT NULL DEFAULT '',
       webhook TEXT NOT NULL, told TEXT NOT NULL DEFAULT '', told_attempts INTEGER NOT NULL DEFAULT 0,
       told_due REAL, told_reason TEXT NOT NULL DEFAULT '', place INTEGER NOT NULL, spot INTEGER NOT NULL)""",
    "CREATE TABLE bodies (seq INTEGER PRIMARY KEY, asked BLOB NOT NULL)",
    "CREATE TABLE results (seq INTEGER PRIMARY KEY, result BLOB NOT NULL)",
    "CREATE TABLE workers (name TEXT PRIMARY KEY, until REAL NOT NULL) WITHOUT ROWID",
    "CREATE UNIQUE INDEX jobs_key ON jobs (owner, key) WHERE key != ''",
    "CREATE INDEX jobs_ready ON jobs (attempts > 0, priority, at, seq) WHERE state = 'queued'",
    "CREATE INDEX jobs_running ON jobs (worker) WHERE state = 'running'",
    "CREATE INDEX jobs_ended ON jobs (finished) WHERE finished IS NOT NULL",
    "CREATE INDEX jobs_untold ON jobs (told_due) WHERE told = 'pending'",
    "CREATE INDEX jobs_owner ON jobs (owner, at, seq)",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)

_STATUS = """jobs.id, state, path, at, owner, priority, started, finished, attempts, version, reason, webhook, told,
             told_attempts, told_reason"""

# A delivery that nobody reports on is tried again after this long.
NOTICE_SECONDS = 60.0

# How many old jobs are forgotten at a time, so that nobody waits long for that.
MOST_FORGOTTEN = 500

_asked = msgspec.msgpack.Decoder(Asked).decode
_result = msgspec.msgpack.Decoder(Result).decode
_encode = msgspec.msgpack.Encoder().encode


@dataclass(frozen=True)
class JobTable:
    """The verbs over one connection, inside the caller's transaction.

    `most` bounds the open jobs, `attempts` the starts of one; results are kept for `keep_seconds`. `place` is for a
    queue whose jobs are divided among workers: the part in which a job stands.
    """

    connection: sqlite3.Connection
    most: int = 10_000
    attempts: int = 5
    keep_seconds: float = 86_400.0

    def put(self, jobs: Sequence[Job], now: float, place: int = 0, spot: int = 0) -> list[Ticket]:
        """See `OpenQueue.put`."""
        room = self.room()
        tickets = []
        for job in jobs:
            ticket = self.known(job, now) if job.key or room <= 0 else None
            if ticket is None:
                ticket = self._insert(job, place, spot) if room > 0 else Ticket(job.id, "full")
                room -= ticket.outcome == "new"
            tickets.append(ticket)
        return tickets

    def ready(self, fresh: int, again: int, now: float, places: Collection[int] = (0,)) -> list[str]:
        """Jobs that may start: the due ones, by priority and then age, those that were never tried first."""
        sql = """SELECT id FROM jobs WHERE state = 'queued' AND (attempts > 0) = ? AND due <= ?
                 AND place IN (SELECT value FROM json_each(?)) ORDER BY priority, at, seq LIMIT ?"""
        listed = msgspec.json.encode(list(places)).decode()
        asked = [(tried, now, listed, n) for tried, n in ((0, fresh), (1, again)) if n > 0]
        return [row[0] for given in asked for row in self.connection.execute(sql, given).fetchall()]

    def begin(self, id: str, worker: str, at: float) -> Job | None:
        """Start a job; None where it does not wait any more."""
        cursor = self.connection.execute(
            """UPDATE jobs SET state = 'running', started = ?, attempts = attempts + 1, version = version + 1,
               worker = ? WHERE id = ? AND state = 'queued'""",
            (at, worker, id),
        )
        return self.job(id) if cursor.rowcount else None

    def job(self, id: str) -> Job | None:
        """A job as it was put; None for one whose body is kept no longer."""
        row = self.connection.execute(
            """SELECT asked, at, owner, key, digest, priority, webhook, attempts FROM jobs JOIN bodies USING (seq)
               WHERE id = ?""",
            (id,),
        ).fetchone()
        return None if row is None else Job(id, _asked(row[0]), *row[1:])

    def end(self, ends: Iterable[End]) -> None:
        """See `OpenQueue.end`."""
        for end in ends:
            if end.again_at is None or end.attempt >= self.attempts:
                self._finish(end)
            else:
                self.connection.execute(
                    """UPDATE jobs SET state = 'queued', due = ?, version = version + 1, worker = '', reason = ?
                       WHERE id = ? AND state = 'running' AND attempts = ?""",
                    (end.again_at, f"attempt {end.attempt} was answered {end.result.status}", end.id, end.attempt),
                )

    def cancel(self, id: str, now: float) -> Stage:
        """See `OpenQueue.cancel`."""
        state = self.state(id)
        if state in OPEN:
            seq = self.connection.execute("SELECT seq FROM jobs WHERE id = ?", (id,)).fetchone()[0]
            self._close_job(seq, "cancelled", now, "cancelled by its owner", keep_body=False)
        return state

    def place(self, id: str) -> int:
        """The part in which a job stands. Raises Missing."""
        row = self.connection.execute("SELECT place FROM jobs WHERE id = ?", (id,)).fetchone()
        if row is None:
            raise missing(id)
        return int(row[0])

    def running(self) -> list[tuple[str, str, int]]:
        """Each job that runs, with its worker and its place."""
        return self.connection.execute("SELECT id, worker, place FROM jobs WHERE state = 'running'").fetchall()

    def first_spots(self) -> dict[int, int]:
        """The spot of the first job of each place that is open."""
        sql = "SELECT place, min(spot) FROM jobs WHERE state = {!r} GROUP BY place"
        queued, running = (dict(self.connection.execute(sql.format(state))) for state in ("queued", "running"))
        return {place: min(queued.get(place, spot), spot) for place, spot in {**queued, **running}.items()}

    def state(self, id: str) -> Stage:
        """Raises Missing."""
        row = self.connection.execute("SELECT state FROM jobs WHERE id = ?", (id,)).fetchone()
        if row is None:
            raise missing(id)
        found: Stage = row[0]
        return found

    def get(self, id: str) -> Status:
        """See `OpenQueue.get`."""
        row = self.connection.execute(
            f"SELECT {_STATUS}, result FROM jobs LEFT JOIN results USING (seq) WHERE id = ?", (id,)
        ).fetchone()
        if row is None:
            raise missing(id)
        return msgspec.structs.replace(Status(*row[:-1]), result=None if row[-1] is None else _result(row[-1]))

    def versions(self, ids: Sequence[str]) -> Mapping[str, int]:
        """See `OpenQueue.versions`."""
        listed = msgspec.json.encode(list(ids)).decode()
        sql = "SELECT id, version FROM jobs WHERE id IN (SELECT value FROM json_each(?))"
        return dict(self.connection.execute(sql, (listed,)))

    def page(self, owner: str, cursor: str, n: int, state: Stage | None) -> Page:
        """See `OpenQueue.page`."""
        rows = self.connection.execute(
            f"""SELECT seq, {_STATUS} FROM jobs WHERE owner = ? AND (at, seq) < (?, ?) AND (? IS NULL OR state = ?)
                ORDER BY at DESC, seq DESC LIMIT ?""",
            (owner, *read_cursor(cursor), state, state, n + 1),
        ).fetchall()
        found = tuple(Status(*row[1:]) for row in rows[:n])
        return Page(found, f"{found[-1].at!r}_{rows[n - 1][0]}" if len(rows) > n else "")

    def notices(self, n: int, now: float) -> list[Notice]:
        """See `OpenQueue.notices`."""
        due = self.due_notices(n, now)
        for notice in due:
            self.noticed(notice.id, notice.attempt, now + NOTICE_SECONDS)
        return due

    def due_notices(self, n: int, now: float, places: Collection[int] = (0,)) -> list[Notice]:
        """The notices that may be sent, those that are due longest first."""
        rows = self.connection.execute(
            """SELECT id, webhook, told_attempts + 1 FROM jobs WHERE told = 'pending' AND told_due <= ?
               AND place IN (SELECT value FROM json_each(?)) ORDER BY told_due LIMIT ?""",
            (now, msgspec.json.encode(list(places)).decode(), n),
        )
        return [Notice(*row) for row in rows]

    def noticed(self, id: str, attempt: int, until: float) -> None:
        """A notice is on its way, and due again then, should nobody report on it."""
        self.connection.execute(
            "UPDATE jobs SET told_due = ?, told_attempts = ? WHERE id = ? AND told = 'pending' AND told_attempts = ?",
            (until, attempt, id, attempt - 1),
        )

    def sent(self, sents: Iterable[Sent]) -> None:
        """See `OpenQueue.sent`."""
        for sent in sents:
            told = "delivered" if sent.delivered else "given up" if sent.again_at is None else "pending"
            self.connection.execute(
                """UPDATE jobs SET told = ?, told_due = ?, told_reason = ?, told_attempts = told_attempts - ?
                   WHERE id = ? AND told = 'pending'""",
                (told, sent.again_at, sent.reason, not sent.counts, sent.id),
            )

    def hold(self, worker: str, until: float) -> None:
        """Say that a worker lives; its jobs are its own until then."""
        sql = "INSERT INTO workers VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET until = excluded.until"
        self.connection.execute(sql, (worker, until))

    def holders(self) -> dict[str, float]:
        """The workers that hold jobs, each with the time until which its lease runs."""
        return dict(
            self.connection.execute(
                """SELECT DISTINCT worker, coalesce(until, 0) FROM jobs LEFT JOIN workers ON name = worker
                   WHERE state = 'running'"""
            )
        )

    def held_by(self, worker: str) -> list[str]:
        """The jobs that a worker holds."""
        sql = "SELECT id FROM jobs WHERE state = 'running' AND worker = ?"
        return [row[0] for row in self.connection.execute(sql, (worker,))]

    def lose(self, id: str, worker: str, at: float) -> None:
        """Its worker died: the job waits again, or is buried where it has used up its attempts."""
        row = self.connection.execute(
            "SELECT seq, attempts FROM jobs WHERE id = ? AND state = 'running' AND worker = ?", (id, worker)
        ).fetchone()
        if row is None:
            return
        seq, attempts = row
        if attempts >= self.attempts:
            reason = f"{attempts} attempts were made, and the last ended with the death of its worker"
            self._close_job(seq, "dead", at, reason, keep_body=True)
            return
        self.connection.execute(
            "UPDATE jobs SET state = 'queued', due = 0, version = version + 1, worker = '', reason = ? WHERE seq = ?",
            (f"the worker of attempt {attempts} died", seq),
        )

    def give_back(self, id: str, worker: str) -> None:
        """A job waits again as if its worker had not tried it."""
        self.connection.execute(
            """UPDATE jobs SET state = 'queued', due = 0, version = version + 1, worker = '', attempts = attempts - 1
               WHERE id = ? AND state = 'running' AND worker = ?""",
            (id, worker),
        )

    def forget(self, now: float) -> None:
        """Delete some of what ended longer ago than results are kept."""
        before = now - self.keep_seconds
        self.connection.execute("DELETE FROM workers WHERE until < ?", (before,))
        sql = "SELECT seq FROM jobs WHERE finished IS NOT NULL AND finished < ? ORDER BY finished LIMIT ?"
        self._delete([row[0] for row in self.connection.execute(sql, (before, MOST_FORGOTTEN))])

    def room(self) -> int:
        """How many more jobs may be open."""
        # Counted no further than it matters: a long queue would cost every caller.
        sql = """SELECT (SELECT count(*) FROM (SELECT 1 FROM jobs WHERE state = 'queued' LIMIT ?))
                      + (SELECT count(*) FROM jobs WHERE state = 'running')"""
        return self.most - int(self.connection.execute(sql, (min(self.most, 2**62),)).fetchone()[0])

    def known(self, job: Job, now: float) -> Ticket | None:
        """The job that has this one's key, or its id, unless its retention is over."""
        row = self.connection.execute(
            """SELECT seq, id, digest, state, finished FROM jobs WHERE id = ?
               UNION ALL SELECT seq, id, digest, state, finished FROM jobs WHERE owner = ? AND key = ? AND key != ''""",
            (job.id, job.owner, job.key),
        ).fetchone()
        if row is None:
            return None
        seq, id, digest, state, finished = row
        if finished is not None and finished < now - self.keep_seconds:
            self._delete([seq])
            return None
        return Ticket(id, "same" if digest == job.digest else "clash", state)

    def _insert(self, job: Job, place: int, spot: int) -> Ticket:
        where = (job.asked.path.decode("utf-8", "replace"), place, spot)
        cursor = self.connection.execute(
            """INSERT INTO jobs (id, owner, key, digest, priority, at, attempts, webhook, path, place, spot, state, due)
               VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'queued', 0) ON CONFLICT DO NOTHING""",
            (job.id, job.owner, job.key, job.digest, job.priority, job.at, job.attempts, job.webhook, *where),
        )
        if not cursor.rowcount:
            # Without a key the look-up was left out: only an id that is put again gets here.
            return Ticket(job.id, "same")
        self.connection.execute("INSERT INTO bodies VALUES (?, ?)", (cursor.lastrowid, _encode(job.asked)))
        return Ticket(job.id, "new")

    def _finish(self, end: End) -> None:
        row = self.connection.execute(
            "SELECT seq FROM jobs WHERE id = ? AND state IN ('queued', 'running')", (end.id,)
        ).fetchone()
        if row is None:
            return
        good = end.result.status < 400
        reason = "" if good else f"answered {end.result.status}"
        self._close_job(row[0], "done" if good else "failed", end.at, reason, keep_body=False)
        self.connection.execute("INSERT INTO results VALUES (?, ?)", (row[0], _encode(end.result)))

    def _close_job(self, seq: int, state: Stage, at: float, reason: str, keep_body: bool) -> None:
        self.connection.execute(
            """UPDATE jobs SET state = ?, finished = ?, version = version + 1, worker = '', reason = ?, told_due = ?,
               told = CASE webhook WHEN '' THEN '' ELSE 'pending' END WHERE seq = ?""",
            (state, at, reason, at, seq),
        )
        if not keep_body:
            self.connection.execute("DELETE FROM bodies WHERE seq = ?", (seq,))

    def _delete(self, seqs: Sequence[int]) -> None:
        given = [(seq,) for seq in seqs]
        for table in ("jobs", "bodies", "results"):
            self.connection.executemany(f"DELETE FROM {table} WHERE seq = ?", given)


def read_cursor(cursor: str) -> tuple[float, int]:
    """The time and the number in the cursor of a page; the largest there are for the first page."""
    if not cursor:
        return math.inf, 0
    at, _, seq = cursor.partition("_")
    try:
        return float(at), int(seq)
    except ValueError:
        raise BadRequest(f"`cursor` is {cursor!r:.60}; allowed: the `cursor` of the page before, or none") from None


def prepare(connection: sqlite3.Connection, file: Path) -> None:
    """Make the tables in a new file; refuse one that is not ours or that a newer version wrote."""
    connection.execute("BEGIN IMMEDIATE")
    if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        for statement in SCHEMA:
            connection.execute(statement)
    connection.execute("COMMIT")
    owner = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if owner != APPLICATION_ID:
        raise StoreError(f"`{file}` is a SQLite database but not a queue of jobs; move it aside")
    if version > VERSION:
        raise StoreError(f"`{file}` has version {version}, this Roadworthy reads up to {VERSION}: upgrade it")
