"""ONNX, safetensors, skops and MLflow files that name what is not theirs, or describe what is not there."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import skops.io
from onnx import TensorProto, helper
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer

from roadworthy.core.errors import RoadworthyError
from roadworthy.serve.engines.onnx import Onnx
from roadworthy.serve.formats.folder import pack

Refused = Callable[..., None]


def tensor(location: str = "") -> Any:
    """A weight of one number, in this file or in another."""
    made = helper.make_tensor("w", TensorProto.FLOAT, [1], [2.0])
    if location:
        made.ClearField("float_data")
        made.data_location = TensorProto.EXTERNAL
        entry = made.external_data.add()
        entry.key, entry.value = "location", location
    return made


def graph(weight: Any, domain: str = "", inner: bool = False) -> bytes:
    """A graph that multiplies by a weight; with `inner` the weight stands in an attribute of a node."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 1]) for name in "xy")
    nodes = [helper.make_node("Constant", [], ["w"], value=weight)] if inner else []
    nodes.append(helper.make_node("Mul", ["x", "w"], ["y"], domain=domain))
    whole = helper.make_graph(nodes, "g", [x], [y], [] if inner else [weight])
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(whole, opset_imports=opsets, ir_version=9).SerializeToString()


ONNX: dict[str, tuple[str, Callable[[], bytes]]] = {
    "weights above": (r"'\.\./\.\./etc/passwd', outside of its folder", lambda: graph(tensor("../../etc/passwd"))),
    "weights at the root": (r"'/etc/passwd', outside of its folder", lambda: graph(tensor("/etc/passwd"))),
    "weights of Windows": (r"outside of its folder", lambda: graph(tensor("..\\..\\boot.ini"))),
    "weights beside it": (r"in another file, 'w\.bin', which is not part of it", lambda: graph(tensor("w.bin"))),
    "weights within a node": (r"'\.\./w\.bin', outside", lambda: graph(tensor("../w.bin"), inner=True)),
    "operators of one's own": (r"operators of 'com\.acme'", lambda: graph(tensor(), domain="com.acme")),
    "half a graph": (r"is not an ONNX model", lambda: graph(tensor())[:-20]),
    "a graph without a graph": (r"is not an ONNX model: it has no graph", lambda: b"\x08\x09\x12\x01x"),
    "a number without an end": (r"is not an ONNX model", lambda: b"\x08" + b"\xff" * 40),
}


@pytest.mark.parametrize("how", ONNX)
def test_an_onnx_file_that_reaches_out_is_refused(how: str, tmp_path: Path, refused: Refused) -> None:
    because, made = ONNX[how]
    file = tmp_path / "model.onnx"
    file.write_bytes(made())
    refused(file, because)


def test_weights_beside_an_onnx_file_are_read_where_the_model_is_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(graph(tensor("w.bin")))
    (folder / "w.bin").write_bytes(np.float32(3.0).tobytes())
    rows = {"x": np.array([[1.0], [2.0]], np.float32)}
    np.testing.assert_array_equal(Onnx(folder)(rows)["y"], [3.0, 6.0])
    np.testing.assert_array_equal(Onnx(pack(folder, tmp_path / "model.zip"))(rows)["y"], [3.0, 6.0])
    (folder / "w.bin").unlink()
    (folder / "w.bin").symlink_to("/etc/hostname")
    with pytest.raises(RoadworthyError, match=r"'w\.bin', which is not part of it"):
        Onnx(folder)(rows)


def test_a_function_of_the_file_itself_is_no_strange_operator(tmp_path: Path) -> None:
    model = onnx.load_from_string(graph(tensor(), domain="local"))
    body = [helper.make_node("Mul", ["a", "b"], ["c"])]
    model.functions.append(helper.make_function("local", "Mul", ["a", "b"], ["c"], body, [helper.make_opsetid("", 17)]))
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    assert Onnx(tmp_path / "model.onnx")({"x": np.ones((1, 1), np.float32)})["y"] == [2.0]


def safetensors(header: Any, data: int = 8) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes(data)


def told(start: int, stop: int, **changed: Any) -> dict[str, Any]:
    return {"dtype": "F32", "shape": [(stop - start) // 4], "data_offsets": [start, stop], **changed}


SAFETENSORS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "tensors that overlap": (r"'b' overlaps", lambda: safetensors({"a": told(0, 8), "b": told(4, 8)})),
    "a gap": (r"'b' leaves a gap", lambda: safetensors({"a": told(0, 4), "b": told(8, 12)}, 12)),
    "bytes left over": (r"end at byte 8 of 12", lambda: safetensors({"a": told(0, 8)}, 12)),
    "bytes that are missing": (r"end at byte 8 of 4", lambda: safetensors({"a": told(0, 8)}, 4)),
    "a header longer than the file": (r"header declares", lambda: (1 << 20).to_bytes(8, "little") + b"{}"),
    "a header beyond every limit": (r"header declares", lambda: (1 << 39).to_bytes(8, "little") + b"{}"),
    "another size than its shape": (r"has 8 bytes", lambda: safetensors({"a": told(0, 8, shape=[3])})),
    "a type that nobody knows": (r"describes 'a'", lambda: safetensors({"a": told(0, 8, dtype="OBJECT")})),
    "a negative shape": (r"'a' of F32 \[-2\]", lambda: safetensors({"a": told(0, 8, shape=[-2])})),
    "a name twice": (r"given twice", lambda: safetensors(b'{"a": 1, "a": 2}')),
    "no JSON": (r"not JSON", lambda: safetensors(b"{" * 40)),
}


@pytest.mark.parametrize("how", SAFETENSORS)
def test_a_safetensors_header_that_lies_is_refused(how: str, tmp_path: Path, refused: Refused) -> None:
    because, made = SAFETENSORS[how]
    file = tmp_path / "model.safetensors"
    file.write_bytes(made())
    refused(file, because)


def skops_file(tmp_path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    """A skops file of an estimator, whose description was changed."""
    file = tmp_path / "model.skops"
    skops.io.dump(LogisticRegression().fit([[0.0], [1.0]], [0, 1]), file)
    with zipfile.ZipFile(file) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(entries["schema.json"])
    change(schema)
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in {**entries, "schema.json": json.dumps(schema).encode()}.items():
            archive.writestr(name, data)
    return file


def class_of_ones_own(schema: dict[str, Any]) -> None:
    schema["__class__"], schema["__module__"] = "Popen", "subprocess"


def methodcaller(schema: dict[str, Any]) -> None:
    schema["content"]["content"]["C"] = {
        "__class__": "methodcaller",
        "__module__": "operator",
        "__loader__": "OperatorFuncNode",
        "__id__": 1,
        "attrs": schema["content"]["content"]["C"],
    }


def no_loader(schema: dict[str, Any]) -> None:
    schema["__loader__"] = "EvilNode"


SKOPS = {
    "a class of one's own": (r"subprocess\.Popen", class_of_ones_own),
    "a method that is called": (r"operator\.methodcaller|skops cannot read", methodcaller),
    "a loader that nobody knows": (r"skops cannot read it", no_loader),
}


@pytest.mark.parametrize("how", SKOPS)
def test_a_skops_file_of_strange_types_is_refused(how: str, tmp_path: Path, refused: Refused) -> None:
    because, change = SKOPS[how]
    refused(skops_file(tmp_path, change), because)


def test_a_skops_file_that_holds_a_function_is_refused(tmp_path: Path, refused: Refused) -> None:
    skops.io.dump(FunctionTransformer(os.system), tmp_path / "model.skops")
    refused(tmp_path / "model.skops", r"not on the list of known ones: posix\.system; export the model to ONNX")


def mlflow(tmp_path: Path, text: str, **files: bytes) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "MLmodel").write_text(text, encoding="utf-8")
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return folder


def calls(marker: Path) -> bytes:
    class Calls:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.mkdir, (str(marker),)

    return pickle.dumps(Calls())


MLFLOW = {
    "a loader of one's own": (
        r"loaded by the Python code of 'evil'", "flavors:\n  python_function:\n    loader_module: evil\n    code: .\n"
    ),
    "pytorch": (
        r"loaded by the Python code of 'mlflow\.pytorch'",
        "flavors:\n  pytorch: {model_data: data}\n  python_function: {loader_module: mlflow.pytorch}\n",
    ),
    "a model above": (r"'\.\./model\.pkl', outside", "flavors:\n  sklearn: {pickled_model: ../model.pkl}\n"),
    "a model that is a list": (r"\['x'\], outside", "flavors:\n  onnx: {data: [x]}\n"),
    "an object of YAML": (r"not readable as YAML", "flavors: !!python/object/apply:os.mkdir [probe]\n"),
    "no flavours": (r"names no flavours", "run_id: 1\nflavors: {}\n"),
    "no mapping": (r"not a mapping", "- flavors:\n"),
    "a model that is not there": (r"no file", "flavors:\n  sklearn: {pickled_model: gone.pkl}\n"),
    "a pickle that calls": (r"posix\.mkdir", "flavors:\n  sklearn: {pickled_model: kept}\n"),
}  # fmt: skip


@pytest.mark.parametrize("how", MLFLOW)
@pytest.mark.parametrize("packed", [False, True])
def test_an_mlflow_model_that_is_code_is_refused(
    how: str, packed: bool, tmp_path: Path, marker: Path, refused: Refused
) -> None:
    because, text = MLFLOW[how]
    folder = mlflow(tmp_path, text, kept=calls(marker))
    if not packed:
        refused(folder, because)
        return
    from roadworthy.serve.engines.mlflow import Mlflow

    with pytest.raises(RoadworthyError, match=because):
        Mlflow(pack(folder, tmp_path / "model.zip"))({"a": np.zeros((1, 1), np.float32)})
    assert not marker.exists()


def test_an_mlflow_model_that_is_a_link_is_refused(tmp_path: Path, marker: Path, refused: Refused) -> None:
    (tmp_path / "evil.pkl").write_bytes(calls(marker))
    folder = mlflow(tmp_path, "flavors:\n  sklearn: {pickled_model: model.pkl}\n")
    (folder / "model.pkl").symlink_to(tmp_path / "evil.pkl")
    refused(folder, r"'model\.pkl', where there is no file")


def test_a_description_of_megabytes_is_refused(tmp_path: Path, refused: Refused) -> None:
    refused(mlflow(tmp_path, "flavors:\n" + "  a: 1\n" * 200_000), r"a description has fewer")


@pytest.mark.parametrize("data", [b"", b"\0" * 64, b"\x89HDF\r\n\x1a\n", b"<html>not found</html>"])
def test_what_is_no_model_at_all_is_named(data: bytes, tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "model.bin").write_bytes(data)
    refused(tmp_path / "model.bin", r"is empty|no kind of model file that is known here")


def test_the_description_of_an_mlflow_model_is_not_the_model(tmp_path: Path, refused: Refused) -> None:
    (tmp_path / "MLmodel").write_text("flavors:\n  sklearn: {pickled_model: model.pkl}\n")
    refused(tmp_path / "MLmodel", r"describes an MLflow model: name the folder")


def test_a_packed_folder_with_a_way_out_is_refused(tmp_path: Path, refused: Refused) -> None:
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as archive:
        archive.comment = b"roadworthy folder"
        archive.writestr("../../model.onnx", graph(tensor()))
    (tmp_path / "model.zip").write_bytes(whole.getvalue())
    refused(tmp_path / "model.zip", r"leads out of the archive")
