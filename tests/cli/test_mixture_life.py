"""A mixture lives as a model does: judged against one and judging one, promoted, taken back, killed, and explained.

One clinic is lived through by a real server process; the tests look at what it left behind.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from msgspec.structs import replace
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from roadworthy.cli.flows import controller_of, read, release_model
from roadworthy.cli.incidents import telling
from roadworthy.cli.main import main
from roadworthy.cli.opening import open_state
from roadworthy.cli.replaying import HOUR, Tally, Traffic, send
from roadworthy.cli.services import OverHttp, Server
from roadworthy.core.project import read_project
from roadworthy.core.record import Record
from roadworthy.core.spec import Spec
from roadworthy.core.wire import Request, Response
from roadworthy.registry.releases import Registry
from roadworthy.rollout.controller import Controller
from roadworthy.rollout.rollout_state import RolloutState
from roadworthy.store.state import State

OWN = "model:\n  file: model/clinic.onnx\n  engine: onnx\n  train: train.py:train\n"
TWO = """model:
  policy: {cascade: {audit: 0.5}}
  policy_file: model/policy.json
  members:
    small: {file: model/small.onnx, usd_per_1k: 0.1}
    large: {file: model/clinic.onnx, usd_per_1k: 2.0}
"""
GATES = "gates: [errors, {latency: {slower: 20}}, {quality: {margin: 0.2, least: 20}}]"
LONG = ("--days", "5000")


class Life(NamedTuple):
    """What there was: the project, its releases by name, how each rollout ended, and what was answered at the kill."""

    root: Path
    single: str
    mixture: str
    worse: str
    ended: dict[str, RolloutState]
    answered: list[tuple[str, Response]]
    records: list[Record]


@pytest.fixture(scope="module")
def life(clinic_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Life:
    root = tmp_path_factory.mktemp("life") / "clinic"
    shutil.copytree(clinic_template, root, ignore=shutil.ignore_patterns("__pycache__"))
    rewrite(root, GATES, "gates: [{quality: {margin: 0.2, least: 20}}]")
    rewrite(root, "    - {mode: shadow, hours: 12}\n", "    - {mode: shadow, hours: 6}\n")
    single = released(read_project(root))
    small(root, worse=False)
    rewrite(root, OWN, TWO)
    told = main(["cascade", "fit", "--rows", "production", "--agreement", "0.97", "--project", str(root)])
    assert told == 0
    mixture = released(read_project(root))
    # A cheap model that became worse, and thresholds that let all of it through.
    small(root, worse=True)
    rewrite(root, "policy: {cascade: {audit: 0.5}}\n  policy_file: model/policy.json\n", LET_THROUGH)
    worse = released(read_project(root))
    spec = read_project(root)
    server = Server(spec, look_seconds=1000.0)
    try:
        ended, answered = asyncio.run(lived(spec, server, single, mixture, worse))
    finally:
        server.stop()
    with open_state(spec) as state:
        return Life(root, single, mixture, worse, ended, answered, state.records.read())


LET_THROUGH = "policy: {cascade: {levels: [{at: small, least: 0.0}, {at: large}]}}\n"


def rewrite(root: Path, old: str, new: str) -> None:
    file = root / "roadworthy.yaml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def small(root: Path, worse: bool) -> None:
    """A model that was told of one column only, or one that says the opposite."""
    rows = read(read_project(root), "history")
    assert rows.labels is not None
    features = np.column_stack([rows.columns[name] for name in ("radius", "texture", "smoothness")])
    features[:, 1:] = np.random.default_rng(0).permutation(features[:, 1:])
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(features, (rows.labels > 0.5) != worse)
    graph = to_onnx(model, initial_types=[("X", FloatTensorType([None, 3]))], options={"zipmap": False})
    (root / "model" / "small.onnx").write_bytes(graph.SerializeToString())


def released(spec: Spec) -> str:
    began = read(spec, "production").at
    assert began is not None
    with open_state(spec) as state:
        return release_model(spec, Registry(state), float(began[0]) - 1, "test", "why")[0].digest


class Ward:
    """The clinic's traffic against its server, hour by hour, with outcomes when they became known."""

    def __init__(self, spec: Spec, state: State, service: OverHttp) -> None:
        self.spec, self.state, self.service = spec, state, service
        self.traffic = Traffic(read(spec, "production"), spec.signature)
        self.began = self.now = float(self.traffic.at[0])
        self.tally = Tally()

    async def pass_by(self, hours: float) -> None:
        requests = self.traffic.between(self.now, self.now + hours * HOUR)
        await send(self.service.ask, requests, self.tally, 16, self.service.patience)
        self.now += hours * HOUR
        await self.service.settle()
        self.state.records.write_labels(self.traffic.outcomes(self.began, self.now))

    async def try_out(self, controller: Controller, candidate: str, stages: slice) -> RolloutState:
        name, plan = self.spec.application.name, self.spec.rollout
        controller.start(name, candidate, replace(plan, stages=plan.stages[stages]), self.now, "test")
        await self.service.settle()
        for _ in range(12):
            await self.pass_by(6)
            found = controller.look(name, self.now)
            await self.service.settle()
            if found.status != "running":
                return found
        raise AssertionError(f"the rollout of {candidate} never ended: {found.because}")


async def lived(
    spec: Spec, server: Server, single: str, mixture: str, worse: str
) -> tuple[dict[str, RolloutState], list[tuple[str, Response]]]:
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, server.start)
    service = OverHttp(server)
    await service.connect()
    with open_state(spec) as state:
        registry = Registry(state)
        controller = controller_of(spec, state, registry, telling(spec, state, registry))
        ward = Ward(spec, state, service)
        await ward.pass_by(6)
        canary = slice(1, 2)
        ended = {"worse": await ward.try_out(controller, worse, canary)}
        ended["mixture"] = await ward.try_out(controller, mixture, slice(0, 2))
        answered = await killed(ward, server)
        await loop.run_in_executor(None, server.start)
        await service.connect()
        ward.now += 100 * HOUR
        ended["single"] = await ward.try_out(controller, single, canary)
        assert (ward.tally.failed, ward.tally.reasons) == (0, {})
    service.close()
    return ended, answered


async def killed(ward: Ward, server: Server) -> list[tuple[str, Response]]:
    """What the server had answered when it was killed under load."""
    answered: list[tuple[str, Response]] = []

    async def ask(request: Request) -> Response:
        response = await ward.service.remote(request)
        answered.append((request.id, response))
        if len(answered) == 150 and server.process is not None:
            os.kill(server.process.pid, signal.SIGKILL)
        return response

    await send(ask, ward.traffic.between(ward.now, ward.now + 100 * HOUR), Tally(), 16)
    assert server.process is not None
    server.process.wait()
    return answered


def test_a_mixture_is_promoted_over_a_single_model_and_one_that_became_worse_is_taken_back(life):
    assert {name: state.status for name, state in life.ended.items()} == {
        "worse": "rolled_back",
        "mixture": "promoted",
        "single": "promoted",
    }
    assert "log_loss of the candidate" in life.ended["worse"].because


def test_every_row_of_a_mixture_tells_its_way_in_shadow_canary_and_as_stable(life):
    rows = [record for record in life.records if record.release == life.mixture]
    assert {record.arm for record in rows} >= {"shadow", "canary", "stable"}
    assert all(record.path[0].at == "small" for record in rows)
    assert {tuple(step.at for step in record.path) for record in rows} == {("small",), ("small", "large")}
    # Half of the kept rows are audited: what that costs is billed, too.
    for record in rows:
        assert record.usd == pytest.approx(0.0001 + 0.002 * (len(record.path) - 1))
    alone = [record for record in life.records if record.release == life.single]
    assert {len(record.path) for record in alone} == {0}


def test_every_answer_that_was_given_before_the_kill_is_on_record_as_it_was_given(life):
    kept = {record.id: record for record in life.records if record.arm == "stable"}
    assert len(life.answered) >= 150
    for id, response in life.answered:
        record = kept[id]
        assert record.outputs["probability"] == response.outputs["probability"].data[0]
        assert record.confidence == response.confidence[0]
        assert record.path == response.row_path(0)
        assert (record.usd, record.release) == (response.usd, life.mixture)


@pytest.fixture
def again(life: Life) -> Path:
    """The clinic with its mixture stable once more, for commands that ask about what is."""
    spec = read_project(life.root)
    with open_state(spec) as state:
        Registry(state).point("clinic", "stable", life.mixture, 4e9, "test", "to be asked about")
    return life.root


def test_its_promise_and_its_bill_are_told_from_the_records(call, life, again):
    told = call("cascade", "report", *LONG, "--project", again, "--json")
    assert told.code in (0, 3), told.err
    answering = [record for record in life.records if record.release == life.mixture and record.arm != "shadow"]
    assert told.body["ledger"]["rows"] == len(answering)
    assert told.body["ledger"]["usd"] == pytest.approx(sum(record.usd for record in answering))
    assert told.body["verdicts"][0]["of"] == "agreement"


def test_it_is_explained_compared_and_traced(call, life, again):
    (sent, *_) = [r for r in life.records if r.release == life.mixture and r.arm == "stable" and len(r.path) == 2]
    explained = call("explain", sent.id, "--project", again)
    assert explained.code == 0, explained.err
    assert f"small: {sent.path[0].because}" in explained.out
    told = call("diff", life.mixture, life.worse, "--project", again)
    assert (told.code, "policy" in told.out) == (1, True), told
    assert "stable of clinic since" in call("lineage", life.mixture, "--project", again).out
    incident = call("rollout", "report", life.worse, "--project", again)
    assert (incident.code, life.worse[:12] in incident.out) == (0, True)


def test_the_gap_report_is_of_the_mixture(call, life, again):
    rewrite(again, LET_THROUGH, "policy: {cascade: {levels: [{at: small, least: 0.8}, {at: large}]}}\n")
    quick = ("--load-seconds", "0", "--search-seconds", "0", "--rows", "100", "--crowd-rows", "0", "--starts", "0")
    told = call("gap", "--project", again, *quick, "--no-edges", "--json")
    assert told.code in (0, 1, 3), told.err
    assert {one["name"] for one in told.body["production"]} >= {"auc", "log_loss"}


def test_what_takes_one_model_says_so(call, life, again, tmp_path):
    told = call("export", "mlflow", "--project", again)
    assert (told.code, "several models that answer together (small, large)" in told.err) == (2, True)
    card = tmp_path / "card.md"
    assert call("export", "card", card, "--project", again).code == 0
