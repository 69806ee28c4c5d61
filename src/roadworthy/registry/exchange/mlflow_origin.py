"""Where a model of MLflow comes from: its run, experiment, source, registered version, aliases and tags."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from roadworthy.core.errors import BadData, Missing
from roadworthy.registry.exchange.mlflow_server import is_gone

_VERSION = re.compile(r"models:/(?P<name>[^/@]+)/(?P<version>\d+)")
_ALIAS = re.compile(r"models:/(?P<name>[^/@]+)@(?P<alias>[^/@]+)")
_LOGGED = re.compile(r"models:/(?P<model>m-[0-9a-zA-Z]+)")
_RUN = re.compile(r"runs:/(?P<run>[^/]+)/(?P<path>.+)")


class Origin(Struct, frozen=True, omit_defaults=True):
    """Where a model was found and who made it, as far as MLflow says. `uri` is what was asked for."""

    uri: str
    tracking: str = ""
    experiment: str = ""
    run_id: str = ""
    model_id: str = ""
    source: str = ""
    code: str = ""
    user: str = ""
    name: str = ""
    version: str = ""
    aliases: tuple[str, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)

    def told(self) -> str:
        """One sentence for the release's note."""
        parts = [f"from MLflow {self.uri}"]
        parts += [f"registered as {self.name} version {self.version}"] if self.name else []
        parts += [f"aliases {', '.join(self.aliases)}"] if self.aliases else []
        parts += (
            [f"tags {', '.join(f'{key}={value}' for key, value in sorted(self.tags.items()))}"] if self.tags else []
        )
        return "; ".join(parts)


class Run(Struct, frozen=True, omit_defaults=True):
    """What a run logged: its settings, the numbers that it states, and the rows that it names."""

    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float | str] = field(default_factory=dict)
    data: Mapping[str, str] = field(default_factory=dict)


def traced(client: Any, uri: str, tracking: str) -> tuple[Origin, str]:
    """What the server knows of the model's name, and the address that its files are fetched from. Raises Missing.

    It is the address of the files themselves: MLflow would look up `models:/m-…` at the server it is set to itself.
    """
    if found := _LOGGED.fullmatch(uri):
        model = client.get_logged_model(found["model"])
        return Origin(uri, tracking, run_id=model.source_run_id or "", model_id=model.model_id), model.artifact_location
    if found := _RUN.fullmatch(uri):
        return _in_run(client, Origin(uri, tracking, run_id=found["run"]), found["path"])
    if not (found := _VERSION.fullmatch(uri) or _ALIAS.fullmatch(uri)):
        allowed = "`models:/name/3`, `models:/name@alias`, `models:/m-…` or `runs:/…/model`"
        raise BadData(f"{uri!r} names no model of MLflow: write {allowed}, or the path of a folder")
    version = _version(client, found.groupdict())
    origin = Origin(
        uri,
        tracking,
        run_id=version.run_id or "",
        model_id=str(getattr(version, "model_id", None) or ""),
        name=version.name,
        version=str(version.version),
        aliases=tuple(sorted(version.aliases)),
        tags=dict(version.tags),
    )
    source = str(client.get_model_version_download_uri(version.name, str(version.version)))
    logged = _LOGGED.fullmatch(source)
    return origin, client.get_logged_model(logged["model"]).artifact_location if logged else source


def run_of(client: Any, origin: Origin) -> tuple[Origin, Run]:
    """The origin with what its run tells of itself, and what the run logged; neither where the run was deleted."""
    if not origin.run_id:
        return origin, Run()
    try:
        run = client.get_run(origin.run_id)
        experiment = client.get_experiment(run.info.experiment_id).name
    except Exception as wrong:
        if not is_gone(wrong):
            raise
        return origin, Run()
    tags = run.data.tags
    known = replace(
        origin,
        experiment=experiment,
        source=tags.get("mlflow.source.name", ""),
        code=_code(tags),
        user=tags.get("mlflow.user", ""),
    )
    metrics = {name: _stated(value) for name, value in run.data.metrics.items()}
    return known, Run(dict(run.data.params), metrics, _rows(run))


def _in_run(client: Any, origin: Origin, path: str) -> tuple[Origin, str]:
    """A model that was logged under a name by the run (since MLflow 3), or a folder of the run's artifacts."""
    run = client.get_run(origin.run_id)
    for output in getattr(getattr(run, "outputs", None), "model_outputs", ()):
        model = client.get_logged_model(output.model_id)
        if model.name == path:
            return replace(origin, model_id=model.model_id), model.artifact_location
    return origin, f"{run.info.artifact_uri}/{path}"


def _version(client: Any, asked: Mapping[str, str]) -> Any:
    name = asked["name"]
    try:
        if "version" in asked:
            return client.get_model_version(name, asked["version"])
        return client.get_model_version_by_alias(name, asked["alias"])
    except Exception as wrong:
        # A name that nobody knows and an alias that means nothing are told apart by their words only.
        if not is_gone(wrong) and "not found" not in str(wrong):
            raise
        known = [f"{v.name}/{v.version}" for v in client.search_model_versions(f"name='{name}'", max_results=5)]
        there = f"it has {', '.join(known)}" if known else "no model of that name has a version"
        what = asked.get("version") or asked["alias"]
        raise Missing(f"MLflow has no {what!r} of the model {name!r} ({there})") from wrong


def _code(tags: Mapping[str, str]) -> str:
    commit = tags.get("mlflow.source.git.commit", "")
    changed = tags.get("mlflow.source.git.dirty", "").lower() == "true"
    return f"git:{commit}{'+changes' if changed else ''}" if commit else ""


def _stated(value: float) -> float | str:
    """JSON has no NaN: what is no number is kept as the word."""
    return value if math.isfinite(value) else str(value)


def _rows(run: Any) -> dict[str, str]:
    """The data sets that the run names, by what it used them for (`training`, `evaluation`)."""
    found = {}
    for used in getattr(getattr(run, "inputs", None), "dataset_inputs", ()):
        context = next((tag.value for tag in used.tags if tag.key == "mlflow.data.context"), used.dataset.name)
        found[str(context)] = f"{used.dataset.name} {used.dataset.digest}"
    return found
