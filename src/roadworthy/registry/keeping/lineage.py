"""The lineage of a release, drawn: what it was made from, what was made from it, what each step changed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from sqlalchemy import Connection, select

from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.errors import Missing
from roadworthy.registry.home import Home, place, reading
from roadworthy.registry.keeping.aliases import deployments_of
from roadworthy.registry.keeping.listing import day
from roadworthy.registry.keeping.manifests import brief, read

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree


class Period(Struct, frozen=True):
    """That a release was stable of `deployment` from `since` until `until` (null: it is)."""

    deployment: str
    since: float
    until: float | None


class Relative(Struct, frozen=True):
    """A release of a lineage, what it `changed` against its parent, and when it was stable."""

    digest: str
    name: str
    made_at: float
    made_by: str
    parent: str
    changed: tuple[str, ...]
    stable: tuple[Period, ...]


class Lineage(Struct, frozen=True):
    """A release (`of`) with all that it was made from and all that was made from it, parents before children."""

    of: str
    releases: tuple[Relative, ...]


def draw_lineage(home: Home, digest: str) -> Lineage:
    """The ancestors and descendants of a release, which is named by its whole digest. Raises Missing."""
    with reading(home) as connection:
        parents = _parents(connection, home)
        if digest not in parents:
            raise Missing(f"no release with the digest {digest!r}; see `roadworthy releases`")
        order = [*_ancestors(parents, digest), *_descendants(parents, digest)]
        found = _read(connection, home, order)
        periods = _periods(connection, home, frozenset(order))
    told = (_relative(found[one], found.get(found[one].parent), periods.get(one, ())) for one in order)
    return Lineage(digest, tuple(told))


def lineage_text(found: Lineage) -> Tree:
    """The lineage as a tree for the terminal; the release that was asked for is marked.

    Years of weekly training are one line downwards (an arrow: made from the one above), branches are indented.
    """
    from rich.tree import Tree

    first = found.releases[0]
    root = Tree(_label(first, found.of))
    children = Counter(one.parent for one in found.releases[1:])
    # Where the children of a release are hung: below it where it has several, else where it hangs itself.
    below = {first.digest: root}
    for one in found.releases[1:]:
        alone = children[one.parent] == 1 and one.parent != first.digest
        drawn = below[one.parent].add(_label(one, found.of, "↓ " if alone else ""))
        below[one.digest] = drawn if children[one.digest] > 1 else below[one.parent]
    return root


def lineage_mermaid(found: Lineage) -> str:
    """The lineage as a Mermaid flowchart, which GitHub and most renderers of Markdown draw."""
    names = {one.digest: f"r{k}" for k, one in enumerate(found.releases)}
    lines = ["flowchart TD"]
    for one in found.releases:
        stable = "".join(f"<br/>{_escaped(told)}" for told in _stable(one))
        title = f"{_escaped(one.name)} {one.digest[:12]}<br/>{day(one.made_at)}{stable}"
        lines.append(f'  {names[one.digest]}["{title}"]')
    for one in found.releases[1:]:
        told = "<br/>".join(map(_escaped, one.changed))
        lines.append(f'  {names[one.parent]} -->|"{told}"| {names[one.digest]}')
    return "\n".join([*lines, f"  style {names[found.of]} stroke-width:3px", ""])


def changed(old: Release, new: Release) -> tuple[str, ...]:
    """What a release changed against its parent, in words: other data, another engine, another wrapper, ..."""
    told = [*_changed_files(old, new), *_changed_plans(old, new), *_changed_names("data", old.data, new.data)]
    told += _changed_names("features", old.features, new.features)
    told += _changed_names("training", old.training, new.training)
    told += _changed_names("serving", old.serving, new.serving)
    told += ["another signature"] if _form(old) != _form(new) else []
    if old.code != new.code:
        told.append(f"code {_revision(old.code)} to {_revision(new.code)}")
    return tuple(told) or ("nothing that was kept",)


def _changed_files(old: Release, new: Release) -> Iterator[str]:
    before, after = {a.name: a for a in old.artifacts}, {a.name: a for a in new.artifacts}
    for name in dict.fromkeys([*before, *after]):
        if name not in before:
            yield f"+ {name}"
        elif name not in after:
            yield f"- {name}"
        else:
            yield from _changed_file(before[name], after[name])


def _changed_file(old: Artifact, new: Artifact) -> Iterator[str]:
    if old.digest != new.digest:
        made = f" by {new.made_by}" if new.made_by and new.made_by != old.made_by else ""
        grown = f" ({new.bytes / old.bytes - 1:+.0%} bytes)" if old.bytes and new.bytes != old.bytes else ""
        yield f"other {new.name}{made}{grown}"
    if old.engine != new.engine:
        yield f"engine {old.engine or '?'} to {new.engine or '?'}"


def _changed_plans(old: Release, new: Release) -> Iterator[str]:
    for name in ("preprocessing", "wrappers"):
        before, after = getattr(old, name), getattr(new, name)
        yield from (f"- {name.removesuffix('s')} {_plan(plan)}" for plan in before if plan not in after)
        yield from (f"+ {name.removesuffix('s')} {_plan(plan)}" for plan in after if plan not in before)
        if before != after and sorted(map(str, before)) == sorted(map(str, after)):
            yield f"other order of {name}"


def _changed_names(what: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    other = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
    return [f"other {what} ({', '.join(other)})"] if other else []


def _form(release: Release) -> tuple[Any, ...]:
    return (tuple(release.signature.inputs.items()), tuple(release.signature.outputs.items()))


def _plan(plan: Any) -> str:
    return str(next(iter(plan), "")) if isinstance(plan, Mapping) else str(plan)


def _revision(code: str) -> str:
    sha, plus, changes = code.removeprefix("git:").partition("+")
    return f"{sha[:8] or 'unknown'}{plus}{changes}"


def _parents(connection: Connection, home: Home) -> dict[str, str]:
    """The parent of every release, the oldest first: the parent is nowhere but in the manifest."""
    column, where = home.tables["releases"].c, place(home)
    rows = connection.execute(select(column.digest, column.manifest).order_by(column.made_at, column.digest))
    return {row.digest: brief(row.digest, row.manifest, where).parent for row in rows}


def _ancestors(parents: Mapping[str, str], digest: str) -> list[str]:
    """Those before it, the first one first."""
    line: list[str] = []
    while (digest := parents[digest]) in parents:
        line.append(digest)
    return line[::-1]


def _descendants(parents: Mapping[str, str], digest: str) -> Iterator[str]:
    """The release itself, and those made from it: each with its own before the next one."""
    children = defaultdict[str, list[str]](list)
    for child, parent in parents.items():
        children[parent].append(child)
    waiting = [digest]
    while waiting:
        yield (one := waiting.pop())
        waiting += children[one][::-1]


def _read(connection: Connection, home: Home, digests: Sequence[str]) -> dict[str, Release]:
    column, where = home.tables["releases"].c, place(home)
    found: dict[str, Release] = {}
    # A database takes only so many values in one statement.
    for k in range(0, len(digests), 500):
        chosen = select(column.digest, column.manifest).where(column.digest.in_(digests[k : k + 500]))
        found |= {row.digest: read(row.digest, row.manifest, where) for row in connection.execute(chosen)}
    return found


def _periods(connection: Connection, home: Home, digests: frozenset[str]) -> dict[str, list[Period]]:
    """When each of the releases was stable, of whichever deployment."""
    table, found = home.tables["aliases"], defaultdict[str, list[Period]](list)
    for deployment in deployments_of(connection, table):
        of_it = (table.c.deployment == deployment) & (table.c.alias == "stable")
        rows = connection.execute(select(table.c.digest, table.c.at).where(of_it).order_by(table.c.seq)).all()
        for row, following in zip_longest(rows, rows[1:]):
            if row.digest in digests:
                _extend(found[row.digest], Period(deployment, row.at, following and following.at))
    return found


def _extend(periods: list[Period], one: Period) -> None:
    """Add a period, which goes on with the last one where the alias was only said again."""
    last = periods[-1] if periods else None
    if last is not None and last.deployment == one.deployment and last.until == one.since:
        periods[-1] = Period(one.deployment, last.since, one.until)
    else:
        periods.append(one)


def _relative(release: Release, parent: Release | None, stable: Sequence[Period]) -> Relative:
    told = changed(parent, release) if parent is not None else ()
    digest = release.digest
    return Relative(digest, release.name, release.made_at, release.made_by, release.parent, told, tuple(stable))


def _stable(one: Relative) -> list[str]:
    """When it was stable; of many periods the last two, and how many there were before."""
    told = [
        f"stable of {p.deployment} since {day(p.since)}{'' if p.until is None else f' until {day(p.until)}'}"
        for p in one.stable
    ]
    return told if len(told) <= 3 else [f"{len(told) - 2} times before:", *told[-2:]]


def _label(one: Relative, asked: str, sign: str = "") -> Text:
    from rich.text import Text

    label = Text(sign)
    label.append(f"{one.name} {one.digest[:12]}", "bold reverse" if one.digest == asked else "bold")
    label.append(f" {day(one.made_at)}{f' by {one.made_by}' if one.made_by else ''}", "dim")
    if one.changed:
        label.append(f"\n{'; '.join(one.changed)}")
    for told in _stable(one):
        label.append(f"\n{told}", "green")
    return label


def _escaped(told: str) -> str:
    """Mermaid reads `#` and the quotes as its own; the rest is shown as HTML."""
    return (
        told.replace("#", "#35;")
        .replace("&", "#38;")
        .replace('"', "#34;")
        .replace("<", "#60;")
        .replace(">", "#62;")
        .replace("|", "#124;")
    )
