"""Rewrites an exported PyTorch program (.pt2) so that reading it runs nothing that its author wrote.

`torch.export.load` trusts its file: it evaluates the expressions of sizes, executes guards as Python, resolves
operators by walking attributes of `torch`, and unpickles constants. So every text in the program is looked at here,
what is not needed to run it is left out, and torch reads the copy that this makes.
"""

from __future__ import annotations

import io
import json
import keyword
import re
import zipfile
from collections.abc import Iterator
from typing import IO, Any

from roadworthy.serve.formats.archive import AGAIN, open_archive, read
from roadworthy.serve.formats.base import INSTEAD, Limits, Unsafe
from roadworthy.serve.formats.checkpoint import see_checkpoint


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_OPERATOR = re.compile(r"torch\.ops\.aten\.([A-Za-z]\w*|_[A-Za-z]\w*|__(?:and|or|xor|lshift|rshift)__)\.[A-Za-z]\w*")
# Of all operators of ATen, those that touch files or the terminal.
_OUTSIDE = frozenset({"from_file", "save", "_print", "warn"})
# On sizes, and the parts of a program that run with another setting.
_OTHERS = _words("""
    _operator.getitem _operator.add _operator.sub _operator.mul _operator.floordiv _operator.truediv _operator.mod
    _operator.neg _operator.eq _operator.ne _operator.lt _operator.le _operator.gt _operator.ge _operator.and_
    _operator.or_ _operator.not_ math.ceil math.floor math.trunc math.sqrt torch.sym_float torch.sym_int torch.sym_ite
    torch.sym_max torch.sym_min torch.sym_not torch.ops.higher_order.cond torch.ops.higher_order.wrap_with_autocast
    torch.ops.higher_order.wrap_with_set_grad_enabled
    """)
_SYMBOL = re.compile(r"Symbol\('[a-z]{1,4}\d+'((, )(positive|integer|nonnegative)=True)*\)|\b[suz][a-z]{0,3}\d+\b")
_SIZES = _words("""
    Add Mul Max Min Mod PythonMod FloorDiv CleanDiv CeilDiv Integer Rational Float Eq Ne Equality Unequality GreaterThan
    LessThan StrictGreaterThan StrictLessThan And Or Not true false True False evaluate floor ceiling CeilToInt
    FloorToInt TruncToInt IntTrueDiv ToFloat Identity oo int_oo
    """)
_PLAIN = re.compile(r"[A-Za-z0-9_.+\-]*")
_CONTAINERS = frozenset({None, "builtins.tuple", "builtins.list", "builtins.dict"})
_CONFIGS = {
    "data/weights/model_weights_config.json": "weight_",
    "data/constants/model_constants_config.json": "tensor_",
}
_PROGRAM = "models/model.json"
_ROWS = "data/sample_inputs/model.pt"
# What the program was traced to assume of sizes, such as L['x'].size()[0] == 2: left out, for torch executes it.
_SIZE = re.compile(r"L(\['?\w+'?\])+\.(size|stride)\(\)\[\d+\]")
_COMPARISON = re.compile(r"(\d+|\b(and|or|not|min|max|Mod|Eq|Ne)\b|[\s(),.+\-*/%<>=!])*")


def rewrite(stream: IO[bytes], copy: IO[bytes], name: str, limits: Limits) -> None:
    """Write into `copy` what of an exported program is needed to run it. Raises Unsafe."""
    with open_archive(stream, name, limits) as archive, zipfile.ZipFile(copy, "w") as safe:
        entries = {path.partition("/")[2]: path for path in archive.namelist()}
        if _PROGRAM not in entries or not entries.keys() >= _CONFIGS.keys():
            found = f"it is no program that `torch.export.save` writes today ({', '.join(sorted(entries)[:5])}, ...)"
            raise Unsafe(name, found, "export it again with torch 2.8 or later")
        program = _json(read(archive, entries[_PROGRAM], name), name)
        _put(safe, _PROGRAM, json.dumps(_seen_program(program, name)).encode())
        for config, prefix in _CONFIGS.items():
            text = read(archive, entries[config], name)
            _put(safe, config, text)
            for payload in _payloads(_json(text, name), prefix, name):
                path = f"{config.rpartition('/')[0]}/{payload}"
                if path not in entries:
                    raise Unsafe(name, f"it lacks {path!r}", AGAIN)
                _put(safe, path, read(archive, entries[path], name))
        for path, told in (("archive_format", b"pt2"), ("archive_version", b"0"), ("byteorder", b"little")):
            _put(safe, path, told)
        _put(safe, ".data/version", b"6\n")
        # The rows that it was traced with are a pickle; nobody needs them, but code in them says whose file this is.
        rows = read(archive, entries[_ROWS], name) if _ROWS in entries else b""
        if rows:
            see_checkpoint(io.BytesIO(rows), f"{name}/{_ROWS}", limits)
        _put(safe, _ROWS, b"")


def see_operators(program: Any, name: str) -> None:
    """Raise Unsafe where a loaded program calls anything but operators of ATen and arithmetic on sizes."""
    import torch

    for module in program.graph_module.modules():
        for node in getattr(getattr(module, "graph", None), "nodes", ()):
            if node.op != "call_function":
                continue
            named = f"{getattr(node.target, '__module__', '')}.{getattr(node.target, '__name__', '')}"
            on_tensors = isinstance(node.target, torch._ops.OpOverload) and node.target.namespace == "aten"
            if not on_tensors and not isinstance(node.target, torch._ops.HigherOrderOperator) and named not in _OTHERS:
                raise Unsafe(name, f"it calls {named}, which is no operator on tensors")


def _put(safe: zipfile.ZipFile, path: str, data: bytes) -> None:
    safe.writestr(zipfile.ZipInfo(f"model/{path}"), data)


def _json(text: bytes, name: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as wrong:
        raise Unsafe(name, f"its description is not JSON ({wrong})", AGAIN) from wrong


def _payloads(config: Any, prefix: str, name: str) -> Iterator[str]:
    """The files of weights, each checked to be plain bytes."""
    entries = config.get("config") if isinstance(config, dict) else None
    if not isinstance(entries, dict):
        raise Unsafe(name, "its list of weights is none", AGAIN)
    found = set()
    for tensor, told in entries.items():
        path = told.get("path_name") if isinstance(told, dict) else None
        if not isinstance(path, str) or told.get("use_pickle") is not False or not re.fullmatch(prefix + r"\d+", path):
            raise Unsafe(name, f"its constant {tensor!r} is a pickled object ({path!r:.60})", INSTEAD)
        found.add(path)
    yield from sorted(found)


def _seen_program(program: Any, name: str) -> Any:
    """The program without guards and metadata, every other text in it looked at."""
    try:
        for guard in program.get("guards_code", ()):
            if not _COMPARISON.fullmatch(_SIZE.sub("1", guard)):
                raise Unsafe(name, f"it has a guard that is not about sizes: {guard!r:.80}")
        program["guards_code"] = []
        return _seen(program, name, "")
    except (TypeError, KeyError, AttributeError, RecursionError) as wrong:
        raise Unsafe(name, f"its program has not the form of one ({wrong})", AGAIN) from wrong


def _seen(value: Any, name: str, key: str) -> Any:
    if isinstance(value, dict):
        return {
            _seen_text(part, name, "key"): {} if part == "metadata" else _seen(inner, name, part)
            for part, inner in value.items()
        }
    if isinstance(value, list):
        return [_seen(inner, name, key) for inner in value]
    return _seen_text(value, name, key) if isinstance(value, str) else value


def _seen_text(text: str, name: str, key: str) -> str:
    if key == "target" and (why := _strange_operator(text)):
        raise Unsafe(name, f"it calls {text!r:.80}, {why}")
    if key == "expr_str" and not _is_size(text):
        raise Unsafe(name, f"it computes a size as {text!r:.80}, which is not arithmetic")
    if key in ("in_spec", "out_spec"):
        _see_spec(_json(text.encode(), name), name)
    elif key == "as_string":
        return text  # an argument, which nothing executes
    elif key not in ("target", "expr_str") and (not _PLAIN.fullmatch(text) or keyword.iskeyword(text)):
        # Names become parts of the Python code that torch generates and executes.
        raise Unsafe(name, f"it has {text!r:.80} where a name belongs")
    return text


def _strange_operator(target: str) -> str:
    """Why an operator is refused; nothing where it is fine."""
    found = _OPERATOR.fullmatch(target)
    if found and found[1] in _OUTSIDE:
        return "an operator that reaches outside of the process"
    return "" if found or target in _OTHERS else "which is not an operator of ATen"


def _is_size(text: str) -> bool:
    """Whether an expression is arithmetic on the sizes s0, s1, ... with a handful of functions."""
    bare = _SYMBOL.sub("1", text)
    words = set(re.findall(r"[A-Za-z_]\w*", bare))
    plain = re.fullmatch(r"[\w\s(),=+\-*/]*", bare) is not None
    return len(text) < 1000 and plain and words <= _SIZES and "**" not in bare


def _see_spec(spec: Any, name: str) -> None:
    """How arguments are nested, which must be in plain containers: others are imported by their name."""
    if isinstance(spec, list):
        for part in spec:
            _see_spec(part, name)
    elif isinstance(spec, dict):
        if spec.get("type") not in _CONTAINERS:
            raise Unsafe(name, f"it takes or answers a {spec.get('type')!r:.80}; allowed are tuples, lists and dicts")
        _see_spec(spec.get("children_spec"), name)
