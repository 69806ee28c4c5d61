"""A release and its files become the stack of handlers that answers requests."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from msgspec import Struct

from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.errors import BadData, SpecError
from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Serving, Signature
from roadworthy.core.wire import Handler, Request, Response
from roadworthy.serve.base import Around, Engine, Streaming, Wrapper, engine, wrapper
from roadworthy.serve.batch import Batch
from roadworthy.serve.batch_counts import Snapshot
from roadworthy.serve.fallback import Given
from roadworthy.serve.fold import Arrays, Folded, fold
from roadworthy.serve.rehearsal import rehearsed
from roadworthy.serve.streamed import Streamed, streams
from roadworthy.serve.wrappers.cache import Caching


class Recipe(Struct, frozen=True):
    """All that it takes to assemble a release, here or in another process. `files` and `root` are paths."""

    release: Release
    files: Mapping[str, str]
    root: str
    serving: Serving

    @classmethod
    def of(cls, release: Release, files: Mapping[str, Path], root: Path, serving: Serving) -> Recipe:
        """The recipe of a release with these files."""
        return cls(release, {name: str(file) for name, file in files.items()}, str(root), serving)


@dataclass(frozen=True)
class Assembled:
    """The Handler of a release: its preprocessing, its wrappers, and what runs the engine (`core`), innermost.

    `handlers` are all of them, the outermost first; `wrappers` made those around the core.
    """

    handlers: tuple[Handler, ...]
    core: Batch | Streamed
    wrappers: tuple[Wrapper, ...] = ()

    def __call__(self, request: Request) -> Awaitable[Response]:
        """What the outermost handler answers."""
        return self.handlers[0](request)

    def warm_up(self) -> Arrays | None:
        """Load the model and measure it (blocks); see `Batch.warm_up`. Returns what a made-up row is answered.

        None where nobody knows. Raises SpecError or BadData where a wrapper cannot use what the model answers.
        """
        shown = self.core.warm_up()
        return None if shown is None else rehearsed(self.wrappers, shown)

    def snapshot(self) -> Snapshot | None:
        """What the batcher has done; None for a model that streams."""
        return self.core.snapshot() if isinstance(self.core, Batch) else None

    @property
    def rows_waiting(self) -> int:
        """Rows in the batcher's queue; 0 for a model that streams."""
        return self.core.rows_waiting if isinstance(self.core, Batch) else 0

    def measurements(self, usd_per_hour: float = 0.0) -> tuple[Measurement, ...]:
        """What handlers on the way measured of themselves, such as what a cache is worth."""
        return tuple(one for caching in self._caches() for one in caching.measurements(usd_per_hour))

    def remembered(self, request: Request) -> Response | None:
        """The last good answer to this input, fresh or not, where a cache stands outermost."""
        outer = self.handlers[0]
        return outer.stale(request) if isinstance(outer, Caching) else None

    async def close(self) -> None:
        """Let what runs end and turn away what is queued."""
        await self.core.close()

    def _caches(self) -> list[Caching]:
        return [handler for handler in self.handlers if isinstance(handler, Caching)]


def assemble(
    release: Release,
    files: Mapping[str, Path],
    root: Path,
    serving: Serving,
    now: Callable[[], float] = time.monotonic,
    digest: str = "",
) -> Assembled:
    """The handlers of a release, from the request to the model: preprocessing, wrappers, batch (or streams).

    Innermost wrappers that work on arrays become part of the engine (`serve/fold.py`). Answers name the release by
    `digest`, its own where not given. `files` maps an artifact's name to its path; plans such as `faults.py:Flaky` are
    relative to `root`. Raises BadData where the model does not take the release's signature, SpecError where a plan
    cannot be made.
    """
    plans = (*release.preprocessing, *release.wrappers)

    def engine_and_wrappers() -> tuple[Engine, Sequence[Wrapper]]:
        return fold(_engine_of(release, files, root), [wrapper.make(plan, root) for plan in plans])

    runs, wrappers = engine_and_wrappers()
    if isinstance(runs, Streaming) and streams(runs):
        core: Batch | Streamed = Streamed(runs, release.signature, digest or release.digest)
    else:
        named = digest or release.digest
        core = _batch(runs, release.signature, named, serving, now, renew=lambda: engine_and_wrappers()[0])
    given = Given(release.signature, root, digest or release.digest)
    return Assembled(around(wrappers, core, given), core, tuple(wrappers))


def around(wrappers: Sequence[Wrapper], core: Handler, given: Given) -> tuple[Handler, ...]:
    """Each wrapper around all that follow it and the core, the outermost first. Raises SpecError."""
    handlers = [core]
    for outer in reversed(wrappers):
        made = outer.around(handlers[0], given) if isinstance(outer, Around) else outer(handlers[0])
        handlers.insert(0, made)
    return tuple(handlers)


def _batch(
    runs: Engine,
    signature: Signature,
    digest: str,
    serving: Serving,
    now: Callable[[], float],
    renew: Callable[[], Engine],
) -> Batch:
    return Batch(
        runs,
        signature,
        digest,
        serving.most_rows,
        serving.queue,
        # Whoever waits for another machine must not hold up the event loop, however quick it was at warm-up.
        "thread" if _waits(runs) else serving.place,
        now,
        preferred_rows=serving.preferred_rows,
        most_delay_seconds=serving.most_delay_seconds,
        alike=serving.alike,
        hang_seconds=serving.hang_seconds,
        renew=renew,
    )


def _waits(runs: Engine) -> bool:
    return bool(getattr(runs, "waits", False)) or (isinstance(runs, Folded) and _waits(runs.engine))


def _engine_of(release: Release, files: Mapping[str, Path], root: Path) -> Engine:
    """The engine of a release, checked against its signature; what hung is replaced by another one of these."""
    model = _model_of(release, files)
    answer = next(iter(release.signature.outputs)) if len(release.signature.outputs) == 1 else ""
    runs = engine.make(model.engine, root, file=files["model"], folder=root, output=answer)
    check = getattr(runs, "check", None)
    if check is not None:
        check(release.signature)
    return runs


def _model_of(release: Release, files: Mapping[str, Path]) -> Artifact:
    model = next((artifact for artifact in release.artifacts if artifact.name == "model"), None)
    if model is None or "model" not in files:
        have = ", ".join(sorted(files)) or "none"
        raise BadData(f"release {release.name!r} has no artifact named 'model' to run (files: {have})")
    if not model.engine:
        raise SpecError(
            f"release {release.name!r} does not say what runs its model: "
            f"write `engine:` with one of {', '.join(engine)}"
        )
    return model
