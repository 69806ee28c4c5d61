"""The order of the steps, written out: prepare, measure the gap, release, train a candidate, explain."""

from __future__ import annotations

import dataclasses
import hashlib
import platform
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from roadworthy.cli.members import changed, mixture_of, models_of, refuse_absent, uncached
from roadworthy.core.artifact import Artifact, Member, Release
from roadworthy.core.catalog import load, read_plan
from roadworthy.core.errors import BadData, SpecError
from roadworthy.core.measure import Claim, Measurement
from roadworthy.core.named_files import named
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Spec
from roadworthy.core.wire import Handler
from roadworthy.learn.retrain import candidate, train, written
from roadworthy.registry.keeping.revision import revision

if TYPE_CHECKING:
    from roadworthy.evaluate.gap import Effort
    from roadworthy.evaluate.reports.baseline import BaselineDiff
    from roadworthy.evaluate.reports.compare import Comparison
    from roadworthy.evaluate.reports.report import GapReport
    from roadworthy.registry.releases import Registry
    from roadworthy.rollout.control.incident import Incident
    from roadworthy.rollout.controller import Controller
    from roadworthy.store.state import State

Say = Callable[[str], None]
Measure = Callable[[Handler], tuple[Measurement, ...]]
DAY = 86_400.0
# What decides an answer beside the model itself, where it is installed.
PACKAGES = ("roadworthy", "numpy", "onnxruntime", "scikit-learn", "skl2onnx", "torch", "mlflow-skinny")


def silent(line: str) -> None:
    """For callers who want no progress."""


def prepare(spec: Spec, say: Say = silent) -> None:
    """Run the project's `prepare` function where a file that it makes is not there yet: `policy_file` is fitted."""
    made = (file for place, file in named(spec).items() if place != ("model", "policy_file"))
    if spec.prepare and not all(spec.path(file).exists() for file in made):
        say(f"prepare: {spec.prepare}")
        load(spec.prepare, spec.root)(spec.root, say)


def read(spec: Spec, table: str) -> Sample:
    """One of the project's tables: `lab`, `history` or `production`."""
    from roadworthy.data.tables import read_sample

    file = getattr(spec.data, table)
    if not file:
        raise SpecError(f"{spec.file} names no `data.{table}`, which this needs")
    asked = spec.application
    return read_sample(spec.path(file), spec.data.columns, asked.inputs, asked.task, asked.classes)


def claims_of(spec: Spec) -> tuple[Claim, ...]:
    """The claims given inline, and those of the model card."""
    if not spec.model.card:
        return spec.claims
    from roadworthy.evaluate.reproduction.claim_files import read_claims

    return (*spec.claims, *read_claims(spec.path(spec.model.card)))


def lab_release(spec: Spec, at: float, by: str) -> tuple[Release, dict[str, Path]]:
    """The project's own model, or its members, as a Release, with the files that it is made of. Raises Missing."""
    if not spec.model.file and not spec.model.members:
        told = (
            "names no `model.file`: write one, or measure a model that runs elsewhere with `roadworthy gap --endpoint`"
        )
        raise SpecError(f"{spec.file} {told}")
    release = Release(
        name=f"{spec.application.name}-lab",
        artifacts=(),
        signature=spec.signature,
        preprocessing=spec.model.preprocessing,
        wrappers=spec.model.wrappers,
        made_by=by,
        made_at=at,
        code=revision(spec.root),
        versions=versions(),
    )
    whole, files = mixture_of(spec, release) if spec.model.members else _of_one(spec, release)
    refuse_absent(spec, files)
    return with_code(whole, {name: _as_one_file(file, spec.state / "work") for name, file in files.items()}, spec.root)


def _of_one(spec: Spec, release: Release) -> tuple[Release, dict[str, Path]]:
    """The release with the project's only model in it."""
    ((name, model),) = models_of(spec).items()
    artifact = Artifact(name, "", 0, engine=written(model.engine), made_by=model.file)
    return msgspec.structs.replace(release, artifacts=(artifact,)), {name: spec.path(model.file)}


def trusting(spec: Spec) -> Spec:
    """The project with `trust` said for its model. Raises SpecError where its engine runs no code of a file."""
    from roadworthy.serve.base import engine

    plans = {name: read_plan(model.engine) for name, model in models_of(spec).items()}
    told = {
        artifact: {name: {**settings, "trust": True}}
        for artifact, (name, settings) in plans.items()
        if "trust" in {field.name for field in dataclasses.fields(engine.get(name, spec.root))}
    }
    if not told:
        names = " and ".join(sorted({repr(name) for name, _ in plans.values()}))
        raise SpecError(f"engine {names} runs no code that its file brings along: leave out `--trust`")
    return msgspec.structs.replace(spec, model=changed(spec.model, told))


def record_trust(spec: Spec, state: State, at: float, by: str) -> bool:
    """Write down who trusts a model's file, before anything opens it; True where the project says that one is trusted.

    The event is named `trusted` and has the file and its SHA-256; the release's digest covers the setting itself.
    """
    from roadworthy.serve.base import engine

    release, files = lab_release(spec, at, by)
    models = models_of(spec)
    trusted = [
        kept
        for kept in with_digests(release, files).artifacts
        if kept.name in models
        and getattr(engine.make(models[kept.name].engine, spec.root, file=files[kept.name]), "trust", False)
    ]
    for kept in trusted:
        about = {"file": models[kept.name].file, "sha256": kept.digest, "bytes": kept.bytes, "engine": kept.engine}
        state.note_deed(at, by, "trusted", spec.application.name, {"by": by, **about})
    return bool(trusted)


def with_code(release: Release, files: Mapping[str, Path], root: Path) -> tuple[Release, dict[str, Path]]:
    """The release with the project's own code (`file.py:Name` in its plans) among its artifacts: it decides answers."""
    around: tuple[Release | Member, ...] = (release, *release.members)
    plans = [read_plan(plan)[0] for one in around for plan in (*one.preprocessing, *one.wrappers)]
    plans += [read_plan(release.policy)[0]] if release.policy else []
    for artifact in release.artifacts:
        name, settings = read_plan(artifact.engine)
        plans += [name, *(value for value in settings.values() if isinstance(value, str))]
    code = sorted({name.rpartition(":")[0] for name in plans if ".py:" in name})
    added = tuple(Artifact(file, "", 0) for file in code if file not in files)
    whole = msgspec.structs.replace(release, artifacts=(*release.artifacts, *added))
    return whole, {**files, **{file: root / file for file in code}}


def with_digests(release: Release, files: Mapping[str, Path]) -> Release:
    """The release as the registry will name it, without keeping it: each artifact with its file's digest and size."""

    def filled(artifact: Artifact) -> Artifact:
        file = files[artifact.name]
        with file.open("rb") as read:
            digest = hashlib.file_digest(read, "sha256").hexdigest()
        return msgspec.structs.replace(artifact, digest=digest, bytes=file.stat().st_size)

    return msgspec.structs.replace(release, artifacts=tuple(filled(artifact) for artifact in release.artifacts))


def handler_of(spec: Spec, release: Release, files: Mapping[str, Path]) -> Handler:
    """The release's handler stack, loaded, checked against its signature and warm."""
    from roadworthy.app.mixture import assembled

    handler = assembled(release, files, spec.root, spec.serving)
    handler.warm_up()
    return handler


def measure_gap(spec: Spec, effort: Effort | None = None, say: Say = silent) -> GapReport:
    """The gap report of the project's model: the handler itself, a server of it, and starts of it."""
    from roadworthy.cli.cold import starts
    from roadworthy.evaluate.gap import Effort
    from roadworthy.serve.conformal.coverage import promised_cover

    effort = effort or Effort()
    # A cache would answer the second time out of its memory: it is measured apart, against the model without it.
    own, spec = spec, without_cache(spec)
    loaded = effort.load_seconds > 0 or effort.crowd_rows > 0
    release, files = lab_release(spec, 0.0, "gap")
    with served_aside(spec) if loaded else nullcontext(Aside()) as aside:
        return _gap_of(
            spec,
            handler_of(spec, release, files),
            effort,
            say,
            members=tuple(member.name for member in release.members),
            target=promised_cover(release) or None,
            cost=spec.cost,
            served=aside.handler,
            served_pid=aside.pid,
            cached=handler_in(own) if own is not spec and effort.crowd_rows else None,
            cold=partial(starts, spec, effort.starts) if effort.starts else None,
        )


def measure_endpoint(
    spec: Spec, url: str, name: str = "", effort: Effort | None = None, say: Say = silent
) -> GapReport:
    """The gap report of a model that runs elsewhere: one that writes behind OpenAI's protocol, any other behind V2.

    Cold start, memory and cost of the machine are its own; they are left out.
    """
    from roadworthy.app.endpoints.openai import OpenAi
    from roadworthy.app.endpoints.v2 import V2

    asked = spec.application
    if asked.task == "generation":
        settings = {"temperature": 0}
        return _gap_of(spec, OpenAi(url, name, stream=False, output=asked.output, settings=settings), effort, say)
    return _gap_of(spec, V2(url, name or asked.name), effort, say)


def _gap_of(spec: Spec, handler: Handler, effort: Effort | None, say: Say, **more: Any) -> GapReport:
    """The project's tables, claims and corruptions, and every repair and edge that there is, on a handler."""
    from roadworthy.evaluate.base import corruption, edge, repair
    from roadworthy.evaluate.gap import gap
    from roadworthy.evaluate.standard import standard_corruptions

    chosen = [corruption.make(plan, spec.root) for plan in spec.corruptions]
    return gap(
        handler,
        spec.application,
        read(spec, "lab"),
        read(spec, "production"),
        claims=claims_of(spec),
        corruptions=chosen or standard_corruptions(spec.application.inputs),
        repairs={name: repair.make(name) for name in repair},
        edges={name.replace("_", " "): edge.make(name) for name in edge},
        effort=effort,
        now=time.time(),
        tell=say,
        **more,
    )


def handler_in(spec: Spec) -> Handler:
    """The project's model as it stands, released to nobody."""
    return handler_of(spec, *lab_release(spec, 0.0, "gap"))


def without_cache(spec: Spec) -> Spec:
    """The same project without its wrapper `cache`; itself where it has none."""
    without = uncached(spec.model)
    return spec if without == spec.model else msgspec.structs.replace(spec, model=without)


def keep_gap(spec: Spec, report: GapReport, diff: BaselineDiff | None = None) -> Path:
    """Write the report beside the project's state, as a page, as Markdown and as JSON; returns the page."""
    from roadworthy.evaluate.reports.report import write_json
    from roadworthy.ui.report import gap_markdown, gap_page

    spec.state.mkdir(exist_ok=True)
    page = spec.state / "gap.html"
    write_whole(page, gap_page(report, diff).encode())
    write_whole(spec.state / "gap.md", gap_markdown(report, diff).encode())
    write_whole(spec.state / "gap.json", write_json(report))
    return page


def keep_comparison(spec: Spec, reports: Mapping[str, GapReport], found: Comparison) -> Path:
    """Write the comparison and the report of each model beside the project's state; returns the page."""
    from roadworthy.evaluate.reports.report import write_json
    from roadworthy.ui.report import compare_page, gap_page

    folder = spec.state / "compare"
    folder.mkdir(parents=True, exist_ok=True)
    for name, report in reports.items():
        write_whole(folder / f"{Path(name).name}.html", gap_page(report).encode())
        write_whole(folder / f"{Path(name).name}.json", write_json(report))
    write_whole(folder / "compare.json", write_json(found))
    page = folder / "compare.html"
    write_whole(page, compare_page(found).encode())
    return page


def write_whole(file: Path, text: bytes) -> None:
    """The file with this text, or as it was. Raises BadData where the disk refuses."""
    beside = file.with_name(f".{file.name}.part")
    try:
        beside.write_bytes(text)
        beside.replace(file)
    except OSError as refused:
        beside.unlink(missing_ok=True)
        raise BadData(
            f"cannot write {str(file)!r} ({len(text)} bytes): {refused}; free some space or choose another place"
        ) from refused


class Aside(NamedTuple):
    """A server of the project's model on a directory of its own: how to ask it, and its process."""

    handler: Handler | None = None
    pid: int | None = None


@contextmanager
def served_aside(spec: Spec) -> Iterator[Aside]:
    """The project's model behind a real server on a directory of its own: what a load test should meet."""
    from roadworthy.app.client import Remote
    from roadworthy.cli.services import Server
    from roadworthy.registry.releases import Registry
    from roadworthy.store.state import State

    with TemporaryDirectory() as folder:
        server = Server(spec, state=Path(folder))
        with State.open(server.state, spec.serving.durability) as state:
            release_model(spec, Registry(state), 0.0, "gap", "to be put under load")
        try:
            url = server.start().url
            yield Aside(Remote(url, spec.application.name), server.process.pid if server.process else None)
        finally:
            server.stop()


def release_model(
    spec: Spec, registry: Registry, at: float, by: str, why: str, measure: Measure = lambda handler: ()
) -> tuple[Release, bool]:
    """Add the project's model to the registry; it goes live when nothing else is. True when it did.

    What `measure` finds of its handler is kept with it.
    """
    release, files = lab_release(spec, at, by)
    # The handler is built once before the release is kept: a model that does not fit its signature never gets in.
    handler = handler_of(spec, release, files)
    # The same model released twice is the same release: only who and when would differ.
    wanted = with_digests(release, files).fingerprint
    added = next((known for known in registry.list() if known.fingerprint == wanted), None)
    added = added or registry.add(msgspec.structs.replace(release, measured=measure(handler)), files)
    if registry.alias(spec.application.name, "stable") is not None:
        return added, False
    registry.point(spec.application.name, "stable", added.digest, at, by, why)
    return added, True


def measured_in_lab(spec: Spec, handler: Handler) -> tuple[Measurement, ...]:
    """What the standard metrics of the task say of a model on the lab's rows; nothing where those have no labels."""
    from roadworthy.evaluate.answers import answers
    from roadworthy.evaluate.standard import standard_metrics

    lab = read(spec, "lab")
    if lab.labels is None or spec.application.task == "generation":
        return ()
    given = answers(handler, lab, spec.signature)
    found = [metric(lab.labels, given) for metric in standard_metrics(spec.application)]
    rows = {"rows": spec.data.lab}
    return tuple(
        msgspec.structs.replace(m, conditions={**m.conditions, **rows}) for m in found if m.n and m.value == m.value
    )


def versions() -> dict[str, str]:
    """The versions of Python and of the packages that may decide an answer, as far as they are installed."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"python": platform.python_version()}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def train_candidate(spec: Spec, registry: Registry, known: Sample, at: float, seed: int, by: str) -> Release:
    """Train on `known` with the project's own `train`, and keep the result as a release."""
    parent = registry.alias(spec.application.name, "stable") or ""
    folder = (spec.state / "work").resolve()
    trained = train(spec, known, folder, seed)
    release, files = candidate(trained, spec, known.digest, parent, at, by, seed, revision(spec.root), versions())
    whole, files = with_code(release, files, spec.root)
    return registry.add(whole, files)


def controller_of(
    spec: Spec, state: State, registry: Registry, on_incident: Callable[[Incident], object] | None = None
) -> Controller:
    """The rollout controller of the project. `on_incident` is told of each incident once it is written."""
    from roadworthy.rollout.control.telling import nobody
    from roadworthy.rollout.controller import Controller

    return Controller(state, registry, spec.root, on_incident or nobody)


def _as_one_file(file: Path, folder: Path) -> Path:
    """The model's file; of a model that is a folder, that folder as one file, which is what a release keeps."""
    if not file.is_dir():
        return file
    from roadworthy.serve.formats.folder import pack

    folder.mkdir(parents=True, exist_ok=True)
    return pack(file, folder / f"{file.name}.zip")
