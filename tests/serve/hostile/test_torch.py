"""Checkpoints, TorchScript archives and exported programs that would run code when torch reads them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from roadworthy.serve.safe_import import load

Refused = Callable[..., None]
Ran = Callable[[], bool]
Change = Callable[[dict[str, Any], str], None]


class Calls:
    def __init__(self, function: Any, *args: Any) -> None:
        self.reduced = function, args

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


@pytest.mark.parametrize("today", [True, False])
def test_a_checkpoint_that_calls_does_not_run(
    today: bool, tmp_path: Path, marker: Path, refused: Refused, ran: Ran
) -> None:
    file = tmp_path / "model.pt"
    torch.save({"w": Calls(os.mkdir, str(marker))}, file, _use_new_zipfile_serialization=today)
    refused(file, r"posix\.mkdir, and allowed are tensors")
    torch.load(file, weights_only=False)
    assert ran()


@pytest.mark.parametrize("today", [True, False])
def test_a_whole_module_is_refused_by_its_class(today: bool, tmp_path: Path, refused: Refused) -> None:
    file = tmp_path / "model.pt"
    torch.save(torch.nn.Linear(2, 1), file, _use_new_zipfile_serialization=today)
    refused(file, r"torch\.nn\.modules\.linear\.Linear.*safetensors\.torch\.save_file")


def test_a_checkpoint_in_a_tar_file_is_not_known(tmp_path: Path, marker: Path, refused: Refused) -> None:
    file = tmp_path / "model.pt"
    with tarfile.open(file, "w") as made:
        data = pickle.dumps(Calls(os.mkdir, str(marker)))
        info = tarfile.TarInfo("pickle")
        info.size = len(data)
        made.addfile(info, io.BytesIO(data))
    refused(file, r"no kind of model file that is known")


def test_a_checkpoint_with_a_second_pickle_is_refused(tmp_path: Path, marker: Path, refused: Refused) -> None:
    file = tmp_path / "model.pt"
    torch.save({"w": torch.ones(2)}, file)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr("other/data.pkl", pickle.dumps(Calls(os.mkdir, str(marker))))
    refused(file, r"has its pickle in \['model/data\.pkl', 'other/data\.pkl'\]")


@pytest.mark.parametrize("entry", ["model/constants.pkl", "model/code/__torch__.py"])
def test_torchscript_is_refused_for_the_code_that_it_is(
    entry: str, tmp_path: Path, marker: Path, refused: Refused
) -> None:
    file = tmp_path / "model.pt"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("model/data.pkl", pickle.dumps(Calls(os.mkdir, str(marker))))
        archive.writestr(entry, pickle.dumps(Calls(os.mkdir, str(marker))))
    refused(file, r"TorchScript archive, which is code; export the model")


class Small(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = torch.nn.Linear(2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layer(x)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("exported") / "model.pt2"
    rows = {"x": {0: torch.export.Dim("rows")}}
    torch.export.save(torch.export.export(Small().eval(), (torch.zeros(2, 2),), dynamic_shapes=rows), file)
    return file


def changed(exported: Path, to: Path, change: Change, marker: Path) -> Path:
    """The exported program with other texts in it; `change` gets the entries, JSON decoded, by their names."""
    with zipfile.ZipFile(exported) as archive:
        entries: dict[str, Any] = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    for name in [name for name in entries if name.endswith(".json")]:
        entries[name] = json.loads(entries[name])
    change(entries, str(marker))
    with zipfile.ZipFile(to, "w") as archive:
        for name, data in entries.items():
            archive.writestr(f"model/{name}", data if isinstance(data, bytes) else json.dumps(data))
    return to


def program(entries: dict[str, Any]) -> Any:
    return entries["models/model.json"]


def graph(entries: dict[str, Any]) -> Any:
    return program(entries)["graph_module"]["graph"]


def size_that_calls(entries: dict[str, Any], marker: str) -> None:
    told = {"expr_str": f"__import__('os').mkdir('{marker}') or 1", "hint": {"as_int": 2}}
    graph(entries)["tensor_values"]["x"]["sizes"][0] = {"as_expr": told}


def guard_that_calls(entries: dict[str, Any], marker: str) -> None:
    program(entries)["guards_code"] = [f"__import__('os').mkdir('{marker}') is None"]


def operator(target: str) -> Change:
    def change(entries: dict[str, Any], marker: str) -> None:
        graph(entries)["nodes"][0]["target"] = target

    return change


def name_that_is_code(entries: dict[str, Any], marker: str) -> None:
    text = json.dumps(program(entries))
    entries["models/model.json"] = json.loads(text.replace('"x"', "\"x=__import__('os').mkdir('y')\""))


def container_of_ones_own(entries: dict[str, Any], marker: str) -> None:
    signature = program(entries)["graph_module"]["module_call_graph"][0]["signature"]
    spec = [1, {"type": "collections.defaultdict", "context": "os.mkdir", "children_spec": []}]
    signature["in_spec"] = json.dumps(spec)


def pickled_weight(entries: dict[str, Any], marker: str) -> None:
    config = entries["data/weights/model_weights_config.json"]["config"]
    config["layer.weight"]["use_pickle"] = True
    whole = io.BytesIO()
    torch.save(Calls(os.mkdir, marker), whole)
    entries["data/weights/weight_0"] = whole.getvalue()


def opaque_constant(entries: dict[str, Any], marker: str) -> None:
    told = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
    entries["data/constants/model_constants_config.json"]["config"]["thing"] = told
    entries["data/constants/opaque_obj_0"] = pickle.dumps(Calls(os.mkdir, marker))


def payload_elsewhere(entries: dict[str, Any], marker: str) -> None:
    entries["data/weights/model_weights_config.json"]["config"]["layer.weight"]["path_name"] = "../../../etc/passwd"


def rows_that_call(entries: dict[str, Any], marker: str) -> None:
    whole = io.BytesIO()
    torch.save(Calls(os.mkdir, marker), whole)
    entries["data/sample_inputs/model.pt"] = whole.getvalue()


def no_weights(entries: dict[str, Any], marker: str) -> None:
    del entries["data/weights/weight_0"]


def not_json(entries: dict[str, Any], marker: str) -> None:
    entries["models/model.json"] = b"{" * 9


def another_form(entries: dict[str, Any], marker: str) -> None:
    entries["models/model.json"] = []


CHANGES: dict[str, tuple[str, Change]] = {
    "a size that calls": (r"computes a size as \"__import__", size_that_calls),
    "a guard that calls": (r"guard that is not about sizes: \"__import__", guard_that_calls),
    "torch.os.system": (r"calls 'torch\.os\.system', which is not an operator", operator("torch.os.system")),
    "a shared library": (r"torch\.ops\.load_library", operator("torch.ops.load_library")),
    "another library's operators": (r"torchvision", operator("torch.ops.torchvision.nms.default")),
    "an operator that opens files": (r"reaches outside", operator("torch.ops.aten.from_file.default")),
    "an operator that writes files": (r"reaches outside", operator("torch.ops.aten.save.default")),
    "a method of the namespace": (r"__dict__", operator("torch.ops.aten.__dict__.clear")),
    "methodcaller": (r"_operator\.methodcaller", operator("_operator.methodcaller")),
    "an extension": (r"'#aoti:x'", operator("#aoti:x")),
    "a name that is code": (r"where a name belongs", name_that_is_code),
    "a container of one's own": (r"collections\.defaultdict", container_of_ones_own),
    "a pickled weight": (r"'layer\.weight' is a pickled object", pickled_weight),
    "an opaque constant": (r"'thing' is a pickled object", opaque_constant),
    "a weight elsewhere": (r"is a pickled object \('\.\./", payload_elsewhere),
    "rows that call": (r"sample_inputs/model\.pt' is refused: it uses posix\.mkdir", rows_that_call),
    "no weights": (r"lacks 'data/weights/weight_0'", no_weights),
    "no program": (r"description is not JSON", not_json),
    "another form": (r"has not the form", another_form),
}


@pytest.mark.parametrize("how", CHANGES)
def test_an_exported_program_that_would_run_code_does_not(
    how: str, exported: Path, tmp_path: Path, marker: Path, refused: Refused
) -> None:
    because, change = CHANGES[how]
    refused(changed(exported, tmp_path / "model.pt2", change, marker), because)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("how", ["a size that calls", "a guard that calls", "a pickled weight", "rows that call"])
def test_torch_itself_would_have_run_it(how: str, exported: Path, tmp_path: Path, marker: Path, ran: Ran) -> None:
    file = changed(exported, tmp_path / "model.pt2", CHANGES[how][1], marker)
    with contextlib.suppress(Exception):  # what it makes of the probe's answer does not matter
        torch.export.load(file).module()(torch.zeros(2, 2))
    assert ran()


def test_a_program_of_an_older_torch_is_told_to_be_exported_again(tmp_path: Path, refused: Refused) -> None:
    file = tmp_path / "model.pt2"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("serialized_exported_program.json", "{}")
        archive.writestr("serialized_state_dict.pt", pickle.dumps({}))
    refused(file, r"export it again with torch 2\.8 or later")


def test_what_a_program_assumes_of_sizes_is_not_executed(exported: Path, tmp_path: Path, marker: Path) -> None:
    def change(entries: dict[str, Any], marker: str) -> None:
        program(entries)["guards_code"] = ["1 == 2"]

    assert load(changed(exported, tmp_path / "model.pt2", change, marker)).module()(torch.zeros(3, 2)).shape == (3, 1)


def test_a_program_whose_rows_are_harmless_still_loads(exported: Path, tmp_path: Path, marker: Path) -> None:
    same = changed(exported, tmp_path / "model.pt2", lambda entries, marker: None, marker)
    assert load(same).module()(torch.zeros(3, 2)).shape == (3, 1)
