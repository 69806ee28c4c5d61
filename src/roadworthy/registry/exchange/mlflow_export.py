"""A release written into MLflow: one run, one registered version, and an alias; twice is once."""

from __future__ import annotations

import json
import math
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from roadworthy.core.artifact import Release
from roadworthy.core.errors import SpecError
from roadworthy.core.measure import Measurement
from roadworthy.registry.exchange.mlflow_pyfunc import Unpack, check_folder, engine_of, plans_kept, write_pyfunc
from roadworthy.registry.exchange.mlflow_server import Server, code_of, connected, is_gone

TAG = "roadworthy.release"
_PLACE = "model"
# What MLflow takes in one request, and in one parameter (of its older servers, too).
_MOST_ENTRIES, _MOST_LETTERS = 100, 500
_ODD = re.compile(r"[^\w\-. /]+")
_NAME = re.compile(r"[^/:\\@]+")


class Exported(Struct, frozen=True, omit_defaults=True):
    """Where a release stands in MLflow; `made` is False where it stood there already."""

    digest: str
    name: str
    version: str
    run_id: str
    made: bool
    alias: str = ""

    @property
    def uri(self) -> str:
        """What `mlflow.pyfunc.load_model` takes."""
        return f"models:/{self.name}/{self.version}"


def told(exported: Exported) -> list[str]:
    """Lines for a person."""
    did = "is now" if exported.made else "was there already as"
    lines = [f"release {exported.digest[:12]} {did} {exported.uri} (run {exported.run_id})"]
    lines += [f"alias: models:/{exported.name}@{exported.alias}"] if exported.alias else []
    return [*lines, f"load it: mlflow.pyfunc.load_model({exported.uri!r})"]


def export_release(
    release: Release,
    files: Mapping[str, Path],
    server: Server,
    unpack: Unpack,
    *,
    name: str = "",
    experiment: str = "roadworthy",
    alias: str = "",
    texts: Mapping[str, str] | None = None,
) -> Exported:
    """Log a release and register it as the next version of `name`, once: the tag `roadworthy.release` finds it again.

    A release that came from MLflow is logged as the folder it was; one of onnx or sklearn becomes a pyfunc that answers
    alike. `texts` (a model card) are kept beside it. What an interrupted export left is taken up or closed as failed.
    Raises SpecError for a release that MLflow cannot hold, MlflowAway where it does not answer.
    """
    name = name or release.name
    if not _NAME.fullmatch(name):
        raise SpecError(f"a registered model of MLflow has a name without `/ : \\ @`, got {name!r}")
    with tempfile.TemporaryDirectory(prefix="roadworthy-") as scratch:
        # Written before anybody is asked: a release that cannot be exported leaves nothing in MLflow.
        folder = folder_of(release, files, Path(scratch), unpack)
        with connected(server, make=True) as client:
            there = _registered(client, name, release.digest)
            made = there or _register(client, name, _run(client, release, experiment, folder, texts or {}), release)
            if alias:
                client.set_registered_model_alias(name, alias, str(made.version))
    return Exported(release.digest, name, str(made.version), str(made.run_id), there is None, alias)


def folder_of(release: Release, files: Mapping[str, Path], scratch: Path, unpack: Unpack) -> Path:
    """The release as a folder of MLflow. Raises SpecError for one whose answers MLflow could not give."""
    engine, _ = engine_of(release)
    if engine != "mlflow":
        return write_pyfunc(release, files, scratch / _PLACE, unpack)
    if wraps := [name for name, _ in plans_kept(release)]:
        raise SpecError(
            f"release {release.name!r} answers through {', '.join(wraps)} around its MLflow model, and would answer"
            " otherwise in MLflow: put that into the model itself"
        )
    into = scratch / "unpacked"
    into.mkdir()
    return check_folder(unpack(files["model"], into))


def metrics_of(release: Release) -> dict[str, Measurement]:
    """What was measured of a release by a name that MLflow takes: `auc`, `auc/origin_LGA`, `calibration/ece`."""
    found: dict[str, Measurement] = {}
    for prefix, measured in (("", release.measured), ("calibration/", release.calibration)):
        for one in measured:
            if one.n and math.isfinite(one.value):
                found[_free(prefix + _key(one), found)] = one
    return found


def _run(client: Any, release: Release, experiment: str, folder: Path, texts: Mapping[str, str]) -> str:
    """The finished run with the model in it: what an earlier export left, or a new one."""
    place = _experiment(client, experiment)
    for left in client.search_runs([place], f"tags.`{TAG}` = '{release.digest}'"):
        if left.info.status == "FINISHED":
            return str(left.info.run_id)
        client.set_terminated(left.info.run_id, "KILLED")
    tags = {**_tags(release), "mlflow.runName": f"{release.name} {release.digest[:12]}"}
    run = str(client.create_run(place, tags=tags).info.run_id)
    try:
        client.log_artifacts(run, str(folder), _PLACE)
        manifest = msgspec.json.format(msgspec.json.encode(release)).decode()
        for file, text in {"release.json": manifest, **texts}.items():
            client.log_text(run, text, f"roadworthy/{file}")
        _log_numbers(client, run, release)
    except BaseException:
        _give_up(client, run)
        raise
    client.set_terminated(run, "FINISHED")
    return run


def _give_up(client: Any, run: str) -> None:
    """Close a run that could not be finished; where MLflow is away altogether, the next export does."""
    from mlflow.exceptions import MlflowException

    try:
        client.set_terminated(run, "FAILED")
    except MlflowException:
        return


def _register(client: Any, name: str, run: str, release: Release) -> Any:
    try:
        client.create_registered_model(name)
    except Exception as wrong:
        if code_of(wrong) != "RESOURCE_ALREADY_EXISTS":
            raise
    tags = {TAG: release.digest, **({"roadworthy.parent": release.parent} if release.parent else {})}
    return client.create_model_version(name, f"runs:/{run}/{_PLACE}", run, tags=tags, description=release.note or None)


def _registered(client: Any, name: str, digest: str) -> Any | None:
    """The version that holds this release already."""
    try:
        found = client.search_model_versions(f"name = '{_quoted(name)}' and tags.`{TAG}` = '{digest}'")
    except Exception as wrong:
        if not is_gone(wrong):
            raise
        return None
    return min(found, key=lambda version: int(version.version), default=None)


def _quoted(name: str) -> str:
    if "'" in name:
        raise SpecError(f"a name with an apostrophe cannot be asked for in MLflow, got {name!r}")
    return name


def _experiment(client: Any, name: str) -> str:
    known = client.get_experiment_by_name(name)
    return str(known.experiment_id if known else client.create_experiment(name))


def _tags(release: Release) -> dict[str, str]:
    """Who made the release, of what, and how sure its numbers are."""
    commit = release.code.removeprefix("git:").removesuffix("+changes") if release.code.startswith("git:") else ""
    known = {
        TAG: release.digest,
        "roadworthy.parent": release.parent,
        "roadworthy.code": release.code,
        "roadworthy.made_by": release.made_by,
        "roadworthy.engine": release.artifacts[0].engine if release.artifacts else "",
        "mlflow.source.git.commit": commit,
        "mlflow.source.git.dirty": "True" if release.code.endswith("+changes") else "",
    }
    known |= {f"roadworthy.data.{_ODD.sub('_', name)}": which for name, which in release.data.items()}
    return {name: value for name, value in known.items() if value}


def _log_numbers(client: Any, run: str, release: Release) -> None:
    from mlflow.entities import Metric, Param, RunTag

    measured, at = metrics_of(release), round(release.made_at * 1000)
    params = [Param(_ODD.sub("_", name), text) for name, text in _params(release.training)]
    tags = [RunTag(f"roadworthy.measured.{key}", _sure(one)) for key, one in measured.items()]
    metrics = [Metric(key, one.value, at, 0) for key, one in measured.items()]
    for start in range(0, max(len(params), len(tags), len(metrics)), _MOST_ENTRIES):
        part = slice(start, start + _MOST_ENTRIES)
        client.log_batch(run, metrics=metrics[part], params=params[part], tags=tags[part])


def _params(training: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The settings as text, a long one cut: `roadworthy/release.json` keeps them whole."""
    for name, value in training.items():
        # What an earlier import wrote down of another run is no setting of this one.
        if not name.startswith("mlflow."):
            text = value if isinstance(value, str) else json.dumps(value)
            yield name, text if len(text) <= _MOST_LETTERS else text[: _MOST_LETTERS - 1] + "…"


def _sure(measured: Measurement) -> str:
    """A measurement without its value: the interval, the rows, the unit and the slice."""
    whole = msgspec.to_builtins(measured)
    return json.dumps({key: value for key, value in whole.items() if key != "value"}, default=str)


def _key(measured: Measurement) -> str:
    return _ODD.sub("_", f"{measured.name}/{measured.where}" if measured.where else measured.name)


def _free(key: str, taken: Sequence[str] | Mapping[str, Any]) -> str:
    """The key itself, or with a number where two slices differ only in letters that MLflow has no room for."""
    if key not in taken:
        return key
    return next(free for k in range(2, len(taken) + 3) if (free := f"{key}_{k}") not in taken)
