"""What makes a model honest about itself, as a person reads it in a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
from rich.console import Group, RenderableType
from rich.text import Text

from roadworthy.serve.calibration.report_text import report_text
from roadworthy.serve.honesty import Answering, Honest, Sets


def honest_text(found: Honest) -> RenderableType:
    """What was fitted, as a person reads it in a terminal."""
    parts: list[RenderableType] = []
    if found.calibration is not None:
        parts.append(report_text(found.calibration))
    parts += [Text(line) for line in _set_lines(found.sets)]
    parts += [Text(line) for line in _answering_lines(found.answering)]
    return Group(*parts)


def _set_lines(found: Sets | None) -> Iterator[str]:
    if found is None:
        return
    yield ""
    yield f"sets: {found.promised}, to be expected from {found.rows:,} rows; {found.size}"
    yield f"plan: {msgspec.json.encode(found.plan).decode()[:300]}"


def _answering_lines(found: Answering | None) -> Sequence[str]:
    if found is None:
        return ()
    told = f"plan: {msgspec.json.encode(found.plan).decode()}" if found.plan else f"no threshold: {found.refused}"
    return ("", f"doubt tells wrong rows from right ones: {found.curve.error_auroc}", told)
