from __future__ import annotations

import json
import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
import yaml
from skl2onnx import to_onnx
from sklearn.linear_model import LogisticRegression

from roadworthy.core.errors import BadData
from roadworthy.core.spec import Field, Signature
from roadworthy.serve.engines.mlflow import Mlflow
from roadworthy.serve.formats.folder import pack

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 2)).astype(np.float32)
LAB = LogisticRegression().fit(X, X[:, 0] > 0)
COLUMNS = {"wind": X[:5, [0]], "rain": X[:5, [1]]}
SIGNED = {
    "inputs": json.dumps(
        [
            {"type": "double", "name": "wind", "required": True},
            {"type": "float", "name": "rain", "required": False},
        ]
    ),
    "outputs": json.dumps([{"type": "tensor", "tensor-spec": {"dtype": "int64", "shape": [-1]}}]),
}


def write(folder: Path, flavours: dict[str, Any], **told: Any) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "MLmodel").write_text(yaml.safe_dump({"flavors": flavours, **told}))
    return folder


def sklearn(folder: Path, dump: Callable[[Path], Any]) -> Path:
    write(folder, {"sklearn": {"pickled_model": "model.bin"}, "python_function": {"loader_module": "mlflow.sklearn"}})
    dump(folder / "model.bin")
    return folder


def onnx(folder: Path, **told: Any) -> Path:
    write(folder, {"onnx": {"data": "model.onnx"}, "python_function": {"loader_module": "mlflow.onnx"}}, **told)
    graph = to_onnx(LAB, X[:1], options={"zipmap": False})
    (folder / "model.onnx").write_bytes(graph.SerializeToString())
    return folder


@pytest.mark.parametrize(
    "dump", [lambda file: skops.io.dump(LAB, file), lambda file: file.write_bytes(pickle.dumps(LAB, 5))]
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_scikit_learn_flavour_runs_without_trust(dump: Callable[[Path], Any], packed: bool, tmp_path: Path) -> None:
    file = sklearn(tmp_path / "model", dump)
    made = Mlflow(pack(file, tmp_path / "model.zip") if packed else file, output="late")
    np.testing.assert_allclose(made(COLUMNS)["late"], LAB.predict_proba(X[:5])[:, 1], atol=1e-6)


def test_an_onnx_flavour_runs_on_the_onnx_engine(tmp_path: Path) -> None:
    made = Mlflow(onnx(tmp_path / "model"))
    np.testing.assert_allclose(made(COLUMNS)["probability"], LAB.predict_proba(X[:5])[:, 1], atol=1e-6)
    made.check(Signature({"wind": Field(), "rain": Field()}, {}))
    with pytest.raises(BadData, match="wants 2 values a row in 'X' and the project promises 3"):
        made.check(Signature({"wind": Field(), "rain": Field(width=2)}, {}))


def test_describe_tells_the_saved_inputs_and_what_is_answered_here(tmp_path: Path) -> None:
    signed = Mlflow.describe(onnx(tmp_path / "signed", signature=SIGNED))
    assert signed == Signature({"wind": Field(), "rain": Field(nullable=True)}, {"probability": Field()})
    assert Mlflow.describe(onnx(tmp_path / "bare")) == Signature({"X": Field(width=2)}, {"probability": Field()})


@pytest.fixture(scope="module")
def function(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that MLflow itself saved, from code."""
    folder = tmp_path_factory.mktemp("function")
    (folder / "model.py").write_text(
        "import mlflow\nimport pandas\n\n\nclass Model(mlflow.pyfunc.PythonModel):\n"
        "    def predict(self, context, model_input: pandas.DataFrame, params=None):\n"
        "        return model_input['wind'].to_numpy() * 2\n\n\nmlflow.models.set_model(Model())\n"
    )
    import mlflow.pyfunc

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        mlflow.pyfunc.save_model(str(folder / "kept"), python_model=str(folder / "model.py"), pip_requirements=[])
    return folder / "kept"


@pytest.mark.filterwarnings("ignore")
def test_a_python_function_runs_with_trust_and_not_without(function: Path) -> None:
    with pytest.raises(BadData, match=r"loaded by the Python code of 'mlflow\.pyfunc\.\S+'"):
        Mlflow(function)(COLUMNS)
    made = Mlflow(function, trust=True, output="delay")
    np.testing.assert_allclose(made(COLUMNS)["delay"], X[:5, 0] * 2)
    assert made({name: values[:0] for name, values in COLUMNS.items()})["delay"].shape == (0,)
    made.check(Signature({"wind": Field()}, {}))


@pytest.mark.filterwarnings("ignore")
def test_what_mlflow_itself_saves_is_read(tmp_path: Path) -> None:
    import mlflow.sklearn

    for form in ("cloudpickle", "skops"):
        mlflow.sklearn.save_model(LAB, str(tmp_path / form), serialization_format=form, pip_requirements=[])
        got = Mlflow(tmp_path / form)(COLUMNS)["probability"]
        np.testing.assert_allclose(got, LAB.predict_proba(X[:5])[:, 1], atol=1e-6)
