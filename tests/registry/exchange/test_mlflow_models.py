"""Models go from real MLflow into releases and back, and answer alike on the whole way."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from msgspec.structs import replace

from roadworthy.cli.flows import handler_of, lab_release
from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.errors import BadData, Missing, SpecError
from roadworthy.core.measure import Claim, Measurement
from roadworthy.core.project import read_project
from roadworthy.core.spec import Field, Signature, Spec
from roadworthy.core.wire import Request, Tensor
from roadworthy.registry.exchange.mlflow_export import export_release, metrics_of, told
from roadworthy.registry.exchange.mlflow_models import Imported, import_model, imported_lines
from roadworthy.registry.exchange.mlflow_server import MlflowAway, Server, environment
from roadworthy.registry.releases import Registry
from roadworthy.serve.formats.base import LIMITS
from roadworthy.serve.formats.folder import pack, unpack
from roadworthy.store.state import State

# MLflow, and what it brings along, warns of itself.
pytestmark = pytest.mark.filterwarnings("ignore")

NAMES = ["radius", "texture", "smoothness"]
ASKED = Signature({name: Field() for name in NAMES}, {"probability": Field()})


def unpacked(file: Path, folder: Path) -> Path:
    with file.open("rb") as stream:
        return unpack(stream, str(file), folder, LIMITS)


def table_of(file: Path) -> Any:
    import pandas

    return pandas.DataFrame(pl.read_parquet(file).to_dict(as_series=False))


@pytest.fixture(scope="module", autouse=True)
def _quiet() -> Iterator[None]:
    """MLflow reports its use to its makers unless told otherwise; no test may need a network."""
    with environment({"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false"}):
        yield


@pytest.fixture(scope="module")
def logged(tmp_path_factory: pytest.TempPathFactory, clinic_template: Path) -> Path:
    """A folder with the database of MLflow and a model that was logged and registered there: it takes seconds."""
    import mlflow
    import mlflow.sklearn
    from mlflow.models import infer_signature
    from sklearn.linear_model import LogisticRegression

    root = tmp_path_factory.mktemp("mlflow")
    rows = table_of(clinic_template / "data" / "history.parquet")
    model = LogisticRegression(max_iter=2000).fit(rows[NAMES], rows["malignant"])
    uri = f"sqlite:///{root / 'mlflow.db'}"
    client = mlflow.MlflowClient(uri)
    mlflow.set_tracking_uri(uri)
    try:
        place = client.create_experiment("clinic", artifact_location=(root / "artifacts").as_uri())
        client.create_experiment("roadworthy", artifact_location=(root / "artifacts").as_uri())
        with mlflow.start_run(experiment_id=place) as run:
            mlflow.log_params({"max_iter": 2000, "solver": "lbfgs"})
            mlflow.log_metrics({"auc": 0.97, "strange": float("nan")})
            mlflow.log_input(mlflow.data.from_pandas(rows[NAMES], name="history"), context="training")
            mlflow.set_tags({"mlflow.source.git.commit": "c0ffee", "mlflow.user": "ada"})
            mlflow.sklearn.log_model(
                model,
                name="model",
                signature=infer_signature(rows[NAMES], model.predict_proba(rows[NAMES])),
                registered_model_name="clinic",
                pip_requirements=["scikit-learn==1.9.1", "numpy"],
                pyfunc_predict_fn="predict_proba",
            )
    finally:
        mlflow.set_tracking_uri(None)
    client.set_registered_model_alias("clinic", "champion", "1")
    client.set_model_version_tag("clinic", "1", "reviewed", "yes")
    (root / "run_id").write_text(run.info.run_id)
    return root


@pytest.fixture
def server(logged: Path, tmp_path: Path) -> Server:
    """A database of one's own; the files of the models are shared, which nobody changes."""
    shutil.copy(logged / "mlflow.db", tmp_path / "mlflow.db")
    return Server(f"sqlite:///{tmp_path / 'mlflow.db'}")


@pytest.fixture
def spec(clinic: Path) -> Spec:
    return read_project(clinic / "roadworthy.yaml")


def taken(uri: str, to: Path, server: Server | None = None, asked: Signature = ASKED, **more: Any) -> Imported:
    return import_model(uri, to, pack, asked, server, name="clinic", **more)


def answers(spec: Spec, release: Release, files: dict[str, Path], rows: Any) -> np.ndarray:
    """What the served handler stack says about the rows of a table."""
    inputs = {
        name: Tensor(name, field.datatype, (len(rows), 1), [None if v != v else v for v in rows[name].tolist()])
        for name, field in release.signature.inputs.items()
    }

    async def asked() -> Any:
        handler = handler_of(spec, release, files)
        response = await handler(Request("r", inputs, 0.0))
        await handler.close()
        (output,) = response.outputs.values()
        return np.reshape(output.data, output.shape)

    return asyncio.run(asked())


def loaded(server: Server, uri: str) -> Any:
    import mlflow

    mlflow.set_tracking_uri(server.uri)
    try:
        return mlflow.pyfunc.load_model(uri)
    finally:
        mlflow.set_tracking_uri(None)


def client_of(server: Server) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(server.uri)


def patients(spec: Spec) -> Any:
    return table_of(spec.path(spec.data.production)).head(200)[NAMES]


def test_a_model_of_mlflow_is_released_served_exported_and_loaded_with_equal_predictions(server, spec, tmp_path):
    rows = patients(spec)
    expected = loaded(server, "models:/clinic/1").predict(rows)[:, 1]
    imported = taken("models:/clinic@champion", tmp_path / "work", server, spec.signature)
    with State.open(tmp_path / "state", "process") as state:
        registry = Registry(state)
        release = registry.add(imported.release, imported.files)
        registry.point("clinic", "stable", release.digest, 1.0, "ada", "from MLflow")
        files = registry.files(registry.get(release.digest))
        served = answers(spec, release, files, rows)
        exported = export_release(release, files, server, unpacked, name="back", alias="champion")
    back = loaded(server, "models:/back@champion")
    np.testing.assert_array_equal(back.predict(rows)[:, 1], expected)
    np.testing.assert_allclose(served, expected, atol=1e-6)
    assert served.std() > 0.1
    again = taken(exported.uri, tmp_path / "again", server, spec.signature)
    assert again.files["model"].read_bytes() == imported.files["model"].read_bytes()


def test_the_lineage_comes_along(server, logged, tmp_path):
    imported = taken("models:/clinic/1", tmp_path, server)
    release, origin, run = imported.release, imported.origin, (logged / "run_id").read_text()
    assert release.training["max_iter"] == "2000"
    assert release.training["mlflow.run_id"] == origin.run_id == run
    assert release.training["mlflow.experiment"] == "clinic"
    assert release.code == "git:c0ffee"
    assert release.made_by == "ada"
    assert release.data["training"].startswith("history ")
    assert release.versions["scikit-learn"] == "1.9.1"
    assert release.made_at > 1_700_000_000
    assert (origin.name, origin.version, origin.aliases, origin.tags) == (
        "clinic",
        "1",
        ("champion",),
        {"reviewed": "yes"},
    )
    assert release.note == (
        "from MLflow models:/clinic/1; registered as clinic version 1; aliases champion; tags reviewed=yes"
    )


def test_the_metrics_of_a_run_are_claims_and_never_measurements(server, logged, tmp_path):
    imported = taken("models:/clinic/1", tmp_path, server)
    source = f"MLflow run {(logged / 'run_id').read_text()}"
    assert imported.claims == (Claim("auc", 0.97, source=source, model="clinic"),)
    assert imported.release.training["mlflow.metrics"] == {"auc": 0.97, "strange": "nan"}
    assert imported.release.measured == ()
    assert imported_lines(imported)[-1] == "states auc 0.97 (not measured here)"


def test_every_address_of_a_model_brings_the_same_bytes(server, logged, tmp_path):
    client = client_of(server)
    run = client.get_run((logged / "run_id").read_text())
    model = run.outputs.model_outputs[0].model_id
    folder = tmp_path / "own"
    shutil.copytree(logged / "artifacts" / "models" / model / "artifacts", folder)
    # MLflow writes this into a model that it fetches by its registered name.
    (folder / "registered_model_meta").write_text("model_name: clinic\n")
    uris = ["models:/clinic/1", "models:/clinic@champion", f"runs:/{run.info.run_id}/model", f"models:/{model}"]
    found = [taken(uri, tmp_path / str(k), server) for k, uri in enumerate(uris)] + [taken(str(folder), tmp_path / "f")]
    assert len({one.files["model"].read_bytes() for one in found}) == 1
    assert {one.release.training["mlflow.run_id"] for one in found} == {run.info.run_id}
    # Who made it is the same by each of the server's addresses; only the words of the note differ.
    assert len({replace(one.release, note="").digest for one in found[:2]}) == 1


def test_exporting_twice_makes_no_second_version_and_moves_the_alias(server, spec, tmp_path):
    imported = taken("models:/clinic/1", tmp_path, server)
    first = export_release(imported.release, imported.files, server, unpacked, name="twice")
    second = export_release(imported.release, imported.files, server, unpacked, name="twice", alias="stable")
    client = client_of(server)
    assert (first.made, second.made, second.version) == (True, False, first.version)
    assert len(client.search_model_versions("name='twice'")) == 1
    assert len(client.search_runs([client.get_experiment_by_name("roadworthy").experiment_id])) == 1
    assert client.get_model_version_by_alias("twice", "stable").version == int(first.version)
    assert told(second)[0].endswith(f"was there already as models:/twice/1 (run {first.run_id})")


def test_what_is_known_of_a_release_is_written_beside_it(server, spec, tmp_path):
    release, files = lab_release(spec, 5.0, "ada")
    measured = (
        Measurement("auc", 0.9, 300, 0.88, 0.92),
        Measurement("auc", 0.8, 30, 0.7, 0.9, where="ward=north"),
        Measurement("auc", 0.7, 30, 0.6, 0.8, where="ward>north"),
        Measurement("never"),
    )
    release = replace(
        release,
        measured=measured,
        calibration=(Measurement("ece", 0.02, 300, 0.01, 0.03),),
        training={"depth": 3, "long": "x" * 900, "mlflow.run_id": "of another"},
        parent="p" * 64,
        code="git:c0ffee+changes",
    )
    exported = export_release(release, files, server, unpacked, texts={"README.md": "# a card"})
    run = client_of(server).get_run(exported.run_id)
    assert run.data.metrics == {
        "auc": 0.9,
        "auc/ward_north": 0.8,
        "auc/ward_north_2": 0.7,
        "calibration/ece": 0.02,
    }
    assert json.loads(run.data.tags["roadworthy.measured.auc"]) == {"name": "auc", "n": 300, "low": 0.88, "high": 0.92}
    assert run.data.params["depth"] == "3"
    assert len(run.data.params["long"]) == 500
    assert set(run.data.params) == {"depth", "long"}
    wanted = {
        "roadworthy.release": release.digest,
        "roadworthy.parent": "p" * 64,
        "roadworthy.code": "git:c0ffee+changes",
        "mlflow.source.git.commit": "c0ffee",
        "mlflow.source.git.dirty": "True",
    }
    assert wanted.items() <= run.data.tags.items()
    kept = Path(run.info.artifact_uri.removeprefix("file://")) / "roadworthy"
    assert (kept / "README.md").read_text() == "# a card"
    assert json.loads((kept / "release.json").read_text())["training"]["long"] == "x" * 900


def test_names_of_slices_stay_apart_where_mlflow_has_no_letters_for_them():
    slices = [Measurement("auc", 0.5, 9, where=where) for where in ("a=1", "a>1", "a<1")]
    release = Release("r", (), ASKED, measured=tuple(slices))
    assert [one.where for one in metrics_of(release).values()] == ["a=1", "a>1", "a<1"]


@pytest.mark.parametrize(
    "wrappers",
    [
        (),
        (
            {"rescale": {"column": "radius", "scale": 1.1, "offset": -0.5}},
            "calibrated:slope=0.7,intercept=-0.3",
            "cache",
        ),
        ("rescale:column=texture,offset=5,modulo=24",),
    ],
)
def test_an_onnx_release_answers_in_mlflow_as_it_is_served(wrappers, server, spec, tmp_path):
    rows = patients(spec)
    rows.loc[3, "texture"] = np.nan
    release, files = lab_release(spec, 0.0, "ada")
    release = replace(release, wrappers=wrappers)
    served = answers(spec, release, files, rows)
    exported = export_release(release, files, server, unpacked, name="graph")
    np.testing.assert_allclose(loaded(server, exported.uri).predict(rows), served, atol=1e-6, equal_nan=True)


def test_a_scikit_learn_release_with_text_answers_in_mlflow_as_it_is_served(server, spec, tmp_path):
    import skops.io
    from sklearn.compose import make_column_transformer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder

    table = table_of(spec.path(spec.data.history))
    columns = ["radius", "ward"]
    steps = make_column_transformer((OneHotEncoder(), ["ward"]), remainder="passthrough")
    model = make_pipeline(steps, LogisticRegression()).fit(table[columns], table["malignant"])
    skops.io.dump(model, tmp_path / "model.skops")
    inputs = {"radius": Field(), "ward": Field("category", values=("north", "south"))}
    signature = Signature(inputs, {"probability": Field()})
    release = Release("wards", (Artifact("model", "", 0, engine="sklearn"),), signature)
    files = {"model": tmp_path / "model.skops"}
    rows = table[columns].head(50)
    served = answers(spec, release, files, rows)
    exported = export_release(release, files, server, unpacked)
    np.testing.assert_allclose(loaded(server, exported.uri).predict(rows), served, atol=1e-6)
    again = taken(exported.uri, tmp_path / "again", server, signature)
    np.testing.assert_allclose(answers(spec, again.release, again.files, rows), served, atol=1e-6)


def test_a_pickled_estimator_of_three_classes_answers_in_mlflow_through_its_temperature(server, spec, tmp_path):
    import joblib
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    data = load_iris(as_frame=True)
    joblib.dump(LogisticRegression(max_iter=500).fit(data.data, data.target), tmp_path / "iris.joblib")
    signature = Signature({name: Field() for name in data.data}, {"scores": Field(width=3)})
    artifacts = (Artifact("model", "", 0, engine="sklearn"),)
    release = Release("iris", artifacts, signature, wrappers=("temperature:temperature=2.5",))
    files = {"model": tmp_path / "iris.joblib"}
    served = answers(spec, release, files, data.data)
    exported = export_release(release, files, server, unpacked)
    assert served.shape == (150, 3)
    np.testing.assert_allclose(loaded(server, exported.uri).predict(data.data), served, atol=1e-5)


def test_whole_numbers_that_may_be_null_are_rescaled_as_they_are_served(server, spec, tmp_path):
    release, files = lab_release(spec, 0.0, "ada")
    inputs = {**release.signature.inputs, "texture": Field("integer", nullable=True)}
    rows = patients(spec)
    rows["texture"] = rows["texture"].round()
    rows.loc[3, "texture"] = np.nan
    signature = replace(release.signature, inputs=inputs)
    release = replace(release, signature=signature, wrappers=("rescale:column=texture,scale=0.3",))
    served = answers(spec, release, files, rows)
    exported = export_release(release, files, server, unpacked, name="whole")
    np.testing.assert_allclose(loaded(server, exported.uri).predict(rows), served, atol=1e-6, equal_nan=True)


def test_an_exported_model_needs_nothing_of_roadworthy(server, spec, tmp_path):
    release, files = lab_release(spec, 0.0, "ada")
    exported = export_release(release, files, server, unpacked, name="alone")
    code = (
        "import sys, mlflow, pandas; sys.modules['roadworthy'] = None;"
        f"mlflow.set_tracking_uri({server.uri!r});"
        f"m = mlflow.pyfunc.load_model({exported.uri!r});"
        "print(m.predict(pandas.DataFrame({'radius': [15.0], 'texture': [20.0], 'smoothness': [0.1]}))[0])"
    )
    said = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60)
    assert 0 < float(said.stdout.strip().split("\n")[-1]) < 1, said.stderr


@pytest.mark.parametrize(
    ("wrappers", "engine", "said"),
    [
        (("tidy",), "onnx", "wrapper 'tidy' of release 'clinic-lab' cannot be taken along to MLflow"),
        (("faults.py:Flaky",), "onnx", "wrapper 'faults.py:Flaky'"),
        ((), "torch", "engine 'torch' cannot be exported to MLflow"),
        ((), "", "no artifact 'model' with an engine"),
        (("calibrated",), "mlflow", "answers through calibrated around its MLflow model"),
    ],
)
def test_what_mlflow_could_not_answer_alike_is_refused_and_leaves_nothing(wrappers, engine, said, server, spec):
    release, files = lab_release(spec, 0.0, "ada")
    release = replace(release, wrappers=wrappers, artifacts=(replace(release.artifacts[0], engine=engine),))
    with pytest.raises(SpecError, match=said.replace("(", r"\(")):
        export_release(release, files, server, unpacked, name="refused")
    assert client_of(server).search_registered_models("name='refused'") == []


def test_a_run_that_an_interrupted_export_left_is_taken_up(server, spec, tmp_path):
    release, files = lab_release(spec, 0.0, "ada")
    first = export_release(release, files, server, unpacked, name="clinic-onnx")
    client = client_of(server)
    client.delete_model_version("clinic-onnx", first.version)
    place = client.get_experiment_by_name("roadworthy").experiment_id
    broken = client.create_run(place, tags={"roadworthy.release": release.digest}).info.run_id
    second = export_release(release, files, server, unpacked, name="clinic-onnx")
    assert (second.made, second.run_id) == (True, first.run_id)
    assert client.get_run(broken).info.status == "KILLED"


def test_an_export_that_breaks_off_leaves_a_failed_run_and_no_version(server, spec, tmp_path):
    (tmp_path / "full").write_text("no folder")
    client = client_of(server)
    place = client.create_experiment("full", artifact_location=(tmp_path / "full").as_uri())
    release, files = lab_release(spec, 0.0, "ada")
    with pytest.raises(MlflowAway, match="answered no longer, or refused"):
        export_release(release, files, server, unpacked, name="broken", experiment="full")
    assert [run.info.status for run in client.search_runs([place])] == ["FAILED"]
    assert client.search_registered_models("name='broken'") == []


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("models:/clinic/7", r"no '7' of the model 'clinic' \(it has clinic/1\)"),
        ("models:/clinic@best", "no 'best' of the model 'clinic'"),
        ("models:/nobody/1", "no model of that name has a version"),
        ("models:/m-0123456789abcdef", "has no such thing"),
        ("runs:/0123456789abcdef0123456789abcdef/model", "has no such thing"),
        ("no/such/folder", "no folder 'no/such/folder'"),
    ],
)
def test_a_model_that_is_not_there_is_named(uri, said, server, tmp_path):
    with pytest.raises(Missing, match=said):
        taken(uri, tmp_path / "work", server)
    assert not (tmp_path / "work").exists()


def test_an_address_that_names_no_model_and_a_database_that_is_not_there_are_refused(server, tmp_path):
    with pytest.raises(BadData, match=r"'models:/clinic' names no model of MLflow: write `models:/name/3`"):
        taken("models:/clinic", tmp_path / "work", server)
    with pytest.raises(Missing, match=r"no MLflow database '\S+slip.db'"):
        taken("models:/clinic/1", tmp_path / "work", Server(f"sqlite:///{tmp_path / 'slip.db'}"))
    assert not (tmp_path / "slip.db").exists()


def folder_with(root: Path, told: Any) -> Path:
    folder = root / "given"
    folder.mkdir()
    (folder / "MLmodel").write_text(told if isinstance(told, str) else yaml.safe_dump(told))
    (folder / "model.skops").write_bytes(b"PK")
    return folder


MATRIX = {"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 4]}}
SKLEARN = {"sklearn": {"pickled_model": "model.skops"}}


def signed(*columns: dict[str, Any]) -> dict[str, str]:
    return {"inputs": json.dumps(list(columns))}


@pytest.mark.parametrize(
    ("told", "kind", "said"),
    [
        ("flavors: [", BadData, "not readable as YAML"),
        ("just words", BadData, "names no `flavors`"),
        ({"flavors": {}}, BadData, "names no `flavors`"),
        ("x" * (1 << 21), BadData, "allowed are 1,048,576"),
        ({"flavors": SKLEARN}, BadData, "has no signature to check against the application's"),
        ({"flavors": SKLEARN, "signature": {"inputs": "[{"}}, BadData, "signature of MLflow model .* cannot be read"),
        ({"flavors": {"xgboost": {"data": "m"}}}, SpecError, "no flavour that is served here"),
        ({"flavors": {"python_function": {"loader_module": "x"}}}, SpecError, "give `--trust` if you trust them"),
        (
            {"flavors": SKLEARN, "signature": signed({"type": "double", "name": "radios"})},
            BadData,
            "wants an input 'radios'; did you mean 'radius'",
        ),
        (
            {"flavors": SKLEARN, "signature": signed({"type": "string", "name": "radius"})},
            BadData,
            "wants text for input 'radius' and the application promises number",
        ),
        (
            {"flavors": SKLEARN, "signature": signed(MATRIX)},
            BadData,
            "wants 4 values a row for all inputs together, the application promises 3",
        ),
        (
            {"flavors": SKLEARN, "signature": signed({"type": "datetime", "name": "at"})},
            BadData,
            "is of type 'datetime'",
        ),
    ],
)  # fmt: skip
def test_a_folder_that_cannot_become_a_release_says_why_and_leaves_nothing(told, kind, said, tmp_path):
    with pytest.raises(kind, match=said):
        taken(str(folder_with(tmp_path, told)), tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_trust_and_an_unsigned_model_are_taken_when_they_are_said(tmp_path):
    folder = folder_with(tmp_path, {"flavors": {"python_function": {"loader_module": "x"}}})
    imported = taken(str(folder), tmp_path / "work", trust=True, unsigned=True)
    assert imported.release.artifacts[0].engine == "mlflow:trust=True"


def test_a_server_that_is_away_is_named_within_seconds_and_nothing_is_kept(spec, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as shut:
        closed = f"http://127.0.0.1:{shut.getsockname()[1]}"
    before = dict(os.environ)
    release, files = lab_release(spec, 0.0, "ada")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        dumb = f"http://ada:secret@127.0.0.1:{silent.getsockname()[1]}"
        for uri in (closed, dumb):
            server, started = Server(uri, seconds=1), time.monotonic()
            with pytest.raises(MlflowAway, match="does not answer") as away:
                taken("models:/clinic/1", tmp_path / "work", server)
            with pytest.raises(MlflowAway):
                export_release(release, files, server, unpacked)
            # MLflow on its own goes on asking for minutes.
            assert time.monotonic() - started < 20
            assert "secret" not in str(away.value)
    assert not (tmp_path / "work").exists()
    assert dict(os.environ) == before


def test_a_server_that_is_no_mlflow_is_named(tmp_path):
    page = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        port = page.stdout.readline().split(" port ")[1].split()[0]
        with pytest.raises(MlflowAway, match="does not answer"):
            taken("models:/clinic/1", tmp_path / "work", Server(f"http://127.0.0.1:{port}"))
    finally:
        page.kill()
        page.wait()
        page.stdout.close()


@pytest.fixture
def tracking(server: Server, tmp_path: Path) -> Iterator[Server]:
    """A real tracking server of MLflow on a free port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    told = {
        **os.environ,
        "_MLFLOW_SERVER_FILE_STORE": server.uri,
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(tmp_path / "served"),
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    app = ["-m", "uvicorn", "mlflow.server.fastapi_app:app", "--port", str(port)]
    log = tmp_path / "server.log"
    with log.open("w") as out:
        process = subprocess.Popen([sys.executable, *app], env=told, stdout=out, stderr=out, cwd=tmp_path)
    try:
        yield _started(Server(f"http://127.0.0.1:{port}"), process, log)
    finally:
        process.kill()
        process.wait()


def _started(server: Server, process: Any, log: Path) -> Server:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{server.uri}/health", timeout=2):
                return server
        except OSError:
            time.sleep(0.2)
    raise AssertionError(log.read_text())


def test_a_real_tracking_server_takes_a_release_and_gives_it_back(tracking, spec, tmp_path):
    rows = patients(spec)
    release, files = lab_release(spec, 0.0, "ada")
    served = answers(spec, release, files, rows)
    client_of(tracking).create_experiment("over the wire")
    exported = export_release(
        release, files, tracking, unpacked, name="wired", experiment="over the wire", alias="live"
    )
    assert not export_release(release, files, tracking, unpacked, name="wired", experiment="over the wire").made
    np.testing.assert_allclose(loaded(tracking, exported.uri).predict(rows), served, atol=1e-6)
    back = taken("models:/wired@live", tmp_path / "back", tracking, spec.signature)
    assert back.origin.tags["roadworthy.release"] == release.digest
    np.testing.assert_allclose(answers(spec, back.release, back.files, rows), served, atol=1e-6)
