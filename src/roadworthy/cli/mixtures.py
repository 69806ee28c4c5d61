"""What commands about several models begin with: where a fit lies, and what the release in production answered."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from roadworthy.cli.opening import existing_state, registry_of, release_named
from roadworthy.cli.spans import stretch_of
from roadworthy.core.errors import BadRequest, Missing

if TYPE_CHECKING:
    from roadworthy.core.artifact import Release
    from roadworthy.core.record import Record
    from roadworthy.core.spec import Spec


class Served(NamedTuple):
    """The stable release with its files, and its records of a stretch."""

    release: Release
    files: Mapping[str, Path]
    records: list[Record]


def served(spec: Spec, args: argparse.Namespace) -> Served:
    """What is stable now, and what it answered in the stretch that the options name. Raises Missing for nothing."""
    with existing_state(spec) as state:
        registry, span = registry_of(spec, state), stretch_of(args, state)
        release = release_named(registry, spec, "")
        records = state.records.read(span.since, span.until, release=release.digest)
        if not records:
            raise Missing(
                f"release {release.digest[:12]}, which is stable, has no record in this stretch: `roadworthy serve` it "
                f"and ask it, or name another stretch with `--days` or `--from`"
            )
        return Served(release, registry.files(release), records)


def fit_file(spec: Spec, out: Path | None) -> Path:
    """Where a fit is written: where the options say, else the project's `policy_file`; its folder is there."""
    found = out or (spec.path(spec.model.policy_file) if spec.model.policy_file else None)
    if found is None:
        raise BadRequest("where to? Give `--out FILE`, or name a `policy_file` below `model:` of the project file")
    found.parent.mkdir(parents=True, exist_ok=True)
    return found
