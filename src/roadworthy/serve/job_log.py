"""The life of jobs as entries of a log, and the fold that makes a table of them: the same log, the same table anywhere.

Who wants a change writes an entry and reads on until the log has it; what the table says then is what was decided, for
of two entries that contradict each other the first counts. It does not know Kafka.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import TypeAlias

import msgspec
from msgspec import Struct

from roadworthy.core.errors import Missing
from roadworthy.serve.job_table import JobTable
from roadworthy.serve.queue import End, Job, Sent


class Put(Struct, frozen=True, tag="put"):
    """A job was accepted, unless its key stands for another."""

    job: Job


class Began(Struct, frozen=True, tag="began"):
    """A worker takes a job."""

    id: str
    worker: str
    at: float


class Ended(Struct, frozen=True, tag="ended"):
    """An attempt ended."""

    end: End


class Lost(Struct, frozen=True, tag="lost"):
    """The worker of a job is dead."""

    id: str
    worker: str
    at: float


class GivenBack(Struct, frozen=True, tag="given back"):
    """A worker stopped before it ended a job."""

    id: str
    worker: str


class Cancelled(Struct, frozen=True, tag="cancelled"):
    """The owner wants it no more."""

    id: str
    at: float


class Noticed(Struct, frozen=True, tag="noticed"):
    """A webhook is being told; nobody else does so before `until`."""

    id: str
    attempt: int
    until: float


class Told(Struct, frozen=True, tag="told"):
    """What became of that."""

    sent: Sent


Entry: TypeAlias = Put | Began | Ended | Lost | GivenBack | Cancelled | Noticed | Told

# What the log holds was accepted: there is room for it.
ALL = 1 << 40

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Entry).decode


def _cancel(table: JobTable, id: str, at: float) -> None:
    # A job whose retention is over is nothing to cancel.
    with suppress(Missing):
        table.cancel(id, at)


def fold(table: JobTable, entry: Entry, place: int, spot: int) -> None:
    """Write one entry into the table, whatever it holds already; it stood at `spot` of the part `place`."""
    match entry:
        case Put(job):
            replace(table, most=ALL).put([job], job.at, place, spot)
        case Began(id, worker, at):
            table.begin(id, worker, at)
        case Ended(end):
            table.end([end])
        case Lost(id, worker, at):
            table.lose(id, worker, at)
        case GivenBack(id, worker):
            table.give_back(id, worker)
        case Cancelled(id, at):
            _cancel(table, id, at)
        case Noticed(id, attempt, until):
            table.noticed(id, attempt, until)
        case Told(sent):
            table.sent([sent])
