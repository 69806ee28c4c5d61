"""What a command gives back: something for a person, the same for a program, and an exit code."""

from __future__ import annotations

from typing import Any, NamedTuple

from rich.console import RenderableType


class Outcome(NamedTuple):
    """`body` is what `--json` prints, `shown` is what a person sees; 0 pass, 1 fail, 2 wrong use, 3 wait."""

    body: Any
    shown: RenderableType
    exit_code: int = 0
