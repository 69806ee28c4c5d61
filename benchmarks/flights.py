"""The flights model, frozen against managed over eight months, and 20 short runs with different traffic splits.

Each short run lets four candidates in one after the other: a good one, one whose live pipeline sends temperatures in
Celsius and the hour in UTC, one that fails 3 % of its live requests, and another good one. A run is right when the
good ones are promoted and each bad one is stopped where it should be.
"""

from __future__ import annotations

import argparse
import asyncio
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from rich.console import Console
from rich.progress import track
from rich.table import Table

from roadworthy.app.deployment import Deployment
from roadworthy.cli.caretaker import Caretaker, Trial
from roadworthy.cli.experience import Experience
from roadworthy.cli.flows import DAY, controller_of, prepare, read, with_code
from roadworthy.cli.living import live, live_through, outcome_of
from roadworthy.cli.replaying import Traffic
from roadworthy.cli.services import InProcess
from roadworthy.core.artifact import Release
from roadworthy.core.catalog import load
from roadworthy.core.measure import Measurement
from roadworthy.core.project import read_project
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Scenario, Spec
from roadworthy.core.stats import proportion
from roadworthy.learn.retrain import candidate, retrain, training_sample
from roadworthy.registry.releases import Registry
from roadworthy.store.state import State

REPO = Path(__file__).parents[1]
BEGIN_DAY, DAYS = 35.0, 30.0
GOOD = Scenario("good", 0.0, expect="promoted")


@dataclass
class Scripted(Caretaker):
    """A caretaker whose candidates are given beforehand, each with what should become of it."""

    script: list[tuple[Release, Scenario]] = field(default_factory=list)

    @property
    def finished(self) -> bool:
        """Every candidate has had its rollout."""
        return not self.script and self.trial is None

    def _next_candidate(self, now: float) -> bool:
        if not self.script:
            return False
        release, scenario = self.script.pop(0)
        return self._start(release, now, scenario)

    def _look_for_drift(self, now: float) -> None:
        """Nothing to decide here follows from drift."""


def main() -> None:
    """Print both tables and, last, one JSON line of Measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="not needed: the flights come with a package")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--skip-life", action="store_true", help="only the short runs")
    args = parser.parse_args()
    project = project_copy()
    found: list[Measurement] = []
    if not args.skip_life:
        told = live(project, 1e9, 0)
        found += told.life.headline
    found.append(short_runs(project, args.runs))
    print(msgspec.json.encode(found).decode())


def project_copy() -> Path:
    """The example in a folder of its own, so that nobody's state is overwritten."""
    folder = REPO / ".bench" / "flights"
    shutil.copytree(REPO / "examples" / "flights", folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".road*"))
    prepare(read_project(folder, check_files=False))
    return folder


def short_runs(project: Path, runs: int) -> Measurement:
    """How many of the runs went right, with a table of what each candidate touched."""
    spec = read_project(project)
    production = read(spec, "production")
    assert production.at is not None
    began = float(production.at[0]) + BEGIN_DAY * DAY
    models = [trained(spec, production, began + days * DAY) for days in (-7.0, 0.0, 10.0)]
    table = Table("run", *("good", "celsius-utc", "flaky-downstream", "good"), "right")
    right = 0
    for seed in track(range(runs), "short runs", console=Console(stderr=True)):
        trials = asyncio.run(one_run(spec, production, models, began, seed))
        as_expected = len(trials) == 4 and all(t.scenario and outcome_of(t) == t.scenario.expect for t in trials)
        right += as_expected
        cells = [f"{outcome_of(t)}, answered {t.ended.touched if t.ended else 0:,}" for t in trials]
        table.add_row(str(seed), *cells, *[""] * (4 - len(cells)), "yes" if as_expected else "NO")
    Console(width=160).print(table)
    return proportion("rollback_runs_right", right, runs)


async def one_run(spec: Spec, production: Sample, models: list[Path], began: float, seed: int) -> list[Trial]:
    """Four candidates one after the other on the same rows, the traffic split differently by the seed."""
    directory = spec.root / "runs" / str(seed)
    shutil.rmtree(directory, ignore_errors=True)
    name = spec.application.name
    with State.open(directory, spec.serving.durability) as state:
        registry = Registry(state)
        stable, good, later = (kept(spec, registry, model, began, seed) for model in models)
        registry.point(name, "stable", stable.digest, began - 1, "benchmark", "trained a week before")
        bad = [spoilt(spec, registry, good, scenario) for scenario in spec.scenarios]
        script = list(zip([good, *bad, later], [GOOD, *spec.scenarios, GOOD], strict=True))
        deployment = Deployment(state, registry, spec, name)
        await deployment.sync()
        controller = controller_of(spec, state, registry)
        experience = Experience(spec, state.records)
        caretaker = Scripted(spec, state, registry, controller, experience, began, seed, script=script)
        await live_through(InProcess(deployment), Traffic(production, spec.signature), caretaker, began + DAYS * DAY)
        await deployment.close()
    shutil.rmtree(directory)
    return caretaker.trials


def trained(spec: Spec, production: Sample, at: float) -> Path:
    """A model of everything whose outcome was known at `at`."""
    history, recent = training_sample(read(spec, "history"), [], at), training_sample(production, [], at)
    folder = spec.root / "models" / f"{at:.0f}"
    return retrain(load(spec.model.train, spec.root), joined(history, recent), folder, 0).file


def joined(older: Sample, newer: Sample) -> Sample:
    """The rows of both."""
    import numpy as np

    assert older.labels is not None
    assert newer.labels is not None
    columns = {name: np.concatenate([older.columns[name], newer.columns[name]]) for name in older.columns}
    return Sample(columns, np.concatenate([older.labels, newer.labels]))


def kept(spec: Spec, registry: Registry, model: Path, at: float, seed: int) -> Release:
    """The model as a release. The seed is part of what it is, and so of how its rollout splits the traffic."""
    from roadworthy.learn.base import Trained

    release, files = candidate(Trained(model, "onnx", note=f"seed {seed}"), spec, "", "", at, f"seed {seed}")
    return registry.add(release, files)


def spoilt(spec: Spec, registry: Registry, good: Release, scenario: Scenario) -> Release:
    """The good candidate behind what the scenario puts in front of it."""
    changed = msgspec.structs.replace(
        good, name=scenario.name, preprocessing=scenario.preprocessing, wrappers=scenario.wrappers
    )
    return registry.add(*with_code(changed, {}, spec.root))


if __name__ == "__main__":
    main()
