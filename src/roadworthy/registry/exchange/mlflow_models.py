"""A model that MLflow logged or registered, taken in as a release with its lineage; see `mlflow_export` for back."""

from __future__ import annotations

import datetime
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from msgspec import Struct
from msgspec.structs import replace

from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.errors import BadData, Missing, SpecError
from roadworthy.core.measure import Claim
from roadworthy.core.spec import Signature
from roadworthy.registry.exchange.mlflow_origin import Origin, Run, run_of, traced
from roadworthy.registry.exchange.mlflow_server import Server, connected
from roadworthy.registry.exchange.mlflow_signature import check_promised, read_inputs

# Packs a folder into one file, the same content always into the same bytes (`serve.formats.folder.pack`).
Pack = Callable[[Path, Path], Path]

MLMODEL = "MLmodel"
# What the engine `mlflow` runs without running code of whoever made the model.
SERVED = ("onnx", "sklearn")
_MOST_BYTES = 1 << 20
# MLflow writes it into a folder when that is fetched by its registered name: it is not part of the model.
_NOTES = ("registered_model_meta",)
_PINNED = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^]]*\])?==([^\s;]+)")


class Imported(Struct, frozen=True, omit_defaults=True):
    """A model of MLflow as a release, the files that go with it, where it comes from, and what its run claims.

    A number that MLflow keeps has no count of rows and no interval: it is what somebody states, a Claim, and stands
    under `mlflow.metrics` in the release's training; `measured` holds only what was measured here.
    """

    release: Release
    files: Mapping[str, Path]
    origin: Origin
    claims: tuple[Claim, ...] = ()


class Told(NamedTuple):
    """What the `MLmodel` of a folder says."""

    flavours: Mapping[str, Any]
    whole: Mapping[str, Any]


def import_model(
    uri: str,
    to: Path,
    pack: Pack,
    asked: Signature,
    server: Server | None = None,
    *,
    name: str,
    trust: bool = False,
    unsigned: bool = False,
) -> Imported:
    """The model behind `models:/name/3`, `models:/name@alias`, `models:/m-…`, `runs:/…/model`, or in a folder.

    Its packed folder is left in `to`, and nothing is where anything fails. `asked` is the application's signature,
    which the release takes over. A model whose code must be run needs `trust`, one without a signature `unsigned`.
    Raises Missing, BadData, SpecError or MlflowAway.
    """
    with tempfile.TemporaryDirectory(prefix="roadworthy-") as scratch:
        folder = Path(scratch) / "model"
        if "://" not in uri and not uri.startswith(("models:/", "runs:/")):
            _copied(Path(uri), folder)
            origin, run = Origin(uri=uri), Run()
        else:
            origin, run = _fetched(uri, folder, server or Server())
        told = read_told(folder, uri)
        engine = _engine(told, uri, trust)
        _check_signature(told, asked, uri, unsigned)
        origin = _with_folder(origin, told)
        release = _release(name, engine, asked, origin, run, _facts(folder, told))
        packed = pack(folder, Path(scratch) / "packed.zip")
        file = _kept(packed, to, f"{name}-mlflow.zip")
    return Imported(release, {"model": file}, origin, claims_of(release))


def claims_of(release: Release) -> tuple[Claim, ...]:
    """What the run of MLflow states about a release that was imported from there."""
    stated = release.training.get("mlflow.metrics", {})
    source = f"MLflow run {release.training.get('mlflow.run_id', 'unknown')}"
    numbers = {name: value for name, value in stated.items() if isinstance(value, int | float)}
    return tuple(Claim(metric, float(value), source=source, model=release.name) for metric, value in numbers.items())


def imported_lines(imported: Imported) -> list[str]:
    """Lines for a person: where the model comes from, who made it, and what its run states."""
    origin, release = imported.origin, imported.release
    made = f"run {origin.run_id or 'unknown'} of experiment {origin.experiment or 'unknown'}, by {release.made_by}"
    lines = [release.note, f"made in {made}; code {release.code or 'not recorded'}"]
    return [*lines, *(f"states {claim.metric} {claim.value:.4g} (not measured here)" for claim in imported.claims)]


def read_told(folder: Path, uri: str = "") -> Told:
    """The `MLmodel` of a folder. Raises BadData saying what is wrong with it."""
    file = folder / MLMODEL
    if not file.is_file():
        raise BadData(f"{uri or str(folder)!r} is no MLflow model: there is no file {MLMODEL!r} in it")
    if file.stat().st_size > _MOST_BYTES:
        raise BadData(f"the {MLMODEL!r} of {uri!r} has {file.stat().st_size:,} bytes, allowed are {_MOST_BYTES:,}")
    try:
        whole = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as wrong:
        raise BadData(f"the {MLMODEL!r} of {uri!r} is not readable as YAML: {wrong}; log the model again") from wrong
    flavours = whole.get("flavors") if isinstance(whole, dict) else None
    if not isinstance(flavours, dict) or not flavours:
        raise BadData(f"the {MLMODEL!r} of {uri!r} names no `flavors`: log the model again with MLflow")
    return Told(flavours, whole)


def _copied(folder: Path, to: Path) -> None:
    if not folder.is_dir():
        raise Missing(
            f"no folder {str(folder)!r}: give one with a file {MLMODEL!r}, `models:/name/3` or `runs:/id/model`"
        )
    shutil.copytree(folder, to, symlinks=True, ignore=shutil.ignore_patterns(*_NOTES))


def _fetched(uri: str, folder: Path, server: Server) -> tuple[Origin, Run]:
    """The files of a model at the server, in `folder`, and where it comes from."""
    with connected(server) as client:
        origin, source = traced(client, uri, server.told)
        from mlflow.artifacts import download_artifacts

        registry = server.registry_uri or None
        # Without a place of its own, MLflow would write into the store's own folder.
        fetched = folder.with_name("fetched")
        fetched.mkdir()
        got = download_artifacts(source, dst_path=str(fetched), tracking_uri=server.uri or None, registry_uri=registry)
        _copied(Path(got), folder)
        if not origin.run_id and (folder / MLMODEL).is_file():
            origin = _with_folder(origin, read_told(folder, uri))
        return run_of(client, origin)


def _with_folder(origin: Origin, told: Told) -> Origin:
    """What the folder itself says of where it comes from, for what no server said."""
    run, model = str(told.whole.get("run_id") or ""), str(told.whole.get("model_id") or "")
    return replace(origin, run_id=origin.run_id or run, model_id=origin.model_id or model)


def _engine(told: Told, uri: str, trust: bool) -> str:
    """The plan of what runs the model here. Raises SpecError for a flavour that is not run."""
    if any(isinstance(told.flavours.get(flavour), dict) for flavour in SERVED):
        return "mlflow"
    has = ", ".join(map(str, told.flavours))
    if not isinstance(told.flavours.get("python_function"), dict):
        raise SpecError(
            f"{uri!r} has no flavour that is served here (it has: {has}; served: {', '.join(SERVED)}, python_function"
            " with trust): log it as one of these too"
        )
    if not trust:
        raise SpecError(
            f"{uri!r} can only be run as a python_function (flavours: {has}), which is code of whoever made it: give"
            " `--trust` if you trust them, or log it as onnx or sklearn"
        )
    return "mlflow:trust=True"


def _check_signature(told: Told, asked: Signature, uri: str, unsigned: bool) -> None:
    wanted = read_inputs(told.whole.get("signature"), uri)
    if wanted is not None:
        check_promised(wanted, asked, uri)
    elif not unsigned:
        raise BadData(
            f"{uri!r} has no signature to check against the application's: log the model with"
            " `signature=mlflow.models.infer_signature(inputs, outputs)`, or give `--unsigned` to take it on trust"
        )


class _Facts(NamedTuple):
    versions: Mapping[str, str]
    made_at: float


def _facts(folder: Path, told: Told) -> _Facts:
    return _Facts(_versions(folder, told), _made_at(told.whole.get("utc_time_created")))


def _versions(folder: Path, told: Told) -> dict[str, str]:
    """The packages that the model's requirements pin; what is not pinned is not known."""
    file = folder / "requirements.txt"
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
    found = {pinned[1]: pinned[2] for line in lines if (pinned := _PINNED.match(line.strip()))}
    function = told.flavours.get("python_function")
    python = function.get("python_version") if isinstance(function, dict) else None
    return {**found, **({"python": str(python)} if python else {})}


def _made_at(told: Any) -> float:
    """Unix seconds of MLflow's UTC time without a zone; 0 where it cannot be read."""
    try:
        at = datetime.datetime.fromisoformat(str(told))
    except ValueError:
        return 0.0
    return (at if at.tzinfo else at.replace(tzinfo=datetime.UTC)).timestamp()


def _release(name: str, engine: str, asked: Signature, origin: Origin, run: Run, facts: _Facts) -> Release:
    came = {
        "mlflow.run_id": origin.run_id,
        "mlflow.model_id": origin.model_id,
        "mlflow.experiment": origin.experiment,
        "mlflow.source": origin.source,
        "mlflow.metrics": dict(sorted(run.metrics.items())),
    }
    return Release(
        name=name,
        artifacts=(Artifact("model", "", 0, engine=engine, made_by="mlflow"),),
        signature=asked,
        data=run.data,
        made_by=origin.user or "mlflow",
        made_at=facts.made_at,
        note=origin.told(),
        code=origin.code,
        training={**run.params, **{key: value for key, value in came.items() if value}},
        versions=facts.versions,
    )


def _kept(packed: Path, to: Path, name: str) -> Path:
    """The packed model in its place: all of it or nothing."""
    to.mkdir(parents=True, exist_ok=True)
    beside, file = to / f".{name}.part", to / name
    try:
        shutil.copyfile(packed, beside)
        beside.replace(file)
    except OSError as refused:
        beside.unlink(missing_ok=True)
        raise BadData(f"cannot keep the model in {str(to)!r}: {refused}; free some space") from refused
    return file
