"""A release of several models is loaded, asked, recorded, shadowed and rolled out as one of a single model is."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from msgspec.structs import replace

from roadworthy.app.absent import Absent
from roadworthy.app.client import Remote
from roadworthy.app.deployment import Deployment
from roadworthy.app.mixture import Mixture, assembled
from roadworthy.app.stack import Arranger, Loaded
from roadworthy.cli.flows import lab_release, measure_gap, release_model
from roadworthy.cli.services import Server
from roadworthy.core.errors import BadData, Overloaded, SpecError
from roadworthy.core.project import read_project
from roadworthy.core.spec import Spec
from roadworthy.core.wire import Request, Response, Tensor
from roadworthy.evaluate.subject import Effort
from roadworthy.registry.keeping.diff import answer_alike
from roadworthy.registry.releases import Registry
from roadworthy.rollout.traffic import Traffic
from roadworthy.serve.assemble import Assembled, Recipe
from roadworthy.serve.engines.remote import Unreachable
from roadworthy.store.state import State

COLUMNS = ("radius", "texture", "smoothness")
MEMBERS = """model:
  policy: {cascade: {levels: [{at: small, low: 0.1, high: 0.9}, {at: large}], outage: keep}}
  members:
    small: {file: model/small.onnx, usd_per_1k: 1.0}
    large: {file: model/clinic.onnx, engine: onnx, wrappers: ["calibrated:slope=1.0"], usd_per_1k: 20.0}
"""
OWN = "model:\n  file: model/clinic.onnx\n  engine: onnx\n  train: train.py:train\n"


@pytest.fixture(scope="module")
def small(clinic_template: Path) -> bytes:
    """A model that looks at one column of the three."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = pl.read_parquet(clinic_template / "data" / "history.parquet")
    features = np.column_stack([rows[name].to_numpy() for name in COLUMNS]).astype(np.float32)
    one = make_column_transformer((StandardScaler(), [0]))
    model = make_pipeline(one, LogisticRegression()).fit(features, rows["malignant"].to_numpy())
    types = [("X", FloatTensorType([None, 3]))]
    return to_onnx(model, initial_types=types, options={"zipmap": False}, target_opset=17).SerializeToString()


@pytest.fixture
def project(clinic: Path, small: bytes) -> Callable[[str], Spec]:
    """`project(model)`: the clinic with this in the place of its `model`."""
    (clinic / "model" / "small.onnx").write_bytes(small)
    own = (clinic / "roadworthy.yaml").read_text()
    assert OWN in own

    def changed(model: str = MEMBERS) -> Spec:
        (clinic / "roadworthy.yaml").write_text(own.replace(OWN, model))
        return read_project(clinic)

    return changed


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    with State.open(tmp_path / "state", "process") as opened:
        yield opened


def request(clinic: Path, rows: int = 200, **more: Any) -> Request:
    table = pl.read_parquet(clinic / "data" / "production.parquet")[:rows]
    tensors = {name: Tensor(name, "FP32", (rows,), table[name].to_list()) for name in COLUMNS}
    return Request("r", tensors, 1.0, **more)


def ask(handler: Any, *requests: Request) -> list[Response]:
    async def main() -> list[Response]:
        return [await handler(one) for one in requests]

    return asyncio.run(main())


def made(spec: Spec) -> Assembled | Mixture:
    release, files = lab_release(spec, 0.0, "test")
    found = assembled(release, files, spec.root, spec.serving)
    found.warm_up()
    return found


def alone(spec: Spec, file: str, asked: Request) -> list[float]:
    """What one of the models answers by itself."""
    one = replace(spec, model=type(spec.model)(file=file, engine="onnx"))
    return ask(made(one), asked)[0].outputs["probability"].data


def ways(response: Response, rows: int) -> list[tuple[str, ...]]:
    return [tuple(step.at for step in response.row_path(k)) for k in range(rows)]


def test_each_row_is_answered_by_one_of_the_members_and_named_after_the_whole_release(project):
    spec = project()
    mixture, asked = made(spec), request(spec.root)
    (found,) = ask(mixture, asked)
    one, two = alone(spec, "model/small.onnx", asked), alone(spec, "model/clinic.onnx", asked)
    came = ways(found, 200)
    assert set(came) == {("small",), ("small", "large")}
    picked = [b if len(way) > 1 else a for way, a, b in zip(came, one, two, strict=True)]
    assert found.outputs["probability"].data == pytest.approx(picked, abs=1e-6)
    assert found.release == lab_release(spec, 0.0, "test")[0].digest
    assert found.usd == pytest.approx(0.001 * 200 + 0.02 * came.count(("small", "large")))


def test_it_can_be_asked_for_what_any_release_can(project):
    spec = project(MEMBERS.replace("usd_per_1k: 1.0}", "usd_per_1k: 1.0, wrappers: [cache]}"))
    mixture, asked = made(spec), request(spec.root, 10)
    ask(mixture, asked, asked)
    snapshot = mixture.snapshot()
    assert (snapshot.failed, snapshot.line) == (0, ())
    assert 10 < snapshot.rows < 40
    assert mixture.rows_waiting == 0
    named = {one.name: one for one in mixture.measurements()}
    assert named["escalation_share"].n == 20
    assert any(name.startswith("small_cache") for name in named)
    assert mixture.remembered(asked) is None
    assert repr(mixture.handlers[-1]).startswith("Climb(Member('small'")
    asyncio.run(mixture.close())
    with pytest.raises(Overloaded, match="shutting down"):
        ask(mixture, request(spec.root, 200))


def test_wrappers_of_the_whole_stand_around_all_members(project):
    spec = project(MEMBERS + "  wrappers: [cache]\n")
    mixture, asked = made(spec), request(spec.root, 3)
    first, second = ask(mixture, asked, asked)
    assert second.outputs["probability"].data == first.outputs["probability"].data
    assert second.parameters["cached"] is True
    assert mixture.remembered(asked) is not None
    assert mixture.snapshot().rows < 10


def test_a_cache_around_a_choice_of_precisions_is_refused(project):
    spec = project(MEMBERS.replace(MEMBERS.split("\n")[1], "  policy: precision") + "  wrappers: [cache]\n")
    with pytest.raises(SpecError, match="a `cache` around the policy `precision`"):
        made(spec)


def test_the_release_covers_members_policy_and_code(project, clinic, state):
    spec = project()
    release, files = lab_release(spec, 0.0, "test")
    assert [one.name for one in release.artifacts] == ["small", "large"]
    assert [member.usd_per_1k for member in release.members] == [1.0, 20.0]
    registry = Registry(state)
    kept = registry.add(release, files)
    again = registry.get(kept.digest)
    assert (again.members, again.policy) == (release.members, spec.model.policy)
    other, files = lab_release(project(MEMBERS.replace("high: 0.9", "high: 0.8")), 0.0, "test")
    changed = registry.add(other, files)
    assert changed.fingerprint != kept.fingerprint
    assert not answer_alike(kept, changed)
    (clinic / "mine.py").write_text("class Mine: ...\n")
    coded, _ = lab_release(project(MEMBERS.replace('"calibrated:slope=1.0"', '"mine.py:Mine"')), 0.0, "test")
    assert [one.name for one in coded.artifacts] == ["small", "large", "mine.py"]


def test_releasing_twice_is_releasing_once_and_what_is_live_answers(project, state):
    spec, registry = project(), Registry(state)
    first, live = release_model(spec, registry, 1.0, "test", "why")
    second, _ = release_model(spec, registry, 2.0, "test", "why")
    assert (live, second.digest) == (True, first.digest)

    async def main() -> tuple[Response, dict[str, Any]]:
        deployment = Deployment(state, registry, spec, "clinic")
        await deployment.sync()
        found = await deployment(request(spec.root))
        told = deployment.batches(), deployment.measurements()
        await deployment.close()
        return found, *told

    found, batches, measured = asyncio.run(main())
    assert found.release == first.digest
    assert batches[first.digest].rows >= 200
    assert {one.name for one in measured[first.digest]} >= {"escalation_share", "unconfirmed_share"}
    records = state.records.read()
    assert len(records) == 200
    assert {tuple(step.at for step in record.path) for record in records} == {("small",), ("small", "large")}
    assert sum(record.usd for record in records) == pytest.approx(found.usd)


def test_a_mixture_is_shadowed_in_a_process_of_its_own(project, state):
    spec, registry = project(), Registry(state)
    release, _ = release_model(spec, registry, 1.0, "test", "why")
    arranger = Arranger(spec, state.records.append)
    stable = Loaded(release.digest, assembled(release, registry.files(release), spec.root, spec.serving))
    stable.handler.warm_up()
    recipe = Recipe.of(release, registry.files(release), spec.root, spec.serving)

    async def main() -> Response:
        mirrored = await arranger.mirrored(recipe)
        stack = arranger(Traffic(release.digest, release.digest, "shadow", 1.0, "salt"), stable, mirrored, None)
        found = await stack.ask(stack.handler, request(spec.root, 30))
        await stack.shadow.drain()
        return found

    found = asyncio.run(main())
    rows = {arm: sorted(state.records.read(arms=[arm]), key=lambda one: one.id) for arm in ("stable", "shadow")}
    assert len(rows["stable"]) == len(rows["shadow"]) == 30
    for mine, theirs in zip(rows["stable"], rows["shadow"], strict=True):
        assert theirs.outputs == mine.outputs
        assert [step.at for step in theirs.path] == [step.at for step in mine.path]
        assert theirs.usd == pytest.approx(mine.usd)
    assert set(ways(found, 30)) == {("small",), ("small", "large")}


def test_the_gap_report_measures_the_mixture(project):
    spec = project()
    effort = Effort(corrupted_rows=100, edges=False, load_seconds=0, search_seconds=0, crowd_rows=0, starts=0)
    report = measure_gap(spec, effort)
    assert {one.name for one in report.production} >= {"auc", "log_loss"}


def test_a_release_that_is_no_mixture_is_refused_with_what_it_lacks(project):
    release, files = lab_release(project(), 0.0, "test")
    for broken, kind, told in (
        (replace(release, policy=None), SpecError, "and no `policy`"),
        (replace(release, members=release.members[:1]), SpecError, "two members or more"),
        (replace(release, artifacts=release.artifacts[:1]), BadData, "no artifact named as its member 'large'"),
        (replace(release, policy="cascad"), SpecError, "did you mean 'cascade'"),
    ):
        with pytest.raises(kind, match=told):
            assembled(broken, files, Path(), project().serving)


# --- a member elsewhere


@pytest.fixture
def elsewhere(clinic_template: Path, tmp_path: Path) -> Iterator[Server]:
    """A server of the large model alone."""
    import shutil

    root = tmp_path / "elsewhere"
    shutil.copytree(clinic_template, root, ignore=shutil.ignore_patterns("__pycache__"))
    spec = read_project(root)
    with State.open(spec.state, "process") as opened:
        release_model(spec, Registry(opened), 1.0, "test", "why")
    server = Server(spec)
    server.start()
    yield server
    server.stop()


def tiered(url: str, outage: str = "keep") -> str:
    remote = f"{{remote: {{url: '{url}', model: clinic, timeout_seconds: 2.0}}}}"
    own = '{file: model/clinic.onnx, engine: onnx, wrappers: ["calibrated:slope=1.0"], usd_per_1k: 20.0}'
    assert own in MEMBERS
    return MEMBERS.replace(own, f"{{engine: {remote}, usd_per_1k: 20.0}}").replace("outage: keep", f"outage: {outage}")


def test_the_dear_member_on_another_server_may_be_killed_while_both_serve(project, clinic, elsewhere):
    here = elsewhere.address()
    spec = project(tiered(here.url))
    with State.open(spec.state, "process") as opened:
        release_model(spec, Registry(opened), 1.0, "test", "why")
    server = Server(spec)
    asked = request(clinic, 60)
    one = alone(replace(spec, model=type(spec.model)()), "model/small.onnx", asked)
    two = alone(replace(spec, model=type(spec.model)()), "model/clinic.onnx", asked)

    async def talk(url: str) -> tuple[list[Response], list[Response]]:
        async with Remote(url, "clinic") as remote:
            before = [await remote(replace(asked, id=f"a{k}")) for k in range(5)]
            elsewhere.process.send_signal(signal.SIGKILL)
            after = [await remote(replace(asked, id=f"b{k}")) for k in range(30)]
        return before, after

    try:
        before, after = asyncio.run(talk(server.start().url))
    finally:
        server.stop()
    for found in before:
        picked = [b if len(way) > 1 else a for way, a, b in zip(ways(found, 60), one, two, strict=True)]
        assert found.outputs["probability"].data == pytest.approx(picked, abs=1e-6)
        assert found.usd == pytest.approx(0.06 + 0.02 * ways(found, 60).count(("small", "large")))
    unsure = ways(before[0], 60).count(("small", "large"))
    assert 0 < unsure < 60
    for found in after:
        assert found.outputs["probability"].data == pytest.approx(one, abs=1e-6)
        assert found.parameters["unconfirmed"] == unsure
    said = [step.because for step in (way[-1] for way in after[-1].paths if len(way) > 1)]
    assert all("not asked: 'large' failed too often" in words for words in said)


def test_a_release_does_not_get_in_while_its_member_elsewhere_is_away_but_a_server_starts(project, elsewhere, state):
    url = elsewhere.address().url
    spec, registry = project(tiered(url)), Registry(state)
    release, _ = release_model(spec, registry, 1.0, "test", "why")
    elsewhere.process.send_signal(signal.SIGKILL)
    elsewhere.process.wait()
    with pytest.raises(Unreachable):
        release_model(spec, registry, 2.0, "test", "why")
    found = assembled(release, registry.files(release), spec.root, spec.serving, without=True)
    found.warm_up()
    assert isinstance(found.parts["large"], Absent)
    asked = request(spec.root, 60)
    (answer,) = ask(found, asked)
    assert answer.outputs["probability"].data == pytest.approx(alone(spec, "model/small.onnx", asked), abs=1e-6)
    assert answer.parameters["unconfirmed"] > 0
    server = Server(elsewhere.spec, port=int(url.rpartition(":")[2]))
    server.start()
    try:
        (answer,) = ask(found, asked)
    finally:
        server.stop()
    assert "unconfirmed" not in answer.parameters
    assert found.parts["large"].snapshot().rows > 0
