from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.errors import BadData, SpecError
from roadworthy.core.spec import Field, Serving, Signature
from roadworthy.core.wire import Request, Tensor
from roadworthy.serve.assemble import Assembled, assemble
from roadworthy.serve.wrappers.calibrated import Calibrated

X = np.random.default_rng(0).normal(size=(80, 2)).astype(np.float32)
LAB = LogisticRegression().fit(X, X[:, 0] > X[:, 1])
SIGNATURE = Signature({"temp": Field(), "wind": Field()}, {"probability": Field()})

DOUBLING = '''
from dataclasses import dataclass
from msgspec.structs import replace

@dataclass(frozen=True)
class Doubling:
    """Doubles every probability, to see where in the stack it stands."""
    def __call__(self, inner):
        async def ask(request):
            response = await inner(request)
            tensor = response.outputs["probability"]
            outputs = {"probability": replace(tensor, data=[2 * p for p in tensor.data])}
            return replace(response, outputs=outputs)
        return ask
'''


@pytest.fixture
def file(tmp_path: Path) -> Path:
    # A stored file is named by its digest and has no suffix.
    path = tmp_path / "0123abcd"
    path.write_bytes(to_onnx(LAB, X[:1], options={"zipmap": False}).SerializeToString())
    (tmp_path / "faults.py").write_text(DOUBLING)
    return path


def release(signature: Signature = SIGNATURE, engine: str = "onnx", **parts: Any) -> Release:
    return Release("flights", (Artifact("model", "0" * 64, 1, engine),), signature, **parts)


def answer(made: Assembled, row: np.ndarray) -> float:
    async def run() -> Any:
        made.warm_up()
        inputs = {name: Tensor(name, "FP32", (1, 1), [float(x)]) for name, x in zip(("temp", "wind"), row, strict=True)}
        response = await made(Request("r", inputs, 0.0))
        await made.close()
        return response

    response = asyncio.run(run())
    assert response.release
    return float(response.outputs["probability"].data[0])


def lab(row: np.ndarray) -> float:
    return float(LAB.predict_proba(row.reshape(1, -1))[0, 1])


def test_a_bare_release_answers_as_the_lab_did(file: Path) -> None:
    made = assemble(release(), {"model": file}, file.parent, Serving(most_rows=7, queue=9))
    assert answer(made, X[0]) == pytest.approx(lab(X[0]), abs=1e-6)
    assert (made.core.most_rows, made.core.queue) == (7, 9)
    assert made.core.release == release().digest


def test_preprocessing_stands_outside_the_wrappers_and_both_in_the_order_written(file: Path) -> None:
    plans = release(
        preprocessing=({"rescale": {"column": "temp", "scale": 2.0}}, "rescale:column=temp,offset=1"),
        wrappers=("faults.py:Doubling", "calibrated:slope=0.5"),
    )
    made = assemble(plans, {"model": file}, file.parent, Serving())
    converted = np.array([X[0, 0] * 2 + 1, X[0, 1]], np.float32)
    assert answer(made, X[0]) == pytest.approx(2 * Calibrated(0.5).calibrate(lab(converted)), abs=1e-6)


def test_the_engine_answers_under_the_name_that_the_application_gives(file: Path) -> None:
    late = Signature(SIGNATURE.inputs, {"late": Field()})
    made = assemble(release(late), {"model": file}, file.parent, Serving())
    made.warm_up()
    assert list(made.core.engine({"temp": X[:1, [0]], "wind": X[:1, [1]]})) == ["late"]


def test_a_model_that_does_not_take_the_signature_is_refused(file: Path) -> None:
    three = Signature({**SIGNATURE.inputs, "hour": Field()}, SIGNATURE.outputs)
    with pytest.raises(BadData, match="wants 2 values a row in 'X' and the project promises 3"):
        assemble(release(three), {"model": file}, file.parent, Serving())


def test_a_release_without_a_model_or_an_engine_is_refused(file: Path) -> None:
    with pytest.raises(BadData, match=r"no artifact named 'model' to run \(files: card\)"):
        assemble(release(), {"card": file}, file.parent, Serving())
    with pytest.raises(SpecError, match=r"write `engine:` with one of .*onnx, .*sklearn"):
        assemble(release(engine=""), {"model": file}, file.parent, Serving())
    with pytest.raises(SpecError, match="no engine named 'onx'; did you mean 'onnx'"):
        assemble(release(engine="onx"), {"model": file}, file.parent, Serving())


def test_a_wrapper_with_a_fallback_of_its_own_gets_what_that_is_made_with(file: Path) -> None:
    instead = {"default": {"outputs": {"probability": 0.25}}}
    made = assemble(
        release(wrappers=({"abstain": {"threshold": 1.0, "fallback": instead}},)),
        {"model": file},
        file.parent,
        Serving(),
    )
    assert answer(made, X[0]) == 0.25
