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
    from roadworthy.core.artifact import Release
    from roadworthy.registry.releases import Registry
    from roadworthy.store.state import State


def project_option(parser: argparse.ArgumentParser) -> None:
    """`--project PATH`: where `roadworthy.yaml` is, or another project file."""
    parser.add_argument(
        "--project", type=Path, default=Path(), metavar="PATH", help="folder of roadworthy.yaml, or a project file (.)"
    )


def state_option(parser: argparse.ArgumentParser) -> None:
    """`--state DIR`: where the records are, if not beside the project file."""
    parser.add_argument(
        "--state", type=Path, default=None, help="directory of the records (.roadworthy in the project)"
    )


def open_spec(args: argparse.Namespace, check_files: bool = True) -> Spec:
    """The project that the options name."""
    return read_project(args.project, check_files, catalogs())


def open_state(spec: Spec, directory: Path | None = None) -> State:
    """The project's state directory, or the one that is given; made at its first use."""
    from roadworthy.store.state import State

    return State.open(directory or spec.state, spec.serving.durability, spec.log, spec.store.metadata)


def existing_state(spec: Spec, directory: Path | None = None) -> State:
    """The state directory of a project that something was done with already; its own unless another one is given."""
    place = directory or spec.state
    if not place.is_dir():
        raise Missing(f"nothing was done in {str(place)!r} yet: begin with `roadworthy release` or `roadworthy run`")
    return open_state(spec, place)


def registry_of(spec: Spec, state: State) -> Registry:
    """The releases of a project, under its rules of promotion."""
    from roadworthy.registry.releases import Registry

    return Registry(state, spec.promotion, spec.root)


def release_named(registry: Registry, spec: Spec, digest: str) -> Release:
    """The release with this digest (or enough of it), without one what is stable now. Raises Missing."""
    found = digest or registry.alias(spec.application.name, "stable")
    if found is None:
        raise Missing(f"{spec.application.name!r} has no stable release: name a digest from `roadworthy releases`")
    return registry.get(found)
