"""Several precisions of one network, each quantised for real, and who answers whom."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skl2onnx import to_onnx
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.errors import BadRequest, SpecError
from roadworthy.core.spec import Field, Serving, Signature
from roadworthy.core.wire import Request, Response, Tensor
from roadworthy.route.answering.levels import Level
from roadworthy.route.base import policy
from roadworthy.route.policies.precision import Precision
from roadworthy.serve.assemble import Assembled, assemble

X, Y = load_digits(return_X_y=True)
X = (X / 16).astype(np.float32)
TRAIN, TEST = slice(0, 1200), slice(1200, None)
SIGNATURE = Signature({"pixels": Field(width=64)}, {"probabilities": Field(width=10)})
PRICES = {"int8": 1.0, "fp32": 4.0}
CLASSES = tuple("0123456789")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`fp32.onnx`, and the same network with its weights in 8 bits."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    where = tmp_path_factory.mktemp("precisions")
    model = MLPClassifier((64, 32), max_iter=60, random_state=0, early_stopping=True).fit(X[TRAIN], Y[TRAIN])
    graph = to_onnx(model, X[:1], options={"zipmap": False}, target_opset=17)
    # A classifier's graph answers its label, too; only the probabilities are of use here.
    del graph.graph.output[0]
    (where / "fp32.onnx").write_bytes(graph.SerializeToString())
    quantize_dynamic(where / "fp32.onnx", where / "int8.onnx", weight_type=QuantType.QInt8)
    return where


@pytest.fixture
def members(folder: Path) -> dict[str, Assembled]:
    """The precisions as a server would load them, the cheapest first."""
    made = {}
    for name in PRICES:
        release = Release(name, (Artifact("model", "0" * 64, 1, "onnx"),), SIGNATURE)
        made[name] = assemble(release, {"model": folder / f"{name}.onnx"}, folder, Serving(place="loop"))
        made[name].warm_up()
    return made


def request(rows: int = 1, **parameters: Any) -> Request:
    data = X[TEST][:rows].reshape(-1).tolist()
    return Request("r", {"pixels": Tensor("pixels", "FP32", (rows, 64), data)}, 0.0, parameters=parameters)


def ask(handler: Any, *requests: Request) -> list[Response]:
    async def main() -> list[Response]:
        return [await handler(one) for one in requests]

    return asyncio.run(main())


def test_the_weights_really_are_smaller_and_the_answers_nearly_the_same(folder, members):
    import onnx

    kinds = {each.op_type for each in onnx.load(folder / "int8.onnx").graph.node}
    assert "MatMulInteger" in kinds
    assert "MatMulInteger" not in {each.op_type for each in onnx.load(folder / "fp32.onnx").graph.node}
    exact, cheap = ask(members["fp32"], request(500)), ask(members["int8"], request(500))
    one, other = (np.array(found[0].outputs["probabilities"].data).reshape(-1, 10) for found in (exact, cheap))
    assert 0 < np.abs(one - other).max() < 0.2
    assert (one.argmax(1) == other.argmax(1)).mean() > 0.98


def test_a_request_may_name_its_precision(members):
    chosen = Precision(usd_per_1k=PRICES)(members)
    usual, cheap = ask(chosen, request(), request(precision="int8"))
    assert usual.outputs["probabilities"] == ask(members["fp32"], request())[0].outputs["probabilities"]
    assert cheap.outputs["probabilities"] == ask(members["int8"], request())[0].outputs["probabilities"]
    assert (usual.path[-1].at, usual.path[-1].because) == ("fp32", "nothing speaks against it")
    assert (cheap.path[-1].at, cheap.path[-1].because) == ("int8", "the request asks for it with `precision`")
    assert (usual.usd, cheap.usd) == (0.004, 0.001)
    with pytest.raises(BadRequest, match="'precision': no precision named 'int4'; did you mean 'int8'"):
        ask(chosen, request(precision="int4"))


def test_a_budget_takes_the_dearest_that_fits_and_is_refused_where_none_does(members):
    chosen = Precision(usd_per_1k=PRICES)(members)
    answers = ask(chosen, request(3, budget_usd=0.012), request(3, budget_usd=0.0119), request(3, budget_usd=0.003))
    assert [one.path[-1].at for one in answers] == ["fp32", "int8", "int8"]
    assert answers[1].path[-1].because == "0.003 USD, within the 0.0119 USD of `budget_usd`"
    with pytest.raises(BadRequest, match=r"3 rows cost 0\.003 USD at the least"):
        ask(chosen, request(3, budget_usd=0.001))
    for wrong in ("much", -1.0, float("nan"), True):
        with pytest.raises(BadRequest, match="is a number of US dollars"):
            ask(chosen, request(budget_usd=wrong))
    with pytest.raises(BadRequest, match="not every precision here has a price"):
        ask(Precision()(members), request(budget_usd=1.0))


def test_load_moves_requests_to_the_cheaper_one_and_back(members):
    chosen = Precision(busy_rows={"fp32": 2})(members)

    async def main() -> list[Response]:
        # All of them are under way at once: the model runs in a later turn of the loop.
        return [*await asyncio.gather(*(chosen(request()) for _ in range(5))), await chosen(request())]

    answers = asyncio.run(main())
    assert [one.path[-1].at for one in answers] == ["fp32", "fp32", "int8", "int8", "int8", "fp32"]
    assert answers[2].path[-1].because == "'fp32' has 2 rows in flight, 2 are its most"
    assert ask(chosen, request(5))[0].path[-1].at == "fp32"  # alone, it would wait for nobody


def test_the_difficulty_decides_where_nothing_else_does(members):
    levels = (Level("int8", least=0.9), Level("fp32"))
    chosen = Precision(levels=levels, classes=CLASSES, usd_per_1k=PRICES)(members)
    (found,) = ask(chosen, request(300))
    ways = [tuple(step.at for step in found.row_path(k)) for k in range(300)]
    assert set(ways) == {("int8",), ("int8", "fp32")}
    assert ways.count(("int8",)) > 200
    assert found.usd == pytest.approx(0.3 + 0.004 * ways.count(("int8", "fp32")))
    (named,) = ask(chosen, request(precision="fp32"))
    assert [step.at for step in named.path] == ["fp32"]


def test_settings_that_name_no_precision_there_is_are_refused(members):
    with pytest.raises(SpecError, match="no precision named 'fp16'"):
        Precision(usual="fp16")(members)
    with pytest.raises(SpecError, match="no precision named 'fp16'"):
        Precision(busy_rows={"fp16": 3})(members)
    with pytest.raises(ValueError, match="leave out `usual`"):
        Precision(usual="fp32", levels=(Level("int8", least=0.9), Level("fp32")))
    with pytest.raises(ValueError, match="name two parameters"):
        Precision(asked_by="x", budget_by="x")
    with pytest.raises(ValueError, match="1 row or more"):
        Precision(busy_rows={"fp32": 0})


def test_the_plan_of_a_project_file_makes_it(members):
    made = policy.make({"precision": {"usual": "int8", "busy_rows": {"fp32": 8}}}, usd_per_1k=PRICES)
    assert made == Precision(usual="int8", busy_rows={"fp32": 8}, usd_per_1k=PRICES)
    assert ask(made(members), request())[0].path[-1].at == "int8"
