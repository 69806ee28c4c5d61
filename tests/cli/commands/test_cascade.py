"""`roadworthy cascade` fits two models of a project into one that keeps a promise, and watches it in the records."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import numpy as np
import pytest
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from roadworthy.app.deployment import Deployment
from roadworthy.cli.flows import read
from roadworthy.cli.opening import open_state
from roadworthy.core.project import read_project
from roadworthy.evaluate.answers import request_of
from roadworthy.registry.releases import Registry
from roadworthy.route.cascades.fits import CascadeFit
from roadworthy.route.cascades.report import plot_of

OWN = "model:\n  file: model/clinic.onnx\n  engine: onnx\n  train: train.py:train\n"
MEMBERS = """model:
  policy: {cascade: {audit: 0.5}}
  policy_file: model/cascade.json
  members:
    small: {file: model/small.onnx, usd_per_1k: 0.1}
    large: {file: model/clinic.onnx, usd_per_1k: 2.0}
"""


@pytest.fixture
def two(clinic: Path) -> Path:
    """The clinic with a model that was told only of one column, and its own behind it."""
    spec = read_project(clinic)
    rows = read(spec, "history")
    features = np.column_stack([rows.columns[name] for name in spec.signature.inputs]).astype(np.float32)
    features[:, 1:] = np.random.default_rng(0).permutation(features[:, 1:])
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(features, rows.labels > 0.5)
    graph = to_onnx(model, initial_types=[("X", FloatTensorType([None, 3]))], options={"zipmap": False})
    (clinic / "model" / "small.onnx").write_bytes(graph.SerializeToString())
    file = clinic / "roadworthy.yaml"
    file.write_text(file.read_text().replace(OWN, MEMBERS))
    return clinic


def test_a_fit_is_released_serves_and_is_watched(call, two):
    told = call("cascade", "fit", "--rows", "production", "--agreement", "0.97", "--project", two, "--json")
    assert told.code == 0, told.err
    fit = msgspec.json.decode((two / "model" / "cascade.json").read_bytes(), type=CascadeFit)
    assert msgspec.convert(told.body["fit"], CascadeFit) == fit
    assert 0 < fit.delegation.value < 1
    assert plot_of(fit).curve
    page = (two / ".roadworthy" / "cascade.html").read_text()
    assert "Promised: agreement 0.97 with probability 0.9" in page
    assert "USD per 1,000 rows" in page
    assert call("release", "--project", two).code == 0
    asked = served(two, 300)
    watched = call("cascade", "report", "--days", "4000", "--project", two, "--json")
    assert watched.code in (0, 3), watched.err
    assert watched.body["ledger"]["rows"] == asked
    assert {line["at"] for line in watched.body["ledger"]["lines"]} == {"small", "large"}
    assert watched.body["ledger"]["usd"] > 0
    assert watched.body["verdicts"][0]["of"] == "agreement"


def served(root: Path, rows: int) -> int:
    """Ask a deployment of the project about some rows, one request each."""
    spec = read_project(root)
    sample = read(spec, "production")

    async def ask() -> None:
        with open_state(spec) as state:
            deployment = Deployment(state, Registry(state), spec, spec.application.name)
            await deployment.sync()
            for row in range(rows):
                await deployment(request_of(sample.take(slice(row, row + 1)), spec.signature, f"r{row}"))
            await deployment.close()

    asyncio.run(ask())
    return rows


def test_a_promise_that_the_rows_cannot_carry_is_refused_or_sends_all_on(call, two):
    few = call("cascade", "fit", "--rows", "lab", "--agreement", "0.99999", "--project", two)
    assert few.code == 2
    assert "rows" in few.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "got nothing"),
        (("--precision", "0.9"), "`--precision 0.9 --recall 0.9`"),
        (("--agreement", "1.2"), "must lie between 0 and 1, got 1.2"),
    ],
)
def test_a_promise_must_be_one(call, two, words, said):
    refused = call("cascade", "fit", *words, "--project", two)
    assert refused.code == 2
    assert said in refused.err


def test_one_model_is_no_cascade(call, released):
    out = released / "fit.json"
    assert (
        "names no `model.members`"
        in call("cascade", "fit", "--agreement", "0.9", "--out", out, "--project", released).err
    )
    assert "answers by no fitted cascade" in call("cascade", "report", "--project", released).err
    assert "where to?" in call("cascade", "fit", "--agreement", "0.9", "--project", released).err
