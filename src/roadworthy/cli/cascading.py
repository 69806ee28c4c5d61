"""A project's members are asked about the rows of a table, and a cascade of them is fitted to what they answered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from roadworthy.app.mixture import member_alone, member_digests
from roadworthy.cli.flows import lab_release
from roadworthy.core.artifact import Release
from roadworthy.core.errors import BadData, SpecError
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Spec
from roadworthy.evaluate.answers import Answers, ask
from roadworthy.route.cascades.confident import Cheap, fit_confident
from roadworthy.route.cascades.consistency import flip_rate
from roadworthy.route.cascades.filters import fit_filter
from roadworthy.route.cascades.fits import CascadeFit, Target
from roadworthy.serve.assemble import Assembled

Say = Callable[[str], None]
# The release that members are taken from before there is anything to choose by.
UNFITTED = {"cascade": {"levels": [{"at": "", "least": 1.0}]}}


class Asked(NamedTuple):
    """What each member answered about the same rows, (n,) or (n, k), the cheapest first.

    `sure` is how sure a member said that it is of each row (n,), for those that say. `again` is what the last one said
    when it was asked about the first rows once more, `members` are their digests.
    """

    answers: Mapping[str, NDArray[np.float64]]
    again: NDArray[np.float64] | None
    labels: NDArray[np.float64] | None
    members: Mapping[str, str]
    sure: Mapping[str, NDArray[np.float64]]


def ask_members(spec: Spec, rows: Sample, repeat: int = 0, say: Say = lambda line: None) -> Asked:
    """Ask every member about every row; the dearest one twice about the first `repeat`.

    Raises SpecError where the project has no members, BadData where a member answers no row.
    """
    release, files = members_of(spec)
    found: dict[str, NDArray[np.float64]] = {}
    again, sure = None, {}
    for member in release.members:
        say(f"asking {member.name} about {rows.n:,} rows")
        handler = member_alone(release, member, files, spec.root, spec.serving, time.monotonic)
        handler.warm_up()
        given = asyncio.run(_asked(handler, rows, release))
        if len(given.failed) == rows.n:
            raise BadData(f"member {member.name!r} answered none of {rows.n:,} rows: {_commonest(given)}")
        if given.failed:
            fate = "are left out" if member is release.members[-1] else "go on to the next"
            say(f"  {len(given.failed):,} of them failed and {fate}, most often: {_commonest(given)}")
        found[member.name] = given.values
        if given.told.confidence is not None:
            sure[member.name] = given.told.confidence
        if repeat and member is release.members[-1]:
            again = asyncio.run(_asked(handler, rows.take(slice(0, repeat)), release)).values
    known: NDArray[np.bool_] = np.isfinite(found[release.members[-1].name].reshape(rows.n, -1).sum(axis=1))
    part = np.flatnonzero(known)
    kept = {name: values[part] for name, values in found.items()}
    labels = None if rows.labels is None else rows.labels[part]
    again = None if again is None else again[known[: len(again)]]
    sure = {name: values[part] for name, values in sure.items()}
    return Asked(kept, again, labels, member_digests(release, files), sure)


def _commonest(found: Answers) -> str:
    return next(iter(found.reasons), "no reason was told")


async def _asked(handler: Assembled, rows: Sample, release: Release) -> Answers:
    try:
        return await ask(handler, rows, release.signature)
    finally:
        await handler.close()


def members_of(spec: Spec) -> tuple[Release, dict[str, Path]]:
    """The project's members as a release whose policy is not fitted yet, and their files. Raises SpecError."""
    if not spec.model.members:
        raise SpecError(
            f"{str(spec.file)!r} names no `model.members`: a cascade or a router takes two models or more, the "
            f"cheapest first"
        )
    model = msgspec.structs.replace(spec.model, policy=UNFITTED, policy_file="")
    return lab_release(msgspec.structs.replace(spec, model=model), 0.0, "cascade")


def fit_cascade(found: Asked, target: Target, by_class: bool, rng: np.random.Generator) -> CascadeFit:
    """The thresholds that keep the promise. Raises BadData where the rows are too few for it or say nothing.

    Precision, recall and agreement are against the last member's answers, accuracy is against the labels.
    """
    *cheap, last = found.answers
    if target.accuracy is not None and found.labels is None:
        raise BadData("`--accuracy` is against labels, and the table has none: ask for `--agreement`")
    final = _decided(found.answers[last])
    flips = 0.0
    if found.again is not None:
        flips = flip_rate(final[: len(found.again)], _decided(found.again), target)
    if target.precision is not None:
        if found.answers[last].ndim == 2:
            raise BadData("`--precision` and `--recall` are of two answers: ask for `--agreement` or `--accuracy`")
        return fit_filter(final, [found.answers[name] for name in cheap], target, rng, cheap, flips=flips)
    levels = [_cheap(found.answers[name], found.sure.get(name), name) for name in cheap]
    if target.accuracy is not None and found.labels is not None:
        return fit_confident(found.labels, levels, target, rng, final, by_class, flips=flips)
    return fit_confident(final, levels, target, rng, by_class=by_class, flips=flips)


def _decided(answers: NDArray[np.float64]) -> NDArray[np.int64]:
    """The class that is answered."""
    return (answers >= 0.5).astype(np.int64) if answers.ndim == 1 else answers.argmax(axis=1)


def _cheap(answers: NDArray[np.float64], told: NDArray[np.float64] | None, name: str) -> Cheap:
    """A level's classes and how confident it is of them: as it says, else by the probability of what it answers.

    A row that failed has no confidence, and goes on.
    """
    likeliest = np.maximum(answers, 1 - answers) if answers.ndim == 1 else answers.max(axis=1)
    return Cheap(_decided(np.nan_to_num(answers)), likeliest if told is None else told, name)
