"""The house stays easy to live in: rooms meet only in core, nothing heavy loads at import, names are nouns."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parents[1] / "src" / "roadworthy"
DOORS = {"app", "cli", "ui", "testing"}
FLOOR = {"store", "registry", "cost"}
BAD_NAMES = {"util", "utils", "helper", "helpers", "common", "misc", "manager"}
HEAVY = {"numpy", "torch", "onnxruntime", "sklearn", "polars", "pandas", "sqlalchemy", "uvloop", "yaml", "rich"}


def modules(src: Path) -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(src.rglob("*.py")):
        yield path, ast.parse(path.read_text(encoding="utf-8"))


def room_of(path: Path, src: Path) -> str:
    parts = path.relative_to(src).parts
    return parts[0] if len(parts) > 1 else path.stem


def imports(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Every room that a module imports, inside functions too."""
    for node in ast.walk(tree):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) and node.level == 0 else []
        names += [a.name for a in node.names] if isinstance(node, ast.Import) else []
        assert not (isinstance(node, ast.ImportFrom) and node.level), "imports are absolute"
        yield from ((name.split(".")[1], node.lineno) for name in names if name.startswith("roadworthy."))


def allowed(here: str, there: str) -> bool:
    if there in {"core", here} or here in DOORS:
        return True
    return there in FLOOR and here not in FLOOR | {"core"}


def sideways(src: Path) -> list[str]:
    return [
        f"{path.relative_to(src)}:{line} {room_of(path, src)} -> {there}"
        for path, tree in modules(src)
        for there, line in imports(tree)
        if room_of(path, src) != "__init__" and not allowed(room_of(path, src), there)
    ]


def test_rooms_meet_only_in_core():
    assert sideways(SRC) == []


@pytest.mark.parametrize(
    ("room", "line"),
    [
        ("observe", "from roadworthy.serve.batch import Batch\n"),
        ("core", "import roadworthy.store.state\n"),
        ("store", "def f():\n    from roadworthy.registry import releases\n"),
    ],
)
def test_a_planted_sideways_import_is_found(tmp_path, room, line):
    planted = tmp_path / "roadworthy"
    shutil.copytree(SRC, planted, ignore=shutil.ignore_patterns("__pycache__"))
    (planted / room / "planted.py").write_text(line)
    assert [found.split(":")[0] for found in sideways(planted)] == [f"{room}/planted.py"]


def test_no_two_rooms_import_each_other():
    edges = {(room_of(path, SRC), there) for path, tree in modules(SRC) for there, _ in imports(tree)}
    assert [pair for pair in edges if pair[0] < pair[1] and pair[::-1] in edges] == []


def test_no_module_is_a_grab_bag():
    assert [path for path, _ in modules(SRC) if path.stem in BAD_NAMES] == []


def test_every_module_says_what_it_is():
    assert [path for path, tree in modules(SRC) if not ast.get_docstring(tree)] == []


def test_functions_and_files_keep_to_their_budget():
    long = [
        f"{path.relative_to(SRC)}:{node.lineno} {node.name}"
        for path, tree in modules(SRC)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno - node.lineno >= 80
    ]
    assert long == []
    assert [path for path, tree in modules(SRC) if path.read_text().count("\n") > 600] == []


def test_importing_roadworthy_loads_nothing_heavy():
    code = "import sys, json, roadworthy; roadworthy.__version__; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.check_output([sys.executable, "-c", code]))
    assert HEAVY.intersection(loaded) == set()


def test_the_front_door_offers_a_dozen_names_that_exist():
    import roadworthy

    assert len(roadworthy.__all__) <= 14
    assert all(getattr(roadworthy, name) is not None for name in roadworthy.__all__)


def test_importing_the_vocabulary_loads_no_numpy():
    names = "[getattr(roadworthy, name) for name in roadworthy.__all__]"
    code = f"import sys, roadworthy; {names}; assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
