"""The difference of two releases: every field that differs, and what was measured of both side by side."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from roadworthy.core.artifact import Release
from roadworthy.core.measure import Measurement

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table
    from rich.text import Text

# What decides an answer; all the rest tells how the release came about.
DECIDING = ("artifacts", "signature", "preprocessing", "wrappers", "serving", "features", "members", "policy")
MEASURED = ("measured", "calibration")

# Who made an artifact of what changes no answer.
_TELLING = (".made_by", ".parent")


class Change(Struct, frozen=True):
    """A field that differs, such as `artifacts.model.digest` or `data.train`; null is one that is not there."""

    field: str
    old: Any
    new: Any


class Compared(Struct, frozen=True):
    """One metric on one slice, as measured of both. `overlap`: their intervals do (null: one is not known)."""

    metric: str
    where: str
    old: Measurement | None
    new: Measurement | None
    overlap: bool | None


class Diff(Struct, frozen=True):
    """What differs between two releases. Where they are `alike`, nothing that decides an answer does."""

    old: str
    new: str
    alike: bool
    changes: tuple[Change, ...]
    measured: tuple[Compared, ...]


def diff(old: Release, new: Release) -> Diff:
    """Compare two releases field by field; plans are compared as a whole, mappings and artifacts by name."""
    changes = tuple(_changes(_plain(old), _plain(new)))
    alike = not any(_decides(change.field) for change in changes)
    return Diff(old.digest, new.digest, alike, changes, tuple(_compared(old, new)))


def answer_alike(old: Release, new: Release) -> bool:
    """Whether nothing that decides an answer differs, whoever made them of what."""
    return diff(old, new).alike


def diff_text(found: Diff) -> RenderableType:
    """The difference as a person reads it in a terminal."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    head = Text(f"{found.old[:12]} against {found.new[:12]}: {_said(found)}", "bold")
    table = Table("field", found.old[:12], found.new[:12], header_style="bold")
    for change in found.changes:
        table.add_row(Text(change.field), Text(_short(change.old)), Text(_short(change.new)))
    measured = [_measured_table(found)] if found.measured else []
    return Group(head, *([table] if found.changes else []), *measured)


def _said(found: Diff) -> str:
    if found.old == found.new:
        return "one and the same release"
    if not found.alike:
        return f"{sum(_decides(change.field) for change in found.changes)} fields that decide answers differ"
    fields = ", ".join(dict.fromkeys(change.field for change in found.changes)) or "what was measured"
    return f"they answer alike; only {fields} differ{'' if ',' in fields else 's'}"


def _measured_table(found: Diff) -> Table:
    from rich.table import Table

    table = Table("measured", found.old[:12], found.new[:12], "", header_style="bold")
    said = {True: "intervals overlap", False: "apart", None: "not comparable"}
    styles = {True: "", False: "yellow", None: "dim"}
    for one in found.measured:
        title = f"{one.metric} on {one.where}" if one.where else one.metric
        table.add_row(_text(title), _number(one.old), _number(one.new), _text(said[one.overlap], styles[one.overlap]))
    return table


def _text(told: str, style: str = "") -> Text:
    """As Text: rich would take the brackets of an interval for its markup."""
    from rich.text import Text

    return Text(told, style)


def _number(measured: Measurement | None) -> Text:
    if measured is None:
        return _text("not measured", "dim")
    return _text(str(msgspec.structs.replace(measured, name="", where="")).strip())


def _plain(release: Release) -> dict[str, Any]:
    """The release as plain values, artifacts by their name; what was measured is compared apart."""
    plain: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(release))
    for name in MEASURED:
        plain.pop(name, None)
    plain["artifacts"] = {
        artifact["name"]: {k: v for k, v in artifact.items() if k != "name"} for artifact in plain["artifacts"]
    }
    # Empty ones are left out of a manifest; each name in them is a field.
    plain = {name: {} for name in ("data", "serving", "features", "training", "versions")} | plain
    # The order of inputs is that of a matrix: it decides answers, and mappings compare equal without it.
    for side in ("inputs", "outputs"):
        plain["signature"][f"order of {side}"] = list(plain["signature"][side])
    return plain


def _changes(old: Any, new: Any, path: str = "") -> Iterator[Change]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in dict.fromkeys([*old, *new]):
            yield from _changes(old.get(name), new.get(name), f"{path}.{name}" if path else str(name))
    elif old != new and not _other_names(path, old, new):
        yield Change(path, old, new)


def _other_names(path: str, old: Any, new: Any) -> bool:
    """Whether an order differs by a name that is new or gone, which is told as a change of its own."""
    return path.startswith("signature.order") and sorted(old) != sorted(new)


def _decides(field: str) -> bool:
    return field.split(".")[0] in DECIDING and not (field.startswith("artifacts.") and field.endswith(_TELLING))


def _compared(old: Release, new: Release) -> Iterator[Compared]:
    for kind in MEASURED:
        before, after = (_by_metric(getattr(release, kind)) for release in (old, new))
        for key in dict.fromkeys([*before, *after]):
            first, second = before.get(key), after.get(key)
            yield Compared(key[0], key[1], first, second, _overlap(first, second))


def _by_metric(measured: Sequence[Measurement]) -> Mapping[tuple[str, str, str], Measurement]:
    return {(m.name, m.where, m.unit): m for m in measured}


def _overlap(old: Measurement | None, new: Measurement | None) -> bool | None:
    """Whether two intervals share a point; None where one of them is open or was never measured."""
    if old is None or new is None or not (_closed(old) and _closed(new)):
        return None
    return old.low <= new.high and new.low <= old.high


def _closed(measured: Measurement) -> bool:
    return measured.n > 0 and math.isfinite(measured.low) and math.isfinite(measured.high)


def _short(value: Any) -> str:
    """A value in one line; a digest by its beginning, what is not there as a dash."""
    if value is None:
        return "–"
    told = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if len(told) == 64 and set(told) <= set("0123456789abcdef"):
        return told[:12]
    return told if len(told) <= 200 else f"{told[:197]}..."
