"""Reads `roadworthy.yaml` into a Spec; each mistake is told with its line, what is allowed and the nearest name."""

from __future__ import annotations

import math
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import UnionType
from typing import Any, Literal

import msgspec
import yaml
from msgspec import Struct
from msgspec.structs import fields, replace

from roadworthy.core.catalog import Catalog, read_plan
from roadworthy.core.errors import MissingExtra, SpecError, nearest
from roadworthy.core.measure import Requirement
from roadworthy.core.member_faults import member_faults
from roadworthy.core.named_files import Place, absent
from roadworthy.core.spec import Spec

FILE_NAME = "roadworthy.yaml"

# The unit in which each known metric is measured. A requirement that leaves its unit out gets this one.
UNITS: Mapping[str, str] = {
    "p50_ms": "ms",
    "p95_ms": "ms",
    "p99_ms": "ms",
    "usd_per_1k": "usd",
    "usd_per_row": "usd",
    "log_loss": "nats",
    "auc": "1",
    "ece": "1",
    "accuracy": "1",
    "error_rate": "1",
    "throughput_rps": "rps",
    "max_rate_rps": "rps",
    "edges_handled": "1",
    "ready_ms": "ms",
    "rss_peak": "bytes",
    "set_size": "names",
    **dict.fromkeys(("coverage", "interval_width", "flagged", "accuracy_answered", "accuracy_flagged"), "1"),
    **dict.fromkeys(("debiased_ece", "top_label_ece", "classwise_ece", "brier"), "1"),
    **dict.fromkeys(("aurc", "excess_aurc", "error_auroc"), "1"),
    **dict.fromkeys(("escalation_share", "unconfirmed_share", "audit_agreement", "answered_share"), "1"),
}

# Which catalog names the plans under a key of the file.
KINDS: Mapping[str, str] = {
    "engine": "engine",
    "policy": "policy",
    "fallback": "fallback",
    "jobs": "queue",
    "preprocessing": "wrapper",
    "wrappers": "wrapper",
    "gates": "gate",
    "gate": "gate",
    "detectors": "detector",
    "rules": "rule",
    "sinks": "sink",
    "ship": "shipment",
    "corruptions": "corruption",
}

_FAULTY: Any = object()


def read_project(path: Path, check_files: bool = True, catalogs: Mapping[str, Catalog[Any]] | None = None) -> Spec:
    """The Spec in a project file, or in the `roadworthy.yaml` of a folder.

    With `check_files` the files that it names must exist, except those that its `prepare` makes. `catalogs` maps a
    kind ("gate", "detector", "metric", ...) to the catalog that knows its names; plans of other kinds are not looked
    up. Raises one SpecError with a line `file:line: ...` for every mistake.
    """
    file = path / FILE_NAME if path.is_dir() else path
    reader = _Reader(file, catalogs or {})
    spec = reader.spec()
    amiss = (*_roles(spec), *_alarms(spec), *member_faults(spec, catalogs or {}))
    for place, what in (*amiss, *(absent(spec) if check_files else ())):
        reader.fault(reader.line(place), what)
    reader.finish()
    return spec


class _Reader:
    """Walks the YAML nodes and the types of the Spec side by side, gathering faults with their lines."""

    def __init__(self, file: Path, catalogs: Mapping[str, Catalog[Any]]) -> None:
        self.file = file
        self.catalogs = catalogs
        self.faults: list[tuple[int, str]] = []
        self.lines: dict[Place, int] = {}
        self.construct = yaml.SafeLoader("")

    def spec(self) -> Spec:
        node = self.compose(self.text())
        found = self.read(node, Spec, ())
        self.finish()
        spec: Spec = replace(found, root=self.file.parent, name=Path(self.file.name))
        return spec

    def fault(self, line: int, what: str) -> Any:
        self.faults.append((line, what))
        return _FAULTY

    def finish(self) -> None:
        if self.faults:
            raise SpecError("\n".join(f"{self.file}:{line}: {what}" for line, what in sorted(self.faults)))

    def line(self, place: Place) -> int:
        """The line of a place, or of the nearest thing around it that the file spells out."""
        while place and place not in self.lines:
            place = place[:-1]
        return self.lines.get(place, 1)

    def text(self) -> str:
        if not self.file.is_file():
            others = [p.name for p in self.file.parent.glob("*.y*ml")] if self.file.parent.is_dir() else []
            near = nearest(self.file.name, others) or "; `roadworthy new` writes one"
            raise SpecError(f"{self.file}:1: no such project file{near}")
        raw = self.file.read_bytes()
        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as wrong:
            line = raw[: wrong.start].count(b"\n") + 1
            raise SpecError(f"{self.file}:{line}: byte {raw[wrong.start]:#x} is not UTF-8; save it as UTF-8") from None
        if not text.strip():
            raise SpecError(f"{self.file}:1: the file is empty; `roadworthy new` writes one to start from")
        return text

    def compose(self, text: str) -> yaml.Node:
        try:
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.MarkedYAMLError as wrong:
            mark = wrong.problem_mark or wrong.context_mark
            line = mark.line + 1 if mark else 1
            written = (text.splitlines() or [""])[min(line, text.count("\n") + 1) - 1]
            tab = "a tab in the indentation; YAML indents with spaces"
            indented = written[: len(written) - len(written.lstrip())]
            raise SpecError(f"{self.file}:{line}: {tab if chr(9) in indented else wrong.problem}") from None
        except yaml.YAMLError as wrong:
            raise SpecError(f"{self.file}:1: not readable as YAML: {wrong}") from None
        if node is None:
            raise SpecError(f"{self.file}:1: only comments; `roadworthy new` writes a file to start from")
        return node

    def read(self, node: yaml.Node, kind: Any, place: Place) -> Any:
        self.lines.setdefault(place, node.start_mark.line + 1)
        origin, inside = typing.get_origin(kind), typing.get_args(kind)
        if isinstance(kind, type) and issubclass(kind, Struct):
            return self.struct(node, kind, place)
        if origin is tuple:
            return self.many(node, inside[0], place)
        if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
            found = self.mapping(node, place)
            if found is None:
                return _FAULTY
            return _whole({name: self.read(value, inside[1], (*place, name)) for name, value in found.items()}, dict)
        return self.plan(node, place) if kind is Any else self.leaf(node, kind, place)

    def struct(self, node: yaml.Node, kind: type[Struct], place: Place) -> Any:
        hints = typing.get_type_hints(kind)
        # A Path is never written in the file: `root` and `name` are where the file stands.
        allowed = {f.name: f for f in fields(kind) if hints[f.name] is not Path}
        before = len(self.faults)
        values: dict[str, Any] = {}
        written = self.mapping(node, place)
        if written is None:
            return _FAULTY
        for name, value in written.items():
            if name in allowed:
                values[name] = self.read(value, hints[name], (*place, name))
            else:
                known = f"{nearest(name, allowed)} (allowed: {', '.join(allowed)})"
                self.fault(self.line((*place, name)), f"no key {name!r} in {_said(place)}{known}")
        for name, f in allowed.items():
            if f.required and name not in values:
                self.fault(self.line(place), f"{_said(place)} lacks the key {name!r}")
        if len(self.faults) > before:
            return _FAULTY
        try:
            made = kind(**values)
        except ValueError as wrong:
            return self.fault(self.line(place), str(wrong))
        return self.requirement(made, values, place) if isinstance(made, Requirement) else made

    def mapping(self, node: yaml.Node, place: Place) -> dict[str, yaml.Node] | None:
        """The keys of a mapping with their nodes, None where it is none; a key given twice is a fault."""
        if not isinstance(node, yaml.MappingNode):
            self.fault(self.line(place), f"{_said(place)} must be a mapping (`key: value`), found {self.shown(node)}")
            return None
        self.unrepeated(node, place)
        self.construct.flatten_mapping(node)
        found: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = self.construct.construct_object(key, deep=True)
            line = key.start_mark.line + 1
            if isinstance(name, str):
                self.lines[*place, name] = line
                found[name] = value
            else:
                self.fault(line, f"the key {key.value!r} in {_said(place)} is read as {name!r}; put it in quotes")
        return found

    def unrepeated(self, node: yaml.MappingNode, place: Place) -> None:
        first: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.value in first and isinstance(key, yaml.ScalarNode):
                self.fault(line, f"the key {key.value!r} is given twice, first in line {first[key.value]}")
            elif isinstance(key, yaml.ScalarNode):
                first[key.value] = line

    def many(self, node: yaml.Node, kind: Any, place: Place) -> Any:
        if not isinstance(node, yaml.SequenceNode):
            return self.fault(self.line(place), f"{_said(place)} must be a list, found {self.shown(node)}")
        return _whole({n: self.read(item, kind, (*place, n)) for n, item in enumerate(node.value)}, tuple)

    def leaf(self, node: yaml.Node, kind: Any, place: Place) -> Any:
        value = self.value(node, place)
        if value is _FAULTY:
            return value
        try:
            made = msgspec.convert(value, kind)
        except msgspec.ValidationError:
            what = f"{_said(place)} must be {_allowed(kind)}, found {value!r}{_hint(value, kind)}"
            return self.fault(self.line(place), what)
        if isinstance(made, float) and not math.isfinite(made):
            return self.fault(self.line(place), f"{_said(place)} must be a finite number, found {value!r}")
        return made

    def plan(self, node: yaml.Node, place: Place) -> Any:
        value = self.value(node, place)
        if value is _FAULTY or value == "":
            return value
        try:
            name, _ = read_plan(value)
            catalog = self.catalogs.get(KINDS.get(_key(place), ""))
            # Code of the project itself is not run merely to read the file.
            if catalog is not None and ":" not in name:
                catalog.make(value, file=Path("model"))
        except MissingExtra:
            # The file is right; whoever makes the leaf says what to install.
            return value
        except SpecError as wrong:
            return self.fault(self.line(place), f"{_said(place)}: {wrong}")
        return value

    def value(self, node: yaml.Node, place: Place) -> Any:
        try:
            return self.construct.construct_object(node, deep=True)
        except (yaml.YAMLError, ValueError) as wrong:
            problem = getattr(wrong, "problem", None) or wrong
            return self.fault(self.line(place), f"{_said(place)} cannot be read: {problem}")

    def requirement(self, made: Requirement, given: Mapping[str, Any], place: Place) -> Any:
        unit = UNITS.get(made.metric, made.unit)
        if "unit" in given and made.unit != unit:
            what = f"`{made.metric}` is measured in {unit!r}, found the unit {made.unit!r}; write `unit: {unit}`"
            return self.fault(self.line((*place, "unit")), what)
        catalog = self.catalogs.get("metric")
        if catalog is not None and made.metric not in {*UNITS, *catalog}:
            known = sorted({*UNITS, *catalog})
            what = f"no metric named {made.metric!r}{nearest(made.metric, known)} (known: {', '.join(known)})"
            return self.fault(self.line((*place, "metric")), what)
        return replace(made, unit=unit)

    def shown(self, node: yaml.Node) -> str:
        if isinstance(node, yaml.ScalarNode):
            return repr(node.value) if node.value else "nothing"
        return "a list" if isinstance(node, yaml.SequenceNode) else "a mapping"


def _roles(spec: Spec) -> Iterable[tuple[Place, str]]:
    """The outcome and the time at which it became known cannot be inputs: nobody has them when the model is asked."""
    columns = spec.data.columns
    for role in ("label", "known_at"):
        name = getattr(columns, role)
        if name and name in spec.application.inputs:
            what = f"{name!r} is the `{role}` column, unknown when the model is asked: it cannot be an input"
            yield ("application", "inputs", name), what


def _alarms(spec: Spec) -> Iterable[tuple[Place, str]]:
    """A retraining on an alarm that no detector raises would never come."""
    known = [read_plan(plan)[0] for plan in spec.monitor.detectors]
    for n, name in enumerate(spec.retrain.alarms):
        if name not in known:
            near = f"{nearest(name, known)} (it has: {', '.join(known) or 'none'})"
            yield ("retrain", "alarms", n), f"no detector {name!r} in `monitor.detectors`{near}"


def _whole(found: dict[Any, Any], kind: type[dict[str, Any]] | type[tuple[Any, ...]]) -> Any:
    """The values as they are wanted, or the mark of a fault when one of them has one."""
    if any(value is _FAULTY for value in found.values()):
        return _FAULTY
    return found if kind is dict else tuple(found.values())


def _key(place: Place) -> str:
    return next((part for part in reversed(place) if isinstance(part, str)), "")


def _said(place: Place) -> str:
    """`application.requirements[0]`, in backticks."""
    said = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return f"`{said.lstrip('.')}`" if said else "the file"


def _allowed(kind: Any) -> str:
    if typing.get_origin(kind) is Literal:
        return "one of " + ", ".join(typing.get_args(kind))
    if isinstance(kind, UnionType):
        kind = next(part for part in typing.get_args(kind) if part is not type(None))
    names = {str: "text", float: "a number", int: "a whole number", bool: "true or false"}
    return names.get(kind, str(kind))


def _hint(value: Any, kind: Any) -> str:
    """What would probably be right: the nearest of the choices, a number written plainly, a text in quotes."""
    if typing.get_origin(kind) is Literal and isinstance(value, str):
        return nearest(value, typing.get_args(kind))
    if kind is str and not isinstance(value, list | dict | None):
        return "; put it in quotes"
    try:
        # YAML 1.1 reads 1e-3 as text: it wants 1.0e-3.
        return f"; write {float(value)!r}" if isinstance(value, str) else ""
    except ValueError:
        return ""
