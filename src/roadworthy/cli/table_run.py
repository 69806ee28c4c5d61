"""Opens a project's members, has a table answered by a cascade of two of them, and sums up what became of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from roadworthy.app.mixture import member_alone
from roadworthy.cli.asked_member import AskedMember
from roadworthy.cli.cascade_telling import TableAnswered, verdicts_of
from roadworthy.cli.cascading import members_of
from roadworthy.cli.flows import with_digests
from roadworthy.cli.score_parts import Parts, Plan
from roadworthy.cli.score_tables import bytes_of, chunks, count_rows, format_of
from roadworthy.cli.scoring import IN_FLIGHT, Job
from roadworthy.cli.table_cascade import ADDED, TableCascade
from roadworthy.core.errors import BadData, BadRequest, SpecError, unknown
from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Spec
from roadworthy.route.cascades.fits import Target
from roadworthy.route.cascades.tally import shared_out

# Rows that the cheap member is done with, rows in all where that is known, and answers of the last one bought so far.
Tell = Callable[[int, int | None, int], None]


class Promise(NamedTuple):
    """What is promised of a table, which is one of `workers` that are answered apart; `cheap` names who answers first.

    `seed` decides which rows are drawn.
    """

    target: Target
    cheap: str = ""
    workers: int = 1
    seed: int = 0


@dataclass(frozen=True)
class Pair:
    """The two members that answer."""

    cheap: AskedMember
    last: AskedMember


def answer_table(spec: Spec, job: Job, promise: Promise, resume: bool, tell: Tell) -> TableAnswered:
    """Answer every row, going on where complete parts end, and write the output.

    Raises SpecError for a project without members or classes, BadData for a table without the columns or rows.
    """
    names = _names(spec, promise.target)
    wanted, file = _wanted(job), bytes_of(job.source)
    plan = Plan(file.digest, job.release, None, job.carried, job.batch, job.part_rows, format_of(job.output, "output"))
    parts = Parts(job.output, plan)
    if promise.workers < 1:
        raise BadRequest(f"--workers must be at least 1, got {promise.workers!r}")
    held = shared_out(promise.target, promise.workers)
    with parts.held(resume), _members(spec, promise.cheap, len(names), job.batch) as pair:
        run = TableCascade(held, pair.cheap, pair.last, names, job.release, job.carried, parts, promise.seed)
        first = run.resume()
        total = count_rows(job.source, file.lines)
        todo = chunks(job.source, wanted, first * job.part_rows, None, job.part_rows)
        run.answer(todo, first, lambda done: tell(done, total, pair.last.settled))
        rows, reasons = parts.tally()
        if not rows:
            parts.discard()
            raise BadData(f"{str(job.source)!r} has no rows to answer")
        parts.finish()
    return _told(spec, run, promise.target, rows, reasons, first * job.part_rows)


def job_of(spec: Spec, source: Job) -> Job:
    """The job with the digest of the project's members: a run can only go on with the same ones."""
    from dataclasses import replace

    return replace(source, release=with_digests(*members_of(spec)).digest)


def _told(
    spec: Spec, run: TableCascade, promised: Target, rows: int, reasons: dict[str, int], resumed_at: int
) -> TableAnswered:
    tally, prices = run.stream.tally, {name: one.usd_per_1k for name, one in spec.model.members.items()}
    asked = run.asked
    share = tally.delegation
    return TableAnswered(
        rows,
        sum(reasons.values()),
        resumed_at,
        str(run.parts.output),
        promised,
        verdicts_of(tally, promised, run.whole),
        Measurement("delegation", share, tally.rows, share, share),
        asked,
        {name: n * prices[name] / 1000 for name, n in asked.items()},
        rows * prices[run.last.name] / 1000,
        tally.batches,
        tally.drifts,
        reasons,
    )


def _names(spec: Spec, target: Target) -> Sequence[str | int]:
    """What the classes are called in the output. Raises SpecError, and BadRequest for a promise of something else."""
    asked = spec.application
    if asked.task not in ("binary", "multiclass"):
        raise SpecError(
            f"a cascade answers with one of several classes, and the task of {asked.name!r} is {asked.task}"
        )
    if target.accuracy is not None:
        raise BadRequest(
            "`--accuracy` is against labels, which a table to be answered has none of: promise `--agreement` with the "
            "last member, or `--precision` and `--recall`"
        )
    if asked.task == "multiclass" and target.precision is not None:
        raise BadRequest("`--precision` and `--recall` are of two answers: promise `--agreement`")
    return asked.classes or (0, 1)


def _wanted(job: Job) -> list[str]:
    """The columns to read. Raises BadData naming one that is absent, or that is also written."""
    for name in job.carried:
        if name in ADDED:
            raise BadData(f"--columns {name!r} is also the name of a column that is written; rename it")
    return job.wanted()


@contextmanager
def _members(spec: Spec, cheap: str, classes: int, batch: int) -> Iterator[Pair]:
    """The cheap member and the last, warm, on a loop of their own."""
    release, files = members_of(spec)
    *others, last = release.members
    named = {member.name: member for member in others}
    if cheap and cheap not in named:
        raise BadRequest(unknown("member that may answer cheaply", cheap, named))
    chosen = named[cheap] if cheap else others[-1]
    in_flight = max(1, min(IN_FLIGHT, spec.serving.queue // batch))
    with asyncio.Runner() as runner:
        made = [
            member_alone(release, member, files, spec.root, spec.serving, time.monotonic) for member in (chosen, last)
        ]
        pair = [
            AskedMember(member.name, handler, release.signature, classes, batch, in_flight, runner)
            for member, handler in zip((chosen, last), made, strict=True)
        ]
        for handler in made:
            handler.warm_up()
        try:
            yield Pair(*pair)
        finally:
            for one in pair:
                one.close()
