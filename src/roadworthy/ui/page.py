"""Page renders templates and documents as one self-contained HTML file, without a script or an outside file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from roadworthy.core.errors import MissingExtra
from roadworthy.ui import words
from roadworthy.ui.document import Badge, Cell, Change, Code, Document

if TYPE_CHECKING:
    from markupsafe import Markup

SIGNS = {"pass": "✓", "fail": "✕", "wait": "…"}


def html_of(document: Document) -> str:
    """The document as a page."""
    return render("document.html", document=document)


def render(template: str, **given: Any) -> str:
    """One of our templates; whatever is handed in is escaped, but what `charts` has drawn."""
    try:
        import jinja2
    except ImportError as gone:
        raise MissingExtra("the HTML report", "jinja2", "report") from gone
    world = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    world.filters |= {f.__name__: f for f in (words.number, words.signed, words.interval, words.moment, words.count)}
    world.filters |= {"metric_name": words.metric_name, "thousands": lambda n: f"{n:,}"}
    world.filters["cell"] = _cell
    return world.get_template(template).render(given)


def _cell(cell: Cell) -> Markup:
    """What stands in a cell of a table, escaped."""
    from markupsafe import Markup, escape

    if isinstance(cell, Badge):
        sign = SIGNS[cell.decision]
        return Markup('<span class="badge {}">{} {}</span>').format(cell.decision, sign, cell.text)
    if isinstance(cell, Code):
        return Markup("<code>{}</code>").format(words.visible(cell.text))
    if isinstance(cell, str):
        return escape(words.visible(cell))
    m = cell.measured if isinstance(cell, Change) else cell
    value = words.signed(m.value, m.unit) if isinstance(cell, Change) else words.number(m.value, m.unit)
    bounds = words.interval(m)
    return Markup('{}<span class="bounds">{}</span>').format(value, bounds) if bounds else escape(value)
