"""`roadworthy export` hands releases on, and `roadworthy release --from` takes them in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from roadworthy.registry.releases import Registry


def test_a_model_card_tells_what_the_release_measured(call, released, tmp_path):
    file = tmp_path / "CARD.md"
    told = call("export", "card", file, "--licence", "apache-2.0", "--project", released)
    assert (told.code, "checked by huggingface_hub" in told.out) == (0, True)
    text = file.read_text()
    assert "license: apache-2.0" in text
    assert "auc" in text.partition("## Measured")[2]


def test_a_data_card_tells_of_the_tables(call, released, tmp_path):
    told = call("export", "croissant", tmp_path / "c.json", "--project", released)
    assert (told.code, "checked by mlcroissant" in told.out) == (0, True), told.err
    assert '"radius"' in (tmp_path / "c.json").read_text()


def test_a_card_without_a_file_and_an_unknown_release_say_what_to_do(call, released):
    assert "roadworthy export card FILE" in call("export", "card", "--project", released).err
    assert "no release" in call("export", "card", "x.md", "--release", "ffff", "--project", released).err


# MLflow warns of itself.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def mlflow_db(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A tracking store of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    return f"sqlite:///{tmp_path / 'mlflow.db'}"


def test_a_release_goes_to_mlflow_and_comes_back_and_answers_alike(call, released, mlflow_db, state):
    told = call("export", "mlflow", "--mlflow", mlflow_db, "--alias", "champion", "--project", released, "--json")
    assert told.code == 0, told.err
    assert told.body["made"]
    again = call("export", "mlflow", "--mlflow", mlflow_db, "--project", released, "--json").body
    assert (again["version"], again["made"]) == (told.body["version"], False)
    back = call("release", "--from", "models:/clinic@champion", "--mlflow", mlflow_db, "--project", released, "--json")
    if back.code == 2:  # an exported model of our own runs as code, which nobody trusts unasked
        assert "trust" in back.err
        back = call(
            "release", "--from", "models:/clinic@champion", "--mlflow", mlflow_db, "--trust",
            "--project", released, "--json",
        )  # fmt: skip
    assert back.code == 0, back.err
    registry = Registry(state)
    assert back.body["digest"] in {release.digest for release in registry.list()}
    import mlflow

    mlflow.set_tracking_uri(mlflow_db)
    model = mlflow.pyfunc.load_model("models:/clinic@champion")
    rows = {"radius": [14.0, 20.0], "texture": [19.0, 25.0], "smoothness": [0.1, 0.11]}
    import pandas as pd

    answers = np.asarray(model.predict(pd.DataFrame(rows, dtype="float32"))).ravel()
    assert ((answers > 0) & (answers < 1)).all()


def test_an_mlflow_that_is_away_is_told_in_seconds(call, released):
    told = call("export", "mlflow", "--mlflow", "http://127.0.0.1:1", "--project", released)
    assert told.code == 2
    assert "127.0.0.1:1" in told.err
