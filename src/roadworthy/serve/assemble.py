"""A release and its files become the stack of handlers that answers requests."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from pathlib import Path

from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.errors import BadData, SpecError
from roadworthy.core.spec import Serving
from roadworthy.core.wire import Handler, Request, Response
from roadworthy.serve.base import engine, wrapper
from roadworthy.serve.batch import Batch


@dataclass(frozen=True)
class Assembled:
    """The Handler of a release: its preprocessing, its wrappers, and the batch with the engine inside."""

    handler: Handler
    batch: Batch

    def __call__(self, request: Request) -> Awaitable[Response]:
        """What the outermost handler answers."""
        return self.handler(request)

    def warm_up(self) -> None:
        """Load the model and measure it (blocks); see `Batch.warm_up`."""
        self.batch.warm_up()

    async def close(self) -> None:
        """Let the running batch end and turn away what is queued."""
        await self.batch.close()


def assemble(release: Release, files: Mapping[str, Path], root: Path, serving: Serving) -> Assembled:
    """The handlers of a release, from the request to the model: preprocessing, wrappers, batch.

    `files` maps an artifact's name to its path; plans such as `faults.py:Flaky` are relative to `root`. Raises BadData
    where the model does not take the release's signature, SpecError where a plan cannot be made.
    """
    model = _model_of(release, files)
    answer = next(iter(release.signature.outputs)) if len(release.signature.outputs) == 1 else ""
    runs = engine.make(model.engine, root, file=files["model"], output=answer)
    check = getattr(runs, "check", None)
    if check is not None:
        check(release.signature)
    batch = Batch(runs, release.signature, release.digest, serving.most_rows, serving.queue)
    handler: Handler = batch
    for plan in reversed((*release.preprocessing, *release.wrappers)):
        handler = wrapper.make(plan, root)(handler)
    return Assembled(handler, batch)


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
