"""The flights project with the rollout of this benchmark, in a folder of its own."""

from __future__ import annotations

import shutil
from pathlib import Path

import yaml

from roadworthy.cli.catalogs import catalogs
from roadworthy.cli.flows import prepare
from roadworthy.core.project import read_project

HERE = Path(__file__).parent
REPO = HERE.parents[1]


def project_copy(folder: Path) -> Path:
    """The example, its tables and model made, with `rollout.yaml` in the project file and the faults beside it."""
    shutil.copytree(REPO / "examples" / "flights", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".road*"))
    shutil.copy(HERE / "spoiling.py", folder)
    file = folder / "roadworthy.yaml"
    told = yaml.safe_load(file.read_text(encoding="utf-8"))
    told |= yaml.safe_load((HERE / "rollout.yaml").read_text(encoding="utf-8"))
    del told["scenarios"]
    file.write_text(yaml.safe_dump(told, sort_keys=False, allow_unicode=True), encoding="utf-8")
    prepare(read_project(folder, False, catalogs()))
    return folder
