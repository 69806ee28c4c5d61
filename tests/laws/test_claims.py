"""Every claim format in the catalog obeys the laws, and the laws catch formats that do not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from roadworthy.core.errors import BadData
from roadworthy.core.measure import Claim
from roadworthy.evaluate.base import claims
from roadworthy.testing.claims import check_claim_format


@pytest.mark.parametrize("name", list(claims))
def test_every_claim_format_obeys_the_laws(name: str) -> None:
    check_claim_format(claims.get(name))


def test_a_line_a_claim_obeys_the_laws() -> None:
    check_claim_format(Lines)


def test_an_example_is_asked_for() -> None:
    @dataclass(frozen=True)
    class Bare:
        def __call__(self, path: Path) -> Sequence[Claim] | None:
            return None

    with pytest.raises(AssertionError, match="needs `@classmethod def example"):
        check_claim_format(Bare)


@dataclass(frozen=True)
class Lines:
    """The least that is a claim format: `metric value` on a line of a .txt file."""

    def __call__(self, path: Path) -> Sequence[Claim] | None:
        if path.suffix != ".txt":
            return None
        return [found for line in self.text(path).splitlines() if (found := self.claim(path, line)) is not None]

    def text(self, path: Path) -> str:
        if not path.is_file():
            raise BadData(f"no file {path.name}")
        return path.read_text(encoding="utf-8")

    def claim(self, path: Path, line: str) -> Claim | None:
        match = re.fullmatch(r"(\w+) (\d\d\.\d+);", line)
        if not match:
            raise BadData(f"{path.name}: {line!r}")
        return Claim(match[1], float(match[2]) / 100, source=path.name)

    @classmethod
    def example(cls, folder: Path) -> tuple[Path, tuple[Claim, ...]]:
        path = folder / "claims.txt"
        path.write_text("accuracy 87.31;\n", encoding="utf-8")
        return path, (Claim("accuracy", 0.8731, source="claims.txt"),)


@dataclass(frozen=True)
class Silent(Lines):
    def claim(self, path: Path, line: str) -> Claim | None:
        try:
            return Lines.claim(self, path, line)
        except BadData:
            return None


@dataclass(frozen=True)
class Percent(Lines):
    def claim(self, path: Path, line: str) -> Claim | None:
        return Claim("accuracy", 87.31, source=path.name)


@dataclass(frozen=True)
class Sourceless(Lines):
    def claim(self, path: Path, line: str) -> Claim | None:
        Lines.claim(self, path, line)
        return Claim("accuracy", 0.8731)

    @classmethod
    def example(cls, folder: Path) -> tuple[Path, tuple[Claim, ...]]:
        return Lines.example(folder)[0], (Claim("accuracy", 0.8731),)


@dataclass(frozen=True)
class Raising(Lines):
    def claim(self, path: Path, line: str) -> Claim | None:
        metric, value = line.rstrip(";").split(" ", 1)
        try:
            number = float(value)
        except ValueError as wrong:
            raise BadData(f"{path.name}: {value!r}") from wrong
        if number > 100:
            raise BadData(f"{path.name}: {value!r}")
        return Claim(metric, round(number / 100, 9), source=path.name)


@dataclass(frozen=True)
class Greedy(Lines):
    def __call__(self, path: Path) -> Sequence[Claim] | None:
        found = Lines.__call__(self, path)
        return [Claim("accuracy", 0.9, source=path.name)] if found is None else found


@dataclass(frozen=True)
class Lost(Lines):
    def text(self, path: Path) -> str:
        return path.read_text(encoding="utf-8") if path.is_file() else ""


FAULTY = [
    (Silent, "does not refuse the value 'quite good'"),
    (Percent, "where .* is stated"),
    (Sourceless, "does not say where the claim"),
    (Raising, "raises ValueError"),
    (Greedy, "in notes.md|in empty"),
    (Lost, "does not refuse a file that is not there"),
]


@pytest.mark.parametrize(("leaf", "law"), FAULTY, ids=[leaf.__name__ for leaf, _ in FAULTY])
def test_a_faulty_claim_format_is_caught(leaf: type, law: str) -> None:
    with pytest.raises(AssertionError, match=law):
        check_claim_format(leaf)
