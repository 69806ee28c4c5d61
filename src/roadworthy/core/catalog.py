"""A Catalog knows the leaves of one kind by name: ours by their folder, others by entry point or `file.py:Name`.

It turns a plan (text, or a name with settings) into an object and back. Only doors and file readers look names up;
in Python one passes objects.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import pkgutil
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec

from roadworthy.core.errors import MissingExtra, SpecError, nearest, unknown

Leaf = TypeVar("Leaf")
Made = TypeVar("Made", bound=type)

# Whoever asks for what another thread is loading waits, and does not get half of it.
_LOADING = threading.RLock()


class Catalog(Generic[Leaf]):
    """The leaves of one kind. Calling it with a name registers a class: `@detector("psi")`."""

    def __init__(self, kind: str, folder: str) -> None:
        self.kind = kind
        self.folder = folder
        self._classes: dict[str, type] = {}
        self._scanned = False

    def __call__(self, name: str, *, needs: tuple[tuple[str, str], ...] = ()) -> Callable[[Made], Made]:
        """Register a frozen dataclass under a name; `needs` lists (module, extra) that it imports when it is used."""

        def register(leaf: Made) -> Made:
            if not dataclasses.is_dataclass(leaf):
                raise TypeError(f"{self.kind} {name!r} must be a frozen dataclass, got {leaf!r}")
            if name in self._classes and self._classes[name].__qualname__ != leaf.__qualname__:
                raise TypeError(f"two {self.kind}s are named {name!r}: {self._classes[name]!r} and {leaf!r}")
            setattr(leaf, "catalog_name", name)  # noqa: B010  a class attribute that mypy cannot see on `type`
            setattr(leaf, "needs", needs)  # noqa: B010
            self._classes[name] = leaf
            return leaf

        return register

    def __iter__(self) -> Iterator[str]:
        self._scan()
        return iter(sorted(self._classes))

    def get(self, name: str, root: Path | None = None) -> type:
        """The class behind a name, or behind `file.py:Name` relative to `root`. Raises SpecError."""
        if ":" in name:
            found = load(name, root)
            if not isinstance(found, type) or not dataclasses.is_dataclass(found):
                raise SpecError(f"{name!r} is not a frozen dataclass, which a {self.kind} must be")
            return found
        self._scan()
        if name not in self._classes:
            raise SpecError(unknown(self.kind, name, self._classes))
        return self._classes[name]

    def make(self, plan: Any, root: Path | None = None, **given: Any) -> Leaf:
        """A plan made into an object: `"psi"`, `"psi:bins=20,alpha=0.01"`, or `{"psi": {"bins": 20}}`.

        `given` are settings that the caller knows (a path, say) and the plan need not repeat.
        """
        name, settings = read_plan(plan)
        leaf = self.get(name, root)
        for module, extra in getattr(leaf, "needs", ()):
            if importlib.util.find_spec(module) is None:
                raise MissingExtra(f"{self.kind} {name!r}", module, extra)
        fields = {f.name: f for f in dataclasses.fields(leaf) if f.init}
        for key in settings:
            if key not in fields:
                has = ", ".join(fields) or "none"
                raise SpecError(f"{self.kind} {name!r} has no setting {key!r}{nearest(key, fields)} (it has: {has})")
        known = {key: value for key, value in given.items() if key in fields}
        try:
            made: Leaf = msgspec.convert({**known, **settings}, leaf, strict=False)
        except (msgspec.ValidationError, ValueError) as wrong:
            raise SpecError(f"{self.kind} {name!r} with {settings!r}: {wrong}") from wrong
        return made

    def describe(self) -> dict[str, str]:
        """Each name with the first line of its docstring."""
        return {name: (self._classes[name].__doc__ or "").strip().split("\n")[0] for name in self}

    def _scan(self) -> None:
        with _LOADING:
            if not self._scanned:
                self._scanned = True
                self._import_leaves()

    def _import_leaves(self) -> None:
        package = importlib.import_module(self.folder)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self.folder}.{module.name}")
        # Imported late: importlib.metadata costs more than all of the catalog.
        from importlib.metadata import entry_points

        for entry in entry_points(group=f"roadworthy.{self.kind}"):
            self(entry.name)(entry.load())


def read_plan(plan: Any) -> tuple[str, dict[str, Any]]:
    """The name and the settings in a plan.

    >>> read_plan("psi:bins=20,alpha=0.01")
    ('psi', {'bins': '20', 'alpha': '0.01'})
    >>> read_plan({"psi": {"bins": 20}})
    ('psi', {'bins': 20})
    >>> read_plan("faults.py:Flaky")
    ('faults.py:Flaky', {})
    >>> read_plan('{"torch": {"code": "net.py:Net"}}')
    ('torch', {'code': 'net.py:Net'})
    """
    if isinstance(plan, str) and plan.startswith("{"):
        plan = _from_json(plan)
    if isinstance(plan, str):
        head, _, tail = plan.rpartition(":")
        if not head or "=" not in tail:
            return plan, {}
        pairs = [setting.partition("=") for setting in tail.split(",")]
        return head, {key.strip(): value.strip() for key, _, value in pairs}
    if isinstance(plan, Mapping) and len(plan) == 1:
        ((name, settings),) = plan.items()
        if settings is None or isinstance(settings, Mapping):
            return str(name), dict(settings or {})
    raise SpecError(f"a plan is a name, `name:setting=value` or {{name: {{setting: value}}}}; got {plan!r}")


def _from_json(plan: str) -> Any:
    """A plan whose settings do not fit into `name:setting=value`, as a release keeps it."""
    try:
        return msgspec.json.decode(plan)
    except msgspec.DecodeError as wrong:
        raise SpecError(f"{plan!r} begins like JSON and is none: {wrong}") from wrong


def write_plan(leaf: Any) -> str | dict[str, dict[str, Any]]:
    """The shortest plan that makes this object again: settings at their default are left out."""
    changed = {
        f.name: msgspec.to_builtins(getattr(leaf, f.name))
        for f in dataclasses.fields(leaf)
        if f.init and not _is_default(f, getattr(leaf, f.name))
    }
    name = getattr(leaf, "catalog_name", f"{type(leaf).__module__}:{type(leaf).__qualname__}")
    return {name: changed} if changed else name


def load(where: str, root: Path | None = None) -> Any:
    """The object behind `package.module:name` or `file.py:name`, the file being relative to `root`."""
    place, _, name = where.rpartition(":")
    if not place.endswith(".py"):
        try:
            module = importlib.import_module(place)
        except ModuleNotFoundError as gone:
            raise SpecError(f"{where!r}: {gone}; write `package.module:name` or `file.py:name`") from gone
    else:
        module = _module_of((root or Path()) / place)
    if not hasattr(module, name):
        public = [n for n in vars(module) if not n.startswith("_")]
        raise SpecError(f"{place} has no {name!r}{nearest(name, public)}")
    return getattr(module, name)


def _module_of(file: Path) -> Any:
    with _LOADING:
        return _loaded(file.resolve())


def _loaded(file: Path) -> Any:
    if not file.is_file():
        raise SpecError(f"no file {str(file)!r} to load code from")
    # The whole path is in the name, so that `train.py` of two projects are two modules.
    name = "roadworthy_project." + "_".join(file.with_suffix("").parts[1:])
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, file)
        if spec is None or spec.loader is None:
            raise SpecError(f"{str(file)!r} cannot be loaded as Python")
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except BaseException:
            del sys.modules[name]
            raise
    return sys.modules[name]


def _is_default(f: dataclasses.Field[Any], value: Any) -> bool:
    if f.default_factory is not dataclasses.MISSING:
        return bool(f.default_factory() == value)
    return bool(f.default == value) if f.default is not dataclasses.MISSING else False
