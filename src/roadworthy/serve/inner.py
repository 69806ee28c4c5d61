"""An engine inside another: made from a plan, with its file out of the folder that the outer one is given.

The outer engine's artifact is a folder, packed into one file, and its plan holds the plans of the inner ones; so a
release that is content-addressed stays so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from roadworthy.core.catalog import read_plan
from roadworthy.core.errors import BadData, SpecError, nearest
from roadworthy.serve.base import Engine, engine
from roadworthy.serve.formats.base import LIMITS, Limits
from roadworthy.serve.formats.kind import Kind
from roadworthy.serve.safe_import import kind_of_file

_ENGINES: Mapping[Kind, str] = {
    "onnx": "onnx",
    "skops": "sklearn",
    "pickle": "sklearn",
    "joblib": "sklearn",
    "safetensors": "torch",
    "torch": "torch",
    "exported": "torch",
    "mlflow": "mlflow",
}


@dataclasses.dataclass(frozen=True)
class Outer:
    """What the inner engines get of the outer one: its folder of files (or None), and its settings for them all.

    `code` is the project's own, which the release finds there and keeps as an artifact: an inner plan may name other
    things in the same file, and in no other.
    """

    place: Path | None
    folder: Path
    code: str = ""
    trust: bool = False
    output: str = ""
    limits: Limits = LIMITS

    def files(self) -> tuple[str, ...]:
        """What lies in the folder, in order. Raises BadData where it is no folder."""
        if self.place is None:
            return ()
        if not self.place.is_dir():
            raise BadData(f"{str(self.place)!r} is one file, and not a folder of model files: name the folder")
        return tuple(sorted(path.name for path in self.place.iterdir() if not path.name.startswith((".", "__"))))

    def engine(self, name: str, plan: Any) -> Engine:
        """The engine of a plan on the file `name`; an empty plan is that of the file's kind. Raises SpecError."""
        file = None if self.place is None or name not in self.files() else self.place / name
        plan = plan or self._by_content(name, file)
        kind, settings = read_plan(plan)
        self._see(kind, settings)
        fields = {field.name: field for field in dataclasses.fields(engine.get(kind, self.folder))}
        wants = "file" in fields and fields["file"].default is dataclasses.MISSING
        if wants and file is None:
            raise self._absent(name, kind)
        given: dict[str, Any] = {
            "folder": self.folder,
            "trust": self.trust,
            "output": self.output,
            "limits": self.limits,
        }
        given |= {"file": file} if file is not None else {}
        given |= {"code": self.code} if self.code else {}
        return engine.make(plan, self.folder, **given)

    def _by_content(self, name: str, file: Path | None) -> str:
        if file is None:
            raise self._absent(name, "")
        kind = kind_of_file(file)
        if kind not in _ENGINES:
            raise SpecError(f"no engine is known for {name!r}, which is of the kind {kind!r}: name one")
        return _ENGINES[kind]

    def _absent(self, name: str, kind: str) -> BadData:
        known, wants = ", ".join(self.files()) or "none", f" for the engine {kind!r}" if kind else ""
        return BadData(f"no file {name!r}{wants}{nearest(name, self.files())} (known: {known})")

    def _see(self, name: str, settings: Mapping[str, Any]) -> None:
        """Raise SpecError for what only counts where the release and the audit log look for it."""
        named = [name, *(value for value in settings.values() if isinstance(value, str))]
        kept = self.code.rpartition(":")[0]
        for file in [value.rpartition(":")[0] for value in named if ".py:" in value]:
            if file != kept:
                raise SpecError(
                    f"the plan of {name!r} names {file!r}, which is not in the release: write `code: {file}:Name` "
                    f"beside the plans of the members, and put what they need into that one file"
                )
        if "trust" in settings:
            raise SpecError(
                f"the plan of {name!r} says `trust`: write it beside the plans, where it is for all of them"
            )
