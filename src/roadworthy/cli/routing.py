"""Judged rows for a router, from the project's tables or its recorded traffic, and what that traffic says of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roadworthy.app.mixture import POLICY
from roadworthy.cli.cascading import ask_members
from roadworthy.core.artifact import Release
from roadworthy.core.catalog import read_plan
from roadworthy.core.errors import BadData, SpecError
from roadworthy.core.record import Record
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Spec
from roadworthy.route.routers.labelled import Labelled
from roadworthy.route.routers.router import Router
from roadworthy.route.traffic.traffic import Traffic, traffic_of
from roadworthy.route.traffic.training import training_rows

Say = Callable[[str], None]
# The tag that names a request's segment where nobody says another.
SEGMENT = "segment"


def judged_table(spec: Spec, rows: Sample, tag: str, say: Say) -> Labelled:
    """Every labelled row of a table, both members asked about it. `tag` names the tag with a row's segment.

    Where the cheap one says how sure it is of every row, that is what is known after its answer. Raises BadData where
    the table has no labels or no such tag.
    """
    if rows.labels is None:
        raise BadData("the table has no labels, which say which of the two models was right: take another")
    if tag and tag not in rows.tags:
        raise BadData(f"the rows have no tag {tag!r} (they have: {', '.join(rows.tags) or 'none'})")
    known = rows.take(np.flatnonzero(np.isfinite(rows.labels)))
    if not known.n:
        raise BadData(f"none of the {rows.n} rows of the table has a label, which says which of the two was right")
    weak, strong = _pair(tuple(spec.model.members))
    found = ask_members(spec, known, say=say)
    if found.labels is None or len(found.labels) < known.n:
        raise BadData(f"the dear model left {known.n - len(found.answers[strong])} of {known.n} rows without an answer")
    right = {name: _right(found.answers[name], found.labels) for name in (weak, strong)}
    columns = {name: known.columns[name].tolist() for name in spec.application.inputs}
    segments = [str(name) for name in known.tags[tag]] if tag else ()
    sure = found.sure.get(weak)
    after = {"confidence": sure} if sure is not None and np.isfinite(sure).all() else {}
    return Labelled(columns, right[strong], right[weak], segments, after=after)


def judged_traffic(spec: Spec, traffic: Traffic, tag: str) -> Labelled:
    """The rows of recorded traffic of which both answers were seen, weighed by how seldom that was.

    `tag` names the segment of a request. Raises BadData where it is not the usual one and no request had it.
    """
    named = np.array([tags.get(tag, "") for tags in traffic.tags], object)
    if any(named):
        traffic = replace(traffic, segments=named)
    elif tag != SEGMENT:
        there = ", ".join(sorted({name for tags in traffic.tags for name in tags}))
        raise BadData(f"no request had a tag {tag!r} (they have: {there or 'none'}): name one with `--tag`")
    return training_rows(traffic).labelled(list(spec.application.inputs))


def tag_of_router(release: Release, files: Mapping[str, Path]) -> str:
    """The tag by which a release's router tells segments apart; `segment` where there is no router, or it has none."""
    routed = release.policy and read_plan(release.policy)[0] == "routed" and POLICY in files
    return (routed and Router.read(files[POLICY]).file.tag) or SEGMENT


def recorded_traffic(spec: Spec, release: Release, records: Sequence[Record]) -> Traffic:
    """What was routed between the members of a release. Raises BadData where nothing was."""
    weak, strong = members_of_route(release)
    return traffic_of(records, weak, strong, spec.application.output)


def members_of_route(release: Release) -> tuple[str, str]:
    """The cheap and the dear member of a release. Raises SpecError where it has none."""
    return _pair(tuple(member.name for member in release.members))


def refuse_other_policies(release: Release) -> None:
    """Raise SpecError where a release does not choose its members by a router."""
    name = read_plan(release.policy)[0] if release.policy else ""
    if name != "routed":
        answers = f"by the policy {name!r}" if name else "with one model"
        raise SpecError(
            f"release {release.digest[:12]}, which is stable, answers {answers}: write `policy: routed`, release, and "
            f"promote that; `roadworthy cascade report` is about cascades"
        )


def _pair(members: Sequence[str]) -> tuple[str, str]:
    if len(members) < 2:
        raise SpecError("a router chooses between two members: name them as `model.members`, the cheapest first")
    return members[0], members[-1]


def _right(answers: NDArray[np.float64], labels: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 where the answer is right, 0 where it is wrong or there is none."""
    if answers.ndim == 2:
        right = np.nan_to_num(answers).argmax(axis=1) == labels
    else:
        right = ((answers >= 0.5) == (labels >= 0.5)) & np.isfinite(answers)
    return np.asarray(right, np.float64)
