"""Finds what a project file names and is not there: tables, models, cards, and functions in Python files."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

from roadworthy.core.catalog import read_plan
from roadworthy.core.errors import nearest
from roadworthy.core.spec import Spec

# Where in the project file something stands: ("data", "lab"), ("scenarios", 0, "wrappers", 1).
Place = tuple[str | int, ...]


def absent(spec: Spec) -> Iterable[tuple[Place, str]]:
    """Each place that names something absent, with a sentence. What the project's `prepare` makes may be absent."""
    for place, relative in named(spec).items():
        if not spec.prepare and not spec.path(relative).is_file():
            yield place, _no_file(spec, relative)
    for place, code in _code(spec):
        relative, _, name = code.rpartition(":")
        # A dotted module is found when it is imported.
        if relative.endswith(".py"):
            yield from ((place, fault) for fault in _faults(spec, relative, name))


def named(spec: Spec) -> dict[Place, str]:
    """The tables, models and cards that a project file names, by their place in it."""
    files: dict[Place, str] = {
        ("data", "lab"): spec.data.lab,
        ("data", "production"): spec.data.production,
        ("data", "history"): spec.data.history,
        ("model", "file"): spec.model.file,
        ("model", "card"): spec.model.card,
        ("model", "policy_file"): spec.model.policy_file,
        **{("model", "members", name, "file"): member.file for name, member in spec.model.members.items()},
    }
    return {place: file for place, file in files.items() if file}


def _code(spec: Spec) -> Iterable[tuple[Place, str]]:
    """Every plan and function of the spec that may be code of the project itself."""
    yield ("prepare",), spec.prepare
    yield ("model", "train"), spec.model.train
    if spec.model.engine:
        yield ("model", "engine"), read_plan(spec.model.engine)[0]
    if spec.model.policy:
        yield ("model", "policy"), read_plan(spec.model.policy)[0]
    lists: dict[Place, tuple[object, ...]] = {
        ("model", "preprocessing"): spec.model.preprocessing,
        ("model", "wrappers"): spec.model.wrappers,
        ("rollout", "gates"): spec.rollout.gates,
        ("monitor", "detectors"): spec.monitor.detectors,
        ("corruptions",): spec.corruptions,
    }
    for name, member in spec.model.members.items():
        if member.engine:
            yield ("model", "members", name, "engine"), read_plan(member.engine)[0]
        lists["model", "members", name, "preprocessing"] = member.preprocessing
        lists["model", "members", name, "wrappers"] = member.wrappers
    for n, scenario in enumerate(spec.scenarios):
        lists["scenarios", n, "preprocessing"] = scenario.preprocessing
        lists["scenarios", n, "wrappers"] = scenario.wrappers
    for place, plans in lists.items():
        yield from (((*place, n), read_plan(plan)[0]) for n, plan in enumerate(plans))


def _faults(spec: Spec, relative: str, name: str) -> Iterable[str]:
    """What is wrong with `file.py:name`; the file is parsed, not run."""
    file = spec.path(relative)
    if not file.is_file():
        yield _no_file(spec, relative)
        return
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError) as wrong:
        yield f"{relative!r} is not readable as Python: {wrong}"
        return
    names = _names(tree)
    if name not in names:
        yield f"{relative!r} defines no {name!r}{nearest(name, names)} (it has: {', '.join(names) or 'nothing'})"


def _names(tree: ast.Module) -> list[str]:
    """What a module defines, assigns or imports at its top level."""
    defined = [n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)]
    targets = [t for n in tree.body if isinstance(n, ast.Assign) for target in n.targets for t in ast.walk(target)]
    assigned = [t.id for t in targets if isinstance(t, ast.Name)]
    imports = [a for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom) for a in n.names]
    return [*defined, *assigned, *(a.asname or a.name for a in imports)]


def _no_file(spec: Spec, relative: str) -> str:
    """The sentence for a file that is not there, with the nearest one that is."""
    found = [p for pattern in ("*", "*/*", "*/*/*") for p in spec.root.glob(pattern) if p.is_file()]
    names = {p.relative_to(spec.root).as_posix(): p.name for p in found}
    # The same name in another folder is nearer than a similar path.
    moved = [path for path, name in names.items() if name == Path(relative).name]
    near = f"; did you mean {moved[0]!r}?" if moved else nearest(relative, names)
    return f"no file {relative!r} in {str(spec.root)!r}{near}"
