from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
from skl2onnx import to_onnx
from sklearn.linear_model import LinearRegression, LogisticRegression

from roadworthy.core.artifact import Artifact, Release
from roadworthy.core.errors import BadData, SpecError
from roadworthy.core.spec import Field, Serving, Signature
from roadworthy.core.wire import Request, Tensor
from roadworthy.serve.assemble import assemble
from roadworthy.serve.base import engine
from roadworthy.serve.engines.ensemble import Ensemble
from roadworthy.serve.engines.onnx import Onnx
from roadworthy.serve.engines.sklearn import Sklearn
from roadworthy.serve.formats.base import Unsafe
from roadworthy.serve.formats.folder import pack
from roadworthy.serve.uncertainty.decomposition import of_probabilities

RNG = np.random.default_rng(0)
X = RNG.normal(size=(80, 3)).astype(np.float32)
Y = X[:, 0] > X[:, 1]
COLUMNS = {name: X[:9, [k]] for k, name in enumerate("abc")}

CODE = """
import numpy as np


def answer(model, columns):
    return {"mean": columns["a"][:, 0] * model, "noise": np.full(len(columns["a"]), float(model))}


def load(file):
    return float(file.read_text())


def waiting(columns):
    return columns["a"][:, 0]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "both").mkdir()
    one, other = (LogisticRegression(C=c).fit(X[k::2], Y[k::2]) for k, c in ((0, 0.1), (1, 10.0)))
    onnx = to_onnx(one, X[:1], options={"zipmap": False}).SerializeToString()
    (tmp_path / "both" / "one.onnx").write_bytes(onnx)
    skops.io.dump(other, tmp_path / "both" / "other.skops")
    (tmp_path / "scale.py").write_text(CODE)
    return tmp_path


def test_members_of_different_engines_answer_as_one_with_their_disagreement(folder: Path) -> None:
    got = Ensemble(folder / "both")(COLUMNS)
    both = folder / "both"
    alone = [Onnx(both / "one.onnx")(COLUMNS), Sklearn(both / "other.skops")(COLUMNS)]
    expected = of_probabilities(np.stack([answers["probability"] for answers in alone]))
    assert list(got) == ["probability", "epistemic", "aleatoric"]
    np.testing.assert_allclose(got["probability"], expected.mean, rtol=1e-6)
    np.testing.assert_allclose(got["epistemic"], expected.epistemic)
    assert (got["epistemic"] > 0).all()


def test_a_release_keeps_it_as_one_file_and_makes_it_of_its_plan(folder: Path, tmp_path: Path) -> None:
    packed = pack(folder / "both", tmp_path / "model")
    made = engine.make({"ensemble": {"members": {"one.onnx": "onnx:threads=1"}, "output": "late"}}, folder, file=packed)
    with pytest.raises(BadData, match="2 members or more, got 1"):
        made(COLUMNS)
    plan = {"ensemble": {"members": {"one.onnx": "onnx:threads=1", "other.skops": ""}, "output": "late"}}
    made = engine.make(plan, folder, file=packed, folder=folder)
    np.testing.assert_array_equal(made(COLUMNS)["late"], Ensemble(folder / "both")(COLUMNS)["probability"])


def test_a_served_release_tells_what_it_does_not_know_and_abstains_by_it(folder: Path, tmp_path: Path) -> None:
    inputs = {name: Field() for name in "abc"}
    signature = Signature(inputs, {"late": Field()})
    wrappers = ({"abstain": {"threshold": 0.05, "on": "epistemic", "unsure": "above"}}, {"doubt": {"output": "late"}})
    release = Release("both", (Artifact("model", "", 0, "ensemble"),), signature, wrappers=wrappers)
    handler = assemble(release, {"model": pack(folder / "both", tmp_path / "model")}, folder, Serving(place="loop"))
    asked = Request("r", {name: Tensor(name, "FP32", (9, 1), X[:9, k].tolist()) for k, name in enumerate("abc")}, 1.0)

    async def ask() -> Any:
        answer = await handler(asked)
        await handler.close()
        return answer

    got = asyncio.run(ask())
    alone = Ensemble(folder / "both")(COLUMNS)
    assert list(got.outputs) == ["late", "epistemic", "aleatoric", "entropy", "margin"]
    np.testing.assert_allclose(got.outputs["entropy"].data, alone["epistemic"] + alone["aleatoric"], atol=1e-6)
    assert got.parameters["abstained"] == (alone["epistemic"] >= 0.05).tolist()
    assert 0 < sum(got.parameters["abstained"]) < 9


def test_numbers_have_the_variance_of_the_members_and_the_noise_that_they_state(folder: Path) -> None:
    place = folder / "scales"
    place.mkdir()
    for name in ("1", "3"):
        (place / name).write_text(name)
    member = {"function": {"load": "scale.py:load"}}
    settings: dict[str, Any] = {"kind": "values", "answer": "mean", "variance": "noise", "folder": folder}
    got = Ensemble(place, member, code="scale.py:answer", **settings)(COLUMNS)
    a = COLUMNS["a"][:, 0]
    np.testing.assert_allclose(got["mean"], 2 * a, rtol=1e-6)
    np.testing.assert_allclose(got["epistemic"], a**2, rtol=1e-6)
    assert got["aleatoric"].tolist() == [2.0] * 9


def test_code_that_the_release_would_not_keep_is_refused(folder: Path) -> None:
    (folder / "other.py").write_text(CODE)
    for plan in ({"function": {"code": "other.py:waiting"}}, "other.py:Engine"):
        made = Ensemble(members={"1": plan, "2": "function"}, code="scale.py:waiting", folder=folder)
        with pytest.raises(
            SpecError, match=r"names 'other\.py', which is not in the release: write `code: other\.py:Name`"
        ):
            made(COLUMNS)


def test_regressors_that_state_no_noise_have_only_the_variance_of_their_means(folder: Path) -> None:
    place = folder / "lines"
    place.mkdir()
    for k in (0, 1):
        lab = LinearRegression().fit(X[k::2], X[k::2, 0] + RNG.normal(size=40))
        skops.io.dump(lab, place / f"{k}.skops")
    got = Ensemble(place, kind="values", output="minutes")(COLUMNS)
    alone = np.stack([Sklearn(place / f"{k}.skops")(COLUMNS)["value"] for k in (0, 1)])
    np.testing.assert_allclose(got["minutes"], alone.mean(axis=0))
    np.testing.assert_allclose(got["epistemic"], alone.var(axis=0))
    assert not got["aleatoric"].any()


def test_a_member_may_have_no_file_and_then_says_whether_it_waits(folder: Path) -> None:
    plans = {"first": "function", "second": "function"}
    made = Ensemble(members=plans, kind="values", code="scale.py:waiting", folder=folder)
    np.testing.assert_array_equal(made(COLUMNS)["value"], COLUMNS["a"][:, 0])
    assert not made.waits
    elsewhere = {"first": "function", "second": {"remote": {"url": "http://127.0.0.1:9", "model": "other"}}}
    assert Ensemble(members=elsewhere, code="scale.py:waiting", folder=folder).waits


def test_what_a_member_does_not_take_is_named_before_it_serves(folder: Path) -> None:
    with pytest.raises(BadData, match="wants"):
        Ensemble(folder / "both").check(Signature({"a": Field()}, {}))
    Ensemble(folder / "both").check(Signature({name: Field() for name in "abc"}, {}))


def test_trust_is_said_for_all_members_and_at_one_place(folder: Path) -> None:
    import pickle

    class Strange:
        def predict(self) -> None: ...

    del Strange
    place = folder / "pickles"
    place.mkdir()
    for name in ("one.pkl", "two.pkl"):
        (place / name).write_bytes(pickle.dumps(Path("x")))
    with pytest.raises(SpecError, match="says `trust`: write it beside the plans"):
        Ensemble(place, {"sklearn": {"trust": True}})(COLUMNS)
    with pytest.raises(Unsafe):
        Ensemble(place, "sklearn")(COLUMNS)
    with pytest.raises(BadData, match="holds a PosixPath, which cannot predict"):
        Ensemble(place, "sklearn", trust=True)(COLUMNS)


def test_wrong_settings_say_what_there_is(folder: Path) -> None:
    with pytest.raises(BadData, match=r"no file 'one.onx' for the engine 'onnx'; did you mean 'one.onnx'\?"):
        Ensemble(folder / "both", members={"one.onx": "onnx", "other.skops": ""})(COLUMNS)
    with pytest.raises(BadData, match="is one file, and not a folder"):
        Ensemble(folder / "both" / "one.onnx")(COLUMNS)
    with pytest.raises(SpecError, match="no output 'probabilty'; did you mean 'probability'"):
        Ensemble(folder / "both", answer="probabilty")(COLUMNS)
    with pytest.raises(SpecError, match=r"no engine is known for 'both', which is of the kind 'folder': name one"):
        Ensemble(folder)(COLUMNS)
    with pytest.raises(ValueError, match="`variance` belongs to `kind: values`"):
        Ensemble(folder, variance="noise")


def test_members_of_different_shapes_are_refused(folder: Path) -> None:
    lab = LogisticRegression().fit(X, np.arange(80) % 3)
    skops.io.dump(lab, folder / "both" / "three.skops")
    with pytest.raises(BadData, match=r"member 'three.skops' answers the shape \(9, 3\) and 'one.onnx' \(9,\)"):
        Ensemble(folder / "both")(COLUMNS)
