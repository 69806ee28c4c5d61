"""Answers that were paid for, kept in a file as they come: whoever was killed does not pay for them again."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec


class Bought:
    """A file of `[row, answer]`, a line each, on the disk before anybody goes on."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def answers(self) -> dict[int, Any]:
        """Every row's answer. Lines that were torn when somebody was killed are left out."""
        found: dict[int, Any] = {}
        for line in self.file.read_bytes().split(b"\n") if self.file.is_file() else ():
            with suppress(msgspec.DecodeError):
                row, answer = msgspec.json.decode(line, type=tuple[int, Any])
                found[row] = answer
        return found

    def add(self, answers: Mapping[int, Any]) -> None:
        """Keep more of them."""
        if not answers:
            return
        with self.file.open("ab") as file:
            file.write(b"".join(b"\n" + msgspec.json.encode(pair) for pair in answers.items()))
            file.flush()
            os.fsync(file.fileno())

    def clear(self) -> None:
        """Forget them: their part is complete."""
        self.file.unlink(missing_ok=True)
