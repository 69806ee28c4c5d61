"""A release of several models becomes one handler: each model assembled as if it were alone, the policy in front.

Whatever serves, measures or rolls out a release asks for `assembled` and need not know how many models there are.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from roadworthy.app.absent import Absent
from roadworthy.core.artifact import Artifact, Member, Release
from roadworthy.core.catalog import read_plan
from roadworthy.core.errors import BadData, Late, Missing, Overloaded, SpecError
from roadworthy.core.fitted import refuse_other
from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Serving
from roadworthy.core.wire import Handler, Request, Response
from roadworthy.route.base import policy
from roadworthy.serve.assemble import Assembled, around, assemble
from roadworthy.serve.base import engine, wrapper
from roadworthy.serve.batch_counts import Snapshot, summed
from roadworthy.serve.fallback import Given
from roadworthy.serve.fold import Arrays
from roadworthy.serve.streamed import Streamed
from roadworthy.serve.wrappers.cache import Caching

# The artifact of what a policy was fitted to.
POLICY = "policy"

# What an engine raises whose model is elsewhere and does not answer now; it may tomorrow.
_AWAY = (ConnectionError, Late, Overloaded, TimeoutError)


@dataclass(frozen=True)
class Mixture:
    """The Handler of a release with members; it can be asked for what an Assembled can.

    `handlers` are the wrappers around all of it and the policy's, innermost; `parts` are the members by name. The
    outputs `alike` are those that every member answers.
    """

    handlers: tuple[Handler, ...]
    parts: Mapping[str, Assembled | Absent]
    alike: tuple[str, ...] = ()

    def __call__(self, request: Request) -> Awaitable[Response]:
        """What the outermost handler answers."""
        return self.handlers[0](request)

    def warm_up(self) -> None:
        """Load and measure each member (blocks). Raises SpecError where they answer differently many values a row."""
        _refuse_unlike({name: part.warm_up() for name, part in self.parts.items()}, self.alike)

    def snapshot(self) -> Snapshot | None:
        """What the members' batchers have done together."""
        found = [snapshot for part in self.parts.values() if (snapshot := part.snapshot()) is not None]
        return summed(found) if found else None

    @property
    def rows_waiting(self) -> int:
        """Rows in the queues of all members."""
        return sum(part.rows_waiting for part in self.parts.values())

    def measurements(self, usd_per_hour: float = 0.0) -> tuple[Measurement, ...]:
        """What the policy and the handlers on the way measured of themselves, a member's under its name."""
        found = [one for caching in self._caches() for one in caching.measurements(usd_per_hour)]
        measured = getattr(self.handlers[-1], "measurements", None)
        found += measured() if measured is not None else ()
        for name, part in self.parts.items():
            prefix = re.sub(r"\W", "_", name)
            found += [replace(one, name=f"{prefix}_{one.name}") for one in part.measurements(usd_per_hour)]
        return tuple(found)

    def remembered(self, request: Request) -> Response | None:
        """The last good answer to this input, fresh or not, where a cache stands outermost."""
        outer = self.handlers[0]
        return outer.stale(request) if isinstance(outer, Caching) else None

    async def close(self) -> None:
        """Let what runs end and turn away what is queued, in every member."""
        for part in self.parts.values():
            await part.close()

    def _caches(self) -> list[Caching]:
        return [handler for handler in self.handlers if isinstance(handler, Caching)]


def assembled(
    release: Release,
    files: Mapping[str, Path],
    root: Path,
    serving: Serving,
    now: Callable[[], float] = time.monotonic,
    without: bool = False,
) -> Assembled | Mixture:
    """The handler of a release, of one model or of several; its arguments are those of `serve.assemble`.

    `without` lets a mixture be made while members elsewhere do not answer: they are tried again when they are needed.
    """
    if not release.members:
        return assemble(release, files, root, serving, now)
    check(release)
    parts: dict[str, Assembled | Absent] = {}
    for member in release.members:
        make = partial(member_alone, release, member, files, root, serving, now)
        parts[member.name] = _or_absent(release, member, make) if without else make()
    if all(isinstance(part, Absent) for part in parts.values()):
        raise Overloaded(f"none of {', '.join(parts)} answers: {_why(parts)}", 10.0)
    prices = {member.name: member.usd_per_1k for member in release.members if member.usd_per_1k}
    output = next(iter(release.signature.outputs)) if len(release.signature.outputs) == 1 else ""
    given: dict[str, Any] = {"usd_per_1k": prices, "usd": {name: usd / 1000 for name, usd in prices.items()}}
    if POLICY in files:
        given["file"] = files[POLICY]
        told = _artifact(release, POLICY).made_by or POLICY
        refuse_other(files[POLICY].read_bytes(), member_digests(release, files), told)
    chooses = policy.make(release.policy, root, output=output, **given)
    wrappers = [wrapper.make(plan, root) for plan in (*release.preprocessing, *release.wrappers)]
    handlers = around(wrappers, chooses(parts), Given(release.signature, root, release.digest))
    return Mixture(handlers, parts, tuple(release.signature.outputs))


def check(release: Release) -> None:
    """Raise SpecError or BadData where the members and the policy of a release do not make one model."""
    names = [member.name for member in release.members]
    if release.policy is None:
        raise SpecError(f"release {release.name!r} has the members {', '.join(names)} and no `policy` that chooses")
    if len(set(names)) < max(2, len(names)):
        raise SpecError(f"a mixture has two members or more, each with a name of its own; got {names!r}")
    held = {artifact.name for artifact in release.artifacts}
    for name in names:
        if name not in held:
            have = ", ".join(sorted(held)) or "none"
            raise BadData(f"release {release.name!r} has no artifact named as its member {name!r} (it has: {have})")
    wraps = [read_plan(plan)[0] for plan in release.wrappers]
    if read_plan(release.policy)[0] == "precision" and "cache" in wraps:
        raise SpecError(
            "a `cache` around the policy `precision` would answer with another precision than was asked for: give "
            "each member its own, in `members: NAME: wrappers:`"
        )


def member_alone(
    release: Release,
    member: Member,
    files: Mapping[str, Path],
    root: Path,
    serving: Serving,
    now: Callable[[], float],
) -> Assembled:
    """One member as if it were a release of its own, whose answers name the whole release."""
    own = _artifact(release, member.name)
    alone = replace(
        release,
        artifacts=(replace(own, name="model"),),
        preprocessing=member.preprocessing,
        wrappers=member.wrappers,
        members=(),
        policy=None,
    )
    if member.name not in files:
        raise BadData(f"release {release.name!r}: there is no file of its member {member.name!r}")
    made = assemble(alone, {**files, "model": files[member.name]}, root, serving, now, release.digest)
    if isinstance(made.core, Streamed):
        raise SpecError(f"member {member.name!r} answers in a stream, which no policy can judge row by row")
    return made


def member_digests(release: Release, files: Mapping[str, Path]) -> dict[str, str]:
    """What decides each member's answers, as a digest: its file and what stands around it. "" for one elsewhere.

    A cache answers what its model does, and is no part of it.
    """
    return {member.name: _digest(_artifact(release, member.name), member, files) for member in release.members}


def _digest(artifact: Artifact, member: Member, files: Mapping[str, Path]) -> str:
    if waits(artifact.engine):
        return ""
    content = artifact.digest or hashlib.sha256(files[member.name].read_bytes()).hexdigest()
    wraps = [plan for plan in member.wrappers if read_plan(plan)[0] != "cache"]
    told = (content, member.preprocessing, wraps)
    return hashlib.sha256(msgspec.json.encode(told, order="deterministic")).hexdigest()


def _or_absent(release: Release, member: Member, make: Callable[[], Assembled]) -> Assembled | Absent:
    """The member, warm; something that stands in for it where it runs elsewhere and does not answer."""

    def loaded() -> Assembled:
        made = make()
        made.warm_up()
        return made

    if not waits(_artifact(release, member.name).engine):
        return make()
    try:
        return loaded()
    except _AWAY as wrong:
        return Absent(member.name, loaded, wrong)


def waits(plan: Any) -> bool:
    """Does an engine ask somebody else, so that it needs no file here?"""
    try:
        return bool(getattr(engine.get(read_plan(plan)[0]), "waits", False))
    except SpecError:  # code of the project, which is looked up where its folder is known
        return False


def _artifact(release: Release, name: str) -> Artifact:
    for artifact in release.artifacts:
        if artifact.name == name:
            return artifact
    raise Missing(f"release {release.name!r} has no artifact named {name!r}")


def _refuse_unlike(shown: Mapping[str, Arrays | None], outputs: Sequence[str]) -> None:
    """Raise SpecError where answers could not be put together row by row; a member that is away is not looked at."""
    for output in outputs:
        widths = {name: found[output][0].size for name, found in shown.items() if found is not None and output in found}
        if len(set(widths.values())) > 1:
            told = ", ".join(f"{name} {width}" for name, width in widths.items())
            raise SpecError(
                f"the members answer different numbers of values a row in output {output!r} ({told}): models that "
                f"answer together must answer alike"
            )


def _why(parts: Mapping[str, Assembled | Absent]) -> str:
    return "; ".join(str(part.wrong) for part in parts.values() if isinstance(part, Absent))


def unsupported(release: Release, what: str, instead: str) -> None:
    """Raise SpecError for what cannot be done with a release of several models."""
    if release.members:
        names: Sequence[str] = [member.name for member in release.members]
        raise SpecError(f"{what} takes one model, and release {release.name!r} has {', '.join(names)}: {instead}")
