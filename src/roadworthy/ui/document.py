"""A document is what a report says, in order: sections of notes, tables and charts, before anybody draws them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from roadworthy.core.measure import Decision, Measurement

# More rows, or a longer cell, and a page would be too large for a browser and for a reader; the JSON has them all.
MOST_ROWS = 200
MOST_LETTERS = 600


@dataclass(frozen=True)
class Badge:
    """A decision in a word, with its sign and colour."""

    decision: Decision
    text: str


@dataclass(frozen=True)
class Code:
    """Text that stands as it is: a value, a command, an answer of a model."""

    text: str


@dataclass(frozen=True)
class Change:
    """A measurement that is shown with its sign."""

    measured: Measurement


Cell = str | Measurement | Badge | Code | Change


@dataclass(frozen=True)
class Note:
    """A sentence, after a badge where there is one."""

    kind: ClassVar[str] = "note"

    text: str
    badge: Badge | None = None


@dataclass(frozen=True)
class Table:
    """Rows under a head; `prose` names the columns of words, `foot` how many of the last rows are sums.

    A `faded` table holds numbers that do not count.
    """

    kind: ClassVar[str] = "table"

    title: str
    head: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]
    prose: tuple[str, ...] = ()
    foot: int = 0
    faded: bool = False

    @property
    def shown(self) -> list[tuple[Cell, ...]]:
        """As many rows as a page takes."""
        rows = list(self.rows)
        kept = rows if len(rows) <= MOST_ROWS else [*rows[: MOST_ROWS - self.foot], *rows[len(rows) - self.foot :]]
        return [tuple(_cut(cell) for cell in row) for row in kept]

    @property
    def left_out(self) -> int:
        """How many rows stand in the JSON only."""
        return max(0, len(self.rows) - MOST_ROWS)


@dataclass(frozen=True)
class Charts:
    """Drawings, side by side where they are narrow, each with its numbers in it. Markdown has the `twin` instead."""

    kind: ClassVar[str] = "charts"

    figures: tuple[str, ...]
    side_by_side: bool = False
    twin: Table | None = None


@dataclass(frozen=True)
class Listing:
    """Lines to copy."""

    kind: ClassVar[str] = "listing"

    title: str
    text: str
    language: str = ""


@dataclass(frozen=True)
class Fold:
    """What is there for who asks for it."""

    kind: ClassVar[str] = "fold"

    summary: str
    blocks: tuple[Block, ...]


Block = Note | Table | Charts | Listing | Fold


@dataclass(frozen=True)
class Section:
    """A part under a heading. `aside` says how to read it."""

    title: str
    blocks: tuple[Block, ...]
    aside: str = ""

    @property
    def id(self) -> str:
        """What a link within the page points to."""
        return "s-" + "-".join("".join(c if c.isascii() and c.isalnum() else " " for c in self.title).lower().split())


@dataclass(frozen=True)
class Tile:
    """A number that is seen first."""

    name: str
    value: str
    small: str = ""


@dataclass(frozen=True)
class Document:
    """The whole: title, verdict, summary, the first numbers, the sections, and what stands below them all."""

    kind: str
    name: str
    badge: Badge
    lead: str
    facts: str
    tiles: tuple[Tile, ...]
    sections: tuple[Section, ...]
    below: str

    @property
    def title(self) -> str:
        return f"{self.name}: {self.kind}"


def section(title: str, blocks: Sequence[Block | None], aside: str = "") -> Section | None:
    """The section of the blocks that are there; None where none is."""
    there = tuple(block for block in blocks if block is not None and not _is_empty(block))
    return Section(title, there, aside) if there else None


def unfolded(table: Table, most: int = 8) -> tuple[Block, ...]:
    """The first rows of a long table, and the others for who asks for them."""
    rows = list(table.rows)
    if len(rows) <= most + 4:
        return (table,)
    rest = replace(table, title=f"{table.title}, the others", rows=rows[most:])
    return replace(table, rows=rows[:most]), Fold(f"{len(rows) - most} more", (rest,))


def _is_empty(block: Block) -> bool:
    if isinstance(block, Table):
        return not block.rows
    if isinstance(block, Charts):
        return not block.figures
    return isinstance(block, Fold) and all(map(_is_empty, block.blocks))


def _cut(cell: Cell) -> Cell:
    if isinstance(cell, Code):
        return Code(_shortened(cell.text))
    return _shortened(cell) if isinstance(cell, str) else cell


def _shortened(text: str) -> str:
    return text if len(text) <= MOST_LETTERS else text[:MOST_LETTERS] + "…"
