"""What a cold start of a project's model runs in a fresh process: load the model, answer one row after another."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

from roadworthy.cli.flows import handler_in, read
from roadworthy.core.project import read_project
from roadworthy.core.spec import Spec
from roadworthy.core.wire import Response
from roadworthy.evaluate.answers import request_of
from roadworthy.evaluate.process.cold_start import ColdStart, cold_start


def starts(spec: Spec, repeats: int = 6, answers: int = 30) -> ColdStart:
    """So many starts of the project's model, each in an interpreter of its own, with so many answers."""
    child = ["-m", "roadworthy.evaluate.process.cold_child", "roadworthy.cli.cold:loaded", str(spec.file.resolve())]
    return cold_start([sys.executable, *child, "--answers", str(answers)], repeats=repeats)


def loaded(project: str) -> Callable[[], Awaitable[Response]]:
    """What answers the first row of production, again and again."""
    spec = read_project(Path(project))
    handler = handler_in(spec)
    row = read(spec, "production").take(slice(0, 1))

    async def answer() -> Response:
        return await handler(request_of(row, spec.signature, "cold"))

    return answer
