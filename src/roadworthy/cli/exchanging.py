"""Releases that come from MLflow and go there, and the cards that tell people of models and tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from roadworthy.cli.flows import handler_of
from roadworthy.registry.exchange.card_body import CardFacts, Course
from roadworthy.registry.exchange.mlflow_models import Imported, import_model
from roadworthy.registry.exchange.mlflow_server import Server
from roadworthy.rollout.control.signal_names import stage_name
from roadworthy.rollout.rollout_state import history

if TYPE_CHECKING:
    from roadworthy.core.artifact import Release
    from roadworthy.core.measure import Measurement
    from roadworthy.core.spec import Spec
    from roadworthy.registry.releases import Registry
    from roadworthy.store.state import State


def release_import(
    spec: Spec, registry: Registry, uri: str, server: str, at: float, by: str, why: str, trust: bool, unsigned: bool
) -> tuple[Imported, bool]:
    """Take a model of MLflow in as a release; it goes live when nothing else is. True when it did.

    Its handler is built once before it is kept: a model that does not fit the application never gets in.
    """
    from roadworthy.serve.formats.folder import pack

    name, folder = spec.application.name, spec.state / "work"
    folder.mkdir(parents=True, exist_ok=True)
    got = import_model(uri, folder, pack, spec.signature, Server(server), name=name, trust=trust, unsigned=unsigned)
    handler_of(spec, got.release, got.files)
    wanted = got.release.fingerprint
    added = next((known for known in registry.list() if known.fingerprint == wanted), None)
    added = added or registry.add(got.release, got.files, at, by)
    live = registry.alias(name, "stable") is None
    if live:
        registry.point(name, "stable", added.digest, at, by, why)
    return Imported(added, got.files, got.origin, got.claims), live


def unpacked(file: Path, folder: Path) -> Path:
    """The folder that was packed into a file, within the limits for models of strangers."""
    from roadworthy.serve.formats.base import LIMITS
    from roadworthy.serve.formats.folder import unpack

    with file.open("rb") as stream:
        return unpack(stream, str(file), folder, LIMITS)


def card_facts(spec: Spec, state: State, release: Release, licence: str) -> CardFacts:
    """What a model card of the release tells: itself, what the gap report measured of it, its rollouts."""
    return CardFacts(
        release,
        spec.application,
        data=spec.application.name,
        split=spec.data.lab,
        licence=licence,
        measured=_measured(spec, release),
        rollouts=courses_of(state, spec.application.name, release.digest),
    )


def courses_of(state: State, deployment: str, digest: str) -> tuple[Course, ...]:
    """The rollouts that a release went through, for its card."""
    mine = [found for found in history(state.engine, deployment) if found.candidate == digest]
    return tuple(
        Course(found.started_at, stage_name(found.step), found.status.replace("_", " "), found.because)
        for found in mine
    )


def _measured(spec: Spec, release: Release) -> tuple[Measurement, ...]:
    """The production figures of the gap report, where it is of this very release."""
    from roadworthy.cli.readying import of_project
    from roadworthy.evaluate.reports.report import read_json

    file = spec.state / "gap.json"
    if not file.is_file() or of_project(spec, [release]) != release.digest:
        return ()
    report = read_json(file.read_bytes())
    sliced = [m for part in report.slices for m in part.measured]
    return (*report.production, *sliced)
