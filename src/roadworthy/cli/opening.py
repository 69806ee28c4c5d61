"""What most commands open first: the project file, and the state directory beside it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from roadworthy.cli.catalogs import catalogs
from roadworthy.core.errors import Missing
from roadworthy.core.project import read_project
from roadworthy.core.spec import Spec

if TYPE_CHECKING:
    from roadworthy.registry.releases import Registry
    from roadworthy.store.state import State


def project_option(parser: argparse.ArgumentParser) -> None:
    """`--project DIR`: where `roadworthy.yaml` is."""
    parser.add_argument("--project", type=Path, default=Path(), metavar="DIR", help="folder of roadworthy.yaml (.)")


def state_option(parser: argparse.ArgumentParser) -> None:
    """`--state DIR`: where the records are, if not beside the project file."""
    parser.add_argument(
        "--state", type=Path, default=None, help="directory of the records (.roadworthy in the project)"
    )


def open_spec(args: argparse.Namespace, check_files: bool = True) -> Spec:
    """The project that the options name."""
    return read_project(args.project, check_files, catalogs())


def open_state(spec: Spec) -> State:
    """The project's state directory, made at its first use."""
    from roadworthy.store.state import State

    return State.open(spec.state, spec.serving.durability, spec.log, spec.store.metadata)


def existing_state(spec: Spec, directory: Path | None = None) -> State:
    """The state directory of a project that something was done with already; its own unless another one is given."""
    from roadworthy.store.state import State

    place = directory or spec.state
    if not place.is_dir():
        raise Missing(f"nothing was done in {str(place)!r} yet: begin with `roadworthy release` or `roadworthy run`")
    return State.open(place, spec.serving.durability, spec.log, spec.store.metadata)


def registry_of(spec: Spec, state: State) -> Registry:
    """The releases of a project, under its rules of promotion."""
    from roadworthy.registry.releases import Registry

    return Registry(state, spec.promotion, spec.root)
