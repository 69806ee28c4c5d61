from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from roadworthy.core.errors import BadData
from roadworthy.serve.engines.torch import Torch
from roadworthy.testing.engines import check_batch_equals_singles, check_nothing, check_order, check_pure

RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3)).astype(np.float32)

CODE = """
import torch


class Net(torch.nn.Module):
    def __init__(self, p=0.5, kind="Dropout"):
        super().__init__()
        self.layer = torch.nn.Linear(3, 32)
        self.drop = getattr(torch.nn, kind)(p)
        self.norm = torch.nn.BatchNorm1d(32)
        self.head = torch.nn.Linear(32, 2)

    def forward(self, x):
        return self.head(self.norm(self.drop(torch.relu(self.layer(x)))))


class Turned(Net):
    def forward(self, x):
        return self.head(self.drop(torch.relu(self.layer(x)).T).T)


class Twice(Net):
    def forward(self, x):
        return self.head(self.drop(self.drop(torch.relu(self.layer(x)))))


class Mean(Net):
    def forward(self, x):
        return self.head(self.drop(torch.relu(self.layer(x))))


class Channels(Net):
    def forward(self, x):
        return self.drop(torch.relu(self.layer(x)).reshape(-1, 8, 4)).amax(2)


class Pooled(Net):
    def forward(self, x):
        return super().forward(x).mean(0, keepdim=True)
"""


@pytest.fixture
def made(tmp_path: Path) -> Any:
    (tmp_path / "net.py").write_text(CODE)
    layer, head = torch.nn.Linear(3, 32), torch.nn.Linear(32, 2)
    drawn = torch.Generator().manual_seed(0)
    for tensor in (*layer.parameters(), *head.parameters()):
        torch.nn.init.normal_(tensor, generator=drawn)
    tensors = {
        f"{name}.{key}": value
        for name, one in (("layer", layer), ("head", head))
        for key, value in one.state_dict().items()
    }
    tensors |= {f"norm.{key}": value for key, value in torch.nn.BatchNorm1d(32).state_dict().items()}
    save_file({key: value.detach().contiguous() for key, value in tensors.items()}, tmp_path / "net.safetensors")

    def engine(name: str = "Net", samples: int = 8, **settings: Any) -> Torch:
        arguments = settings.pop("arguments", {})
        return Torch(
            tmp_path / "net.safetensors", f"net.py:{name}", arguments, folder=tmp_path, dropout_samples=samples,
            **{"kind": "logits", **settings},
        )  # fmt: skip

    return engine


def test_a_row_is_answered_alike_alone_in_any_batch_and_again(made: Any) -> None:
    for kind in ("Net", "Twice"):
        engine = made(kind)
        for check in (check_pure, check_batch_equals_singles, check_order, check_nothing):
            check(engine, {"x": X})


def test_the_answer_is_the_mean_of_nets_with_the_masks_applied_by_hand(made: Any) -> None:
    engine, plain = made(samples=6, seed=3), made(samples=0)
    got = engine({"x": X})
    net = plain._loaded.run
    (masks,) = engine._loaded.run._masks.values()
    assert masks.shape == (6, 1, 32)
    with torch.no_grad():
        hidden = torch.relu(net.layer(torch.from_numpy(X)))
        nets = np.stack([torch.softmax(net.head(net.norm(hidden * mask)), 1).numpy() for mask in masks])
    np.testing.assert_allclose(got["value"], nets.mean(axis=0), atol=1e-6)
    total = -(got["value"] * np.log(got["value"])).sum(axis=1)
    np.testing.assert_allclose(got["epistemic"] + got["aleatoric"], total, atol=1e-6)


def test_many_thinned_nets_average_to_the_whole_one_where_dropout_is_linear(made: Any) -> None:
    linear, whole = made("Mean", 4000, kind="values"), made("Mean", 0)
    got, expected = linear({"x": X[:3]}), whole({"x": X[:3]})["value"]
    noise = np.sqrt(got["epistemic"] / 4000)
    assert (np.abs(got["value"] - expected) < 5 * noise[:, None]).all()


def test_another_seed_draws_other_masks_and_a_share_p_of_them_is_zero(made: Any) -> None:
    one, other = made(samples=400, arguments={"p": 0.25}), made(samples=400, seed=1, arguments={"p": 0.25})
    assert not np.allclose(one({"x": X})["value"], other({"x": X})["value"], atol=1e-6)
    (mask,) = one._loaded.run._masks.values()
    assert float((mask == 0).float().mean()) == pytest.approx(0.25, abs=0.02)
    assert mask.unique().tolist() == pytest.approx([0.0, 1 / 0.75])


def test_a_layer_that_is_used_twice_draws_twice_and_others_stay_in_eval(made: Any) -> None:
    engine = made("Twice")
    engine({"x": X})
    first, second = engine._loaded.run._masks.values()
    assert not torch.equal(first, second)
    assert not any(module.training for module in engine._loaded.run._module.modules())


def test_a_channel_is_dropped_as_a_whole(made: Any) -> None:
    engine = made("Channels", arguments={"kind": "Dropout1d"}, kind="values")
    engine({"x": X})
    (mask,) = engine._loaded.run._masks.values()
    assert mask.shape == (8, 1, 8, 1)


def test_a_model_that_cannot_do_it_is_refused_with_the_reason(made: Any) -> None:
    with pytest.raises(BadData, match=r"needs a layer of `torch\.nn\.Dropout`"):
        made(arguments={"p": 0.0})({"x": X})
    with pytest.raises(BadData, match=r"needs a layer of `torch\.nn\.Dropout`"):
        made(arguments={"kind": "AlphaDropout"})({"x": X})
    with pytest.raises(BadData, match=r"layer 'drop' has 32 entries along its first axis for 96 rows"):
        made("Turned")({"x": X})
    with pytest.raises(BadData, match="was given 96 rows and answers 1"):
        made("Pooled")({"x": X})
    with pytest.raises(ValueError, match="`dropout_samples` must be 0"):
        made(samples=1)
    with pytest.raises(BadData, match="say `kind: logits` if"):
        made(kind="probabilities")({"x": X})


def test_an_exported_program_has_no_dropout_left(tmp_path: Path) -> None:
    net = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Dropout(0.5)).eval()
    program = torch.export.export(net, (torch.zeros(4, 3),), dynamic_shapes=({0: torch.export.Dim("rows")},))
    torch.export.save(program, tmp_path / "net.pt2")
    with pytest.raises(BadData, match="exported for inference, which takes dropout out"):
        Torch(tmp_path / "net.pt2", dropout_samples=4)({"x": X})
