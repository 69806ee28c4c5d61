"""Markdown writes a document for a pull request or a terminal: all that a page has but the drawings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from roadworthy.ui.document import Badge, Block, Cell, Change, Charts, Code, Document, Fold, Listing, Note, Table
from roadworthy.ui.page import SIGNS
from roadworthy.ui.words import interval, number, signed, visible


def markdown_of(document: Document) -> str:
    """The document as GitHub Markdown. Nothing that a model or a file says becomes a tag, a link or a table's edge."""
    return "\n".join(_lines(document)) + "\n"


def _lines(document: Document) -> Iterator[str]:
    yield from (f"# {_plain(document.title)}", "", f"{_cell(document.badge)}. {_plain(document.lead)}", "")
    if document.facts:
        yield from (_plain(document.facts), "")
    for section in document.sections:
        yield from (f"## {_plain(section.title)}", "")
        if section.aside:
            yield from (_plain(section.aside), "")
        for block in section.blocks:
            yield from _block(block)
    yield _plain(document.below)


def _block(block: Block) -> Iterator[str]:
    match block:
        case Charts(twin=twin):
            yield from _table(twin) if twin else ()
        case Note(text, badge):
            yield from (f"{_cell(badge)} {_plain(text)}" if badge else _plain(text), "")
        case Listing(title, text, language):
            yield from (f"{_plain(title)}", "", f"```{language}", text.replace("```", "'''"), "```", "")
        case Fold(summary, blocks):
            yield from (f"<details><summary>{_plain(summary)}</summary>", "")
            for inner in blocks:
                yield from _block(inner)
            yield from ("</details>", "")
        case Table():
            yield from _table(block)


def _table(table: Table) -> Iterator[str]:
    yield from (f"**{_plain(table.title)}**", "") if table.title else ()
    yield _line([_plain(name) for name in table.head])
    yield _line(["---"] * len(table.head))
    yield from (_line([_cell(cell) for cell in row]) for row in table.shown)
    yield ""
    if table.left_out:
        yield from (f"{table.left_out:,} more rows are in the JSON.", "")


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(cell: Cell) -> str:
    if isinstance(cell, Badge):
        return f"{SIGNS[cell.decision]} {_plain(cell.text)}"
    if isinstance(cell, Code):
        # A bar ends the cell even within code.
        return f"`{' '.join(visible(cell.text).split()).replace('`', chr(39)).replace('|', chr(92) + '|')}`"
    if isinstance(cell, str):
        return _plain(cell)
    m = cell.measured if isinstance(cell, Change) else cell
    value = signed(m.value, m.unit) if isinstance(cell, Change) else number(m.value, m.unit)
    return f"{value} {interval(m)}".strip()


def _plain(text: str) -> str:
    """The text on one line, with what Markdown or HTML would take for its own escaped."""
    one_line = " ".join(visible(text).split()).replace("&", "&amp;").replace("<", "&lt;")
    return re.sub(r"([\\`*|]|\](?=\(|:|\[)|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))", r"\\\1", one_line)
