from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from roadworthy.core.errors import BadData, Missing, SpecError
from roadworthy.core.spec import Field, Signature
from roadworthy.serve.base import engine
from roadworthy.serve.engines.torch import Torch

RNG = np.random.default_rng(0)
X = RNG.normal(size=(9, 3)).astype(np.float32)
COLUMNS = {name: X[:, [k]] for k, name in enumerate(("wind", "rain", "hour"))}

CODE = """
import torch


class Net(torch.nn.Module):
    def __init__(self, width=3):
        super().__init__()
        self.layer = torch.nn.Linear(width, 1)
        self.drop = torch.nn.Dropout(0.5)

    def forward(self, x):
        return torch.sigmoid(self.drop(self.layer(x)))


class Two(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.words = torch.nn.Embedding(5, 2)

    def forward(self, word, wind, scale=1.0):
        return self.words(word).reshape(-1, 2) * wind * scale, wind * 2


class Named(Two):
    def forward(self, word, wind):
        both, one = super().forward(word, wind)
        return {"both": both.to(torch.bfloat16), "one": one}
"""


class Net(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(3, 1)
        self.drop = torch.nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.drop(self.layer(x)))


@pytest.fixture(scope="module")
def net() -> Net:
    torch.manual_seed(0)
    return Net().eval()


@pytest.fixture(scope="module")
def export(net: Net, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Export the net once for each way of saying how many rows there may be."""
    made: dict[str, Path] = {}

    def exported(name: str, rows: Any, training: bool = False) -> Path:
        if name not in made:
            made[name] = tmp_path_factory.mktemp("exported") / f"{name}.pt2"
            program = torch.export.export(
                net.train(training), (torch.zeros(4, 3),), dynamic_shapes={"x": {0: rows} if rows else None}
            )
            net.eval()
            torch.export.save(program, made[name])
        return made[name]

    return exported


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "net.py").write_text(CODE)
    return tmp_path


def lab(net: Net, rows: Any = X) -> Any:
    with torch.no_grad():
        return net(torch.from_numpy(rows))[:, 0].numpy()


def test_an_exported_program_answers_as_its_model_for_any_number_of_rows(net: Net, export: Callable[..., Path]) -> None:
    made = Torch(export("any", torch.export.Dim("rows")), output="probability")
    for n in (9, 2, 1, 0):
        got = made({name: values[:n] for name, values in COLUMNS.items()})["probability"]
        assert got.shape == (n,)
        np.testing.assert_allclose(got, lab(net)[:n], atol=1e-6)


def test_a_program_traced_for_two_rows_or_more_answers_one_and_none(net: Net, export: Callable[..., Path]) -> None:
    made = Torch(export("two", torch.export.Dim("rows", min=2)))
    for n in (1, 0, 9):
        got = made({name: values[:n] for name, values in COLUMNS.items()})["value"]
        np.testing.assert_allclose(got, lab(net)[:n], atol=1e-6)


def test_a_program_for_a_fixed_number_of_rows_is_refused_with_what_to_do(export: Callable[..., Path]) -> None:
    with pytest.raises(BadData, match="takes exactly 4 rows at a time in 'x': export it with a dynamic first dim"):
        Torch(export("four", None)).check(Signature({"x": Field(width=3)}, {}))


def test_a_program_exported_in_training_mode_is_refused(export: Callable[..., Path]) -> None:
    with pytest.raises(BadData, match=r"exported in training mode: call `model\.eval\(\)`"):
        Torch(export("training", torch.export.Dim("rows"), training=True))(COLUMNS)


def test_describe_tells_what_a_program_takes_and_answers(export: Callable[..., Path], folder: Path) -> None:
    told = Torch.describe(export("any", torch.export.Dim("rows")))
    assert told == Signature({"x": Field(width=3)}, {"value": Field()})
    save_file({"w": torch.ones(1)}, folder / "w.safetensors")
    assert Torch.describe(folder / "w.safetensors") is None


@pytest.mark.parametrize("kind", ["safetensors", "state dict", "checkpoint"])
def test_tensors_and_the_class_they_belong_to_answer_in_eval_mode(kind: str, net: Net, folder: Path) -> None:
    state, file = net.state_dict(), folder / "tensors"
    if kind == "safetensors":
        save_file(state, file)
    else:
        torch.save(state if kind == "state dict" else {"state_dict": state, "epoch": 3}, file)
    made = Torch(file, "net.py:Net", {"width": 3}, folder=folder)
    for _ in range(2):
        np.testing.assert_allclose(made(COLUMNS)["value"], lab(net), atol=1e-6)


def test_parameters_take_the_columns_of_their_names_and_whole_numbers_stay_whole(folder: Path) -> None:
    table = torch.arange(10.0).reshape(5, 2)
    save_file({"words.weight": table}, folder / "w")
    columns = {"wind": X[:3, [0]], "word": np.array([[0], [4], [2]])}
    made = Torch(folder / "w", "net.py:Two", outputs=("both", "one"), folder=folder)
    got = made(columns)
    np.testing.assert_allclose(got["both"], table[[0, 4, 2]].numpy() * X[:3, [0]], rtol=1e-6)
    assert (got["one"].shape, got["both"].shape) == ((3,), (3, 2))
    assert list(Torch(folder / "w", "net.py:Two", folder=folder)(columns)) == ["output_0", "output_1"]
    named = Torch(folder / "w", "net.py:Named", folder=folder)(columns)
    assert [values.dtype for values in named.values()] == [np.float32, np.float32]
    renamed = Torch(folder / "w", "net.py:Two", inputs={"word": ("id",)}, folder=folder)
    np.testing.assert_array_equal(renamed({"wind": columns["wind"], "id": columns["word"]})["output_0"], got["both"])


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, r"holds tensors and not what to compute with them: name the class .* `code: file\.py:Model`"),
        ({"code": "net.py:Two"}, r"tensors of '.*' do not fit `net\.py:Two`: .*layer\.weight"),
        ({"code": "net.py:Nett"}, r"net\.py has no 'Nett'; did you mean 'Net'"),
        ({"code": "net.py:Net", "outputs": ("a", "b")}, r"answers 1 tensors, and `outputs` names 2"),
        ({"code": "net.py:Net", "device": "cuda"}, r"`device` is 'cuda', and torch finds no CUDA device"),
    ],
)
def test_what_does_not_fit_is_told(settings: dict[str, Any], said: str, net: Net, folder: Path) -> None:
    if settings.get("device") and torch.cuda.is_available():
        pytest.skip("there is a CUDA device here")
    save_file(net.state_dict(), folder / "w")
    with pytest.raises((BadData, SpecError), match=said):
        Torch(folder / "w", folder=folder, **settings)(COLUMNS)


def test_a_whole_module_runs_only_with_trust(net: Net, folder: Path) -> None:
    torch.save(torch.nn.Linear(3, 1), folder / "w")
    with pytest.raises(BadData, match=r"uses torch\.nn\.modules\.linear\.Linear"):
        Torch(folder / "w")(COLUMNS)
    assert Torch(folder / "w", trust=True)(COLUMNS)["value"].shape == (9,)


def test_check_names_the_column_that_is_text(net: Net, folder: Path) -> None:
    save_file(net.state_dict(), folder / "w")
    made = Torch(folder / "w", "net.py:Net", folder=folder)
    made.check(Signature({name: Field() for name in COLUMNS}, {}))
    with pytest.raises(BadData, match="wants FP32 for input 'carrier' and the project promises BYTES"):
        made.check(Signature({"carrier": Field("category"), "wind": Field()}, {}))


def test_threads_are_those_of_the_setting(net: Net, folder: Path) -> None:
    save_file(net.state_dict(), folder / "w")
    before = torch.get_num_threads()
    Torch(folder / "w", "net.py:Net", threads=2, folder=folder)(COLUMNS)
    assert torch.get_num_threads() == 2
    torch.set_num_threads(before)


def test_a_plan_makes_it_and_an_absent_file_is_named(folder: Path) -> None:
    made = engine.make({"torch": {"code": "net.py:Net", "arguments": {"width": 2}}}, file=folder / "w", folder=folder)
    assert made == Torch(folder / "w", "net.py:Net", {"width": 2}, folder=folder)
    with pytest.raises(Missing, match="no model file"):
        made(COLUMNS)
