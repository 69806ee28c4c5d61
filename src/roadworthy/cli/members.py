"""The models that a project file names, and a release made of several that answer together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from roadworthy.app.mixture import POLICY, check, waits
from roadworthy.core.artifact import Artifact, Member, Release
from roadworthy.core.catalog import read_plan
from roadworthy.core.errors import Missing, SpecError
from roadworthy.core.spec import MemberSpec, ModelSpec, Spec
from roadworthy.learn.retrain import written

ENGINES = {".onnx": "onnx", ".skops": "sklearn", ".pkl": "sklearn", ".joblib": "sklearn", ".pt2": "torch"}
# What writes the `policy_file` of which policy.
FITTED_BY = {"cascade": "roadworthy cascade fit", "routed": "roadworthy route fit"}


class Named(NamedTuple):
    """A model of the project: its file (none where it runs elsewhere), and the plan of what runs it."""

    file: str
    engine: Any


def models_of(spec: Spec) -> dict[str, Named]:
    """The project's models by the names of their artifacts. Raises SpecError where no engine is known for one."""
    if not spec.model.members:
        return {"model": Named(spec.model.file, engine_of(spec, spec.model, "model"))}
    members = spec.model.members.items()
    return {name: Named(one.file, engine_of(spec, one, f"model.members.{name}")) for name, one in members}


def engine_of(spec: Spec, model: ModelSpec | MemberSpec, place: str) -> Any:
    """The plan of what runs a model: as it says, or as its file's suffix does. Raises SpecError."""
    file = spec.path(model.file)
    plan = model.engine or (ENGINES.get(file.suffix, "") if model.file else "")
    if not plan:
        raise SpecError(f"no engine is known for {file.suffix!r} files: name one as `{place}.engine` ({file})")
    if not model.file and not waits(plan):
        raise SpecError(f"`{place}` has no `file`, and its engine {read_plan(plan)[0]!r} asks no model elsewhere")
    return plan


def mixture_of(spec: Spec, release: Release) -> tuple[Release, dict[str, Path]]:
    """The release with the project's members and policy in it, and their files. Raises SpecError.

    A model elsewhere has a file, too: it tells which one is asked, and the release's digest covers that.
    """
    models = models_of(spec)
    artifacts = [Artifact(n, "", 0, written(m.engine), m.file or "elsewhere") for n, m in models.items()]
    files = {n: spec.path(m.file) if m.file else _described(spec, n, m.engine) for n, m in models.items()}
    if spec.model.policy_file:
        artifacts.append(Artifact(POLICY, "", 0, made_by=spec.model.policy_file))
        files[POLICY] = spec.path(spec.model.policy_file)
    members = tuple(
        Member(name, one.preprocessing, one.wrappers, one.usd_per_1k) for name, one in spec.model.members.items()
    )
    whole = replace(release, artifacts=tuple(artifacts), members=members, policy=spec.model.policy)
    check(whole)
    return whole, files


def refuse_absent(spec: Spec, files: Mapping[str, Path]) -> None:
    """Raise Missing where a file of a release is not made yet, with who makes it."""
    for name, file in files.items():
        if file.exists():
            continue
        if name == POLICY:
            command = FITTED_BY.get(read_plan(spec.model.policy)[0], "")
            next_step = f"run `{command}` first, which writes it" if command else "fit the policy first"
        else:
            next_step = f"run the project's `prepare` ({spec.prepare}) first" if spec.prepare else "make it first"
        raise Missing(f"there is no {str(file)!r} yet: {next_step}")


def changed(model: ModelSpec, engines: Mapping[str, Any]) -> ModelSpec:
    """The same models with other engines, by the names of their artifacts."""
    if not model.members:
        return replace(model, engine=engines.get("model", model.engine))
    members = {name: replace(one, engine=engines.get(name, one.engine)) for name, one in model.members.items()}
    return replace(model, members=members)


def uncached(model: ModelSpec) -> ModelSpec:
    """The same models without the wrapper `cache`, around each and around all."""

    def kept(plans: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(plan for plan in plans if read_plan(plan)[0] != "cache")

    members = {name: replace(one, wrappers=kept(one.wrappers)) for name, one in model.members.items()}
    return replace(model, wrappers=kept(model.wrappers), members=members)


def _described(spec: Spec, name: str, engine: Any) -> Path:
    """A file that tells which model elsewhere a member is."""
    folder = spec.state / "work"
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.elsewhere.json"
    file.write_bytes(msgspec.json.format(msgspec.json.encode(engine, order="deterministic")))
    return file
