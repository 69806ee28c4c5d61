"""Pickles that would run code when they are read: none is, in whatever way they ask for it."""

from __future__ import annotations

import builtins
import contextlib
import copyreg
import gzip
import io
import lzma
import marshal
import os
import pickle
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import FunctionTransformer
from sklearn.tree import DecisionTreeClassifier

from roadworthy.core.errors import BadData
from roadworthy.serve.formats.allowed import CALLED, NAMED
from roadworthy.serve.formats.base import Unsafe
from roadworthy.serve.formats.pickled import Unpickler, read_pickle

Refused = Callable[..., None]


def pushed(value: Any) -> bytes:
    """The opcodes that put a plain value on the stack."""
    return pickle.dumps(value, 2)[2:-1]


def name(module: str, attribute: str) -> bytes:
    """A global as protocol 4 writes it: two strings and STACK_GLOBAL, so that dots may be in either."""
    parts = (b"\x8c" + bytes([len(text)]) + text.encode() for text in (module, attribute))
    return b"".join(parts) + b"\x93"


def call(module: str, attribute: str, *args: Any) -> bytes:
    """A pickle of protocol 4 that calls a global."""
    return b"\x80\x04" + name(module, attribute) + pushed(args) + b"R."


def nested(*parts: bytes) -> bytes:
    return b"\x80\x04" + b"".join(parts) + b"."


class Calls:
    """An object whose pickle calls a function."""

    def __init__(self, function: Any, *args: Any) -> None:
        self.reduced = function, args

    def __reduce__(self) -> tuple[Any, ...]:
        return self.reduced


# Of each: what it is called here, the name that must be told, and the pickle, given the path of the marker.
LIVE: dict[str, tuple[str, Callable[[str], bytes]]] = {
    "os.system by GLOBAL": (r"posix\.system", lambda m: b"cposix\nsystem\n(Vtouch " + m.encode() + b"\ntR."),
    "os.system": (r"os\.system", lambda m: call("os", "system", f"touch {m}")),
    "posix.system by protocol 1": (r"posix\.system", lambda m: pickle.dumps(Calls(os.system, f"touch {m}"), 1)),
    "posix.system by protocol 5": (r"posix\.system", lambda m: pickle.dumps(Calls(os.system, f"touch {m}"), 5)),
    "subprocess.call": (r"subprocess\.call", lambda m: call("subprocess", "call", ["touch", m])),
    "subprocess.check_output": (r"subprocess\.check", lambda m: call("subprocess", "check_output", ["touch", m])),
    "os.mkdir": (r"os\.mkdir", lambda m: call("os", "mkdir", m)),
    "os.putenv through environ": (
        r"os\.environ",
        lambda m: nested(name("os", "environ.__setitem__"), pushed(("ROADWORTHY_PROBE", "ran")), b"R"),
    ),
    "builtins.eval": (r"builtins\.eval", lambda m: call("builtins", "eval", f"open({m!r}, 'w').close()")),
    "builtins.exec": (r"builtins\.exec", lambda m: call("builtins", "exec", f"open({m!r}, 'w').close()")),
    "eval by its name in Python 2": (
        r"builtins\.eval",
        lambda m: b"c__builtin__\neval\n(Vopen('" + m.encode() + b"', 'w').close()\ntR.",
    ),
    "builtins.open": (r"_?io\.open|builtins\.open", lambda m: call("builtins", "open", m, "w")),
    "_io.FileIO": (r"_io\.FileIO", lambda m: call("_io", "FileIO", m, "w")),
    "getattr on a module": (
        r"builtins\.getattr",
        lambda m: nested(
            name("builtins", "getattr"), b"(", call("builtins", "__import__", "os")[2:-1], pushed("system"), b"tR",
            pushed((f"touch {m}",)), b"R",
        ),
    ),
    "__import__": (
        r"builtins\.__import__",
        lambda m: nested(
            call("builtins", "__import__", "os")[2:-1], b"0", name("os", "system"), pushed((f"touch {m}",)), b"R"
        ),
    ),
    "importlib.import_module": (
        r"importlib\.import_module",
        lambda m: nested(
            call("importlib", "import_module", "os")[2:-1], b"0", name("os", "mkdir"), pushed((m,)), b"R"
        ),
    ),
    "operator.attrgetter": (
        r"operator\.attrgetter",
        lambda m: nested(
            call("operator", "attrgetter", "system")[2:-1], b"(", call("builtins", "__import__", "os")[2:-1], b"tR",
            pushed((f"touch {m}",)), b"R",
        ),
    ),
    "operator.methodcaller": (
        r"operator\.methodcaller",
        lambda m: nested(
            call("operator", "methodcaller", "system", f"touch {m}")[2:-1], b"(",
            call("builtins", "__import__", "os")[2:-1], b"tR",
        ),
    ),
    "functools.partial of os.system": (
        r"os\.system",
        lambda m: nested(
            name("functools", "partial"), b"(", name("os", "system"), b"tR", pushed((f"touch {m}",)), b"R"
        ),
    ),
    "functools.reduce": (
        r"functools\.reduce",
        lambda m: nested(
            name("functools", "reduce"), b"(", name("os", "mkdir"), pushed([m, 0o755]), b"tR"
        ),
    ),
    "builtins.map": (
        r"builtins\.list|builtins\.map|os\.mkdir",
        lambda m: nested(
            name("builtins", "list"), b"(", name("builtins", "map"), b"(", name("os", "mkdir"), pushed([m]), b"tRtR"
        ),
    ),
    "runpy": (r"runpy\._run_code", lambda m: call("runpy", "_run_code", f"open({m!r}, 'w').close()", {})),
    "timeit": (
        r"timeit\.repeat", lambda m: call("timeit", "repeat", f"open({m!r}, 'w').close()", "", time.time, 1, 1)
    ),
    "cProfile": (r"cProfile\.run", lambda m: call("cProfile", "run", f"open({m!r}, 'w').close()", os.devnull)),
    "pathlib by a dotted name": (
        r"pathlib\.Path\.touch",
        lambda m: nested(name("pathlib", "Path.touch"), b"(", call("pathlib", "Path", m)[2:-1], b"tR"),
    ),
    "os.system through joblib by a dotted name": (
        r"joblib\.numpy_pickle\.os\.system",
        lambda m: call("joblib.numpy_pickle", "os.system", f"touch {m}"),
    ),
    "a listed module's own imports": (
        r"sklearn\.calibration\.warnings",
        lambda m: nested(
            name("sklearn.calibration", "warnings.sys.modules"), b"0", name("os", "mkdir"), pushed((m,)), b"R"
        ),
    ),
    "numpy.f2py": (
        r"numpy\.f2py\.crackfortran\.myeval",
        lambda m: call("numpy.f2py.crackfortran", "myeval", f"__import__('os').system('touch {m}')", {}),
    ),
    "numpy.memmap": (r"numpy\.memmap", lambda m: call("numpy", "memmap", m, "uint8", "w+", 0, (1,))),
    "the door of numpy's ufuncs": (
        r"_ufunc_reconstruct",
        lambda m: nested(
            call("numpy.core", "_ufunc_reconstruct", "os", "system")[2:-1], pushed((f"touch {m}",)), b"R"
        ),
    ),
    "code of one's own": (
        r"types\.FunctionType|builtins\.function",
        lambda m: nested(
            name("types", "FunctionType"), b"(",
            call("marshal", "loads", marshal.dumps(compile(f"open({m!r}, 'w').close()", "probe", "exec")))[2:-1],
            name("builtins", "__dict__"), b"tR)R",
        ),
    ),
    "INST": (r"os\.system", lambda m: b"(S'touch " + m.encode() + b"'\nios\nsystem\n."),
    "OBJ": (r"os\.system", lambda m: b"(cos\nsystem\nS'touch " + m.encode() + b"'\no."),
    "NEWOBJ": (r"subprocess\.Popen", lambda m: nested(name("subprocess", "Popen"), b")\x81", pushed(0), b"0")),
    "a __setstate__ of one's own": (
        r"os\.mkdir",
        lambda m: nested(
            name("sklearn.calibration", "_SigmoidCalibration"), b")\x81}", pushed("__setstate__"),
            name("os", "mkdir"), b"sb", pushed(m), b"b",
        ),
    ),
    "a pickle within": (r"_?pickle\.loads", lambda m: call("pickle", "loads", call("os", "mkdir", m))),
    "joblib within": (r"joblib", lambda m: nested(name("joblib.numpy_pickle", "os.mkdir"), pushed((m,)), b"R")),
    "an estimator that holds a function": (
        r"posix\.system",
        lambda m: nested(
            pickle.dumps(FunctionTransformer(os.system), 4)[11:-1], b"0", name("os", "mkdir"), pushed((m,)), b"R"
        ),
    ),
    "a key that is called": (
        r"os\.mkdir", lambda m: nested(b"}", name("os", "mkdir"), pushed((m,)), b"R", pushed(1), b"s")
    ),
    "names from the memo": (
        r"os\.mkdir",
        lambda m: nested(pushed("mkdir"), b"\x94", pushed("os"), b"\x94h\x00h\x01\x93", pushed((m,)), b"R"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("how", LIVE)
def test_a_pickle_that_runs_code_does_not_run(how: str, tmp_path: Path, marker: Path, refused: Refused) -> None:
    because, made = LIVE[how]
    file = tmp_path / "model.pkl"
    file.write_bytes(made(str(marker)))
    refused(file, because)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("how", [how for how in LIVE if how not in ("NEWOBJ", "OBJ")])
def test_the_probe_is_alive_where_nobody_looks(how: str, marker: Path, ran: Callable[[], bool]) -> None:
    # What a probe leaves on the stack is of no use to the machine.
    with contextlib.suppress(TypeError, AttributeError, ValueError, SystemExit):
        pickle.loads(LIVE[how][1](str(marker)))
    assert ran()


def dtype(text: str, state: Any) -> bytes:
    """A numpy type that is given a state of its own."""
    return name("numpy", "dtype") + pushed((text, False, True)) + b"R" + pushed(state) + b"b"


# An array without values, as numpy begins every array.
ARRAY = name("numpy._core.multiarray", "_reconstruct") + b"(" + name("numpy", "ndarray") + pushed((0,)) + b"C\x01btR"
# A tuple of two tuples of two tuples ..., whose hash takes 2 ** 60 steps.
TUPLES = b")" + b"2\x86" * 60


def tree(change: Callable[[Any], None]) -> bytes:
    """A decision tree whose nodes were changed behind its back."""
    changed = fitted()
    state = changed.tree_.__getstate__()
    change(state["nodes"])
    changed.tree_.__setstate__(state)
    return pickle.dumps(changed)


def fitted() -> Any:
    return DecisionTreeClassifier(max_depth=2, random_state=0).fit([[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1])


def children_beyond(nodes: Any) -> None:
    nodes["left_child"][0] = 10_000_000


def children_in_a_ring(nodes: Any) -> None:
    nodes["left_child"][0] = 0


def features_beyond(nodes: Any) -> None:
    nodes["feature"][0] = 10_000_000


QUIET: dict[str, tuple[str, Callable[[], bytes]]] = {
    "a socket": (r"socket\.create_connection", lambda: call("socket", "create_connection", ("127.0.0.1", 9))),
    "a file that is read": (r"linecache\.getlines", lambda: call("linecache", "getlines", "/etc/hostname")),
    "a code object": (r"types\.CodeType", lambda: call("types", "CodeType", 0)),
    "the shell of Windows": (r"nt\.system", lambda: call("nt", "system", "calc")),
    "a C library": (r"ctypes\.CDLL", lambda: call("ctypes", "CDLL", "libc.so.6")),
    "numpy.load": (r"numpy\.load", lambda: call("numpy", "load", "evil.npy", None, True)),
    "pandas that unpickles": (r"pandas\.io\.pickle", lambda: call("pandas.io.pickle", "read_pickle", "evil.pkl")),
    "scikit-learn that reads files": (
        r"sklearn\.datasets\._base\.load_files", lambda: call("sklearn.datasets._base", "load_files", "/etc")
    ),
    "a name like a listed one": (
        r"sklearn\.pipeline\.Pipelines", lambda: nested(name("sklearn.pipeline", "Pipelines"), b")\x81")
    ),
    "a listed function that is called": (r"numpy\.log, .*not called", lambda: call("numpy", "log", 1)),
    "a partial of what it made": (
        r"functools\.partial something that has no name",
        lambda: nested(name("functools", "partial"), b"(", name("functools", "partial"), b"(", name("numpy", "log"),
                       b"tRtR"),
    ),
    "a class that is changed": (
        r"changes sklearn\.linear_model\._logistic\.LogisticRegression",
        lambda: nested(
            name("sklearn.linear_model._logistic", "LogisticRegression"), pushed((None, {"probe": 1})), b"b"
        ),
    ),
    "slots that are set": (
        r"sets slots",
        lambda: nested(name("sklearn._loss.link", "LogLink"), b")\x81", pushed((None, {"__class__": 1})), b"b"),
    ),
    "something outside of it": (r"opcode PERSID", lambda: b"\x80\x04\x8c\x01aQ."),
    "a buffer outside of it": (r"opcode NEXT_BUFFER", lambda: b"\x80\x05\x97."),
    "keywords for a class": (
        r"opcode NEWOBJ_EX", lambda: nested(name("sklearn.dummy", "DummyClassifier"), b")}\x92")
    ),
    "memory by bytes()": (r"calls builtins\.bytes with", lambda: call("builtins", "bytes", 1 << 40)),
    "memory by bytearray()": (r"calls builtins\.bytearray with", lambda: call("builtins", "bytearray", 1 << 40)),
    "memory by a declared length": (r"truncated", lambda: b"\x80\x04\x8e" + struct.pack("<Q", 1 << 40) + b"x."),
    "memory by a declared bytearray": (r"truncated", lambda: b"\x80\x05\x96" + struct.pack("<Q", 1 << 40) + b"x."),
    "memory by an array": (
        r"calls numpy\._core\.multiarray\._reconstruct with",
        lambda: nested(name("numpy._core.multiarray", "_reconstruct"), b"(", name("numpy", "ndarray"),
                       pushed((1 << 40,)), pushed(b"b"), b"tR"),
    ),
    "memory by a class": (
        r"makes a numpy\.ndarray in a way that no saved model does",
        lambda: nested(name("numpy", "ndarray"), b"(", pushed((1 << 40,)), b"t\x81"),
    ),
    "an array that changes": (
        r"changes an array",
        lambda: nested(ARRAY, b"(K\x01K\x01\x85", name("numpy", "dtype"), pushed(("f8", False, True)), b"R",
                       b"\x89C\x08", b"x" * 8, b"t\x94b", b"h\x00b"),
    ),
    "an array of more values than it has": (
        r"holds another number of values",
        lambda: nested(
            ARRAY, b"(K\x01", pushed((1 << 40,)), name("numpy", "dtype"), pushed(("f8", False, True)), b"R",
            b"\x89C\x08", b"x" * 8, b"tb",
        ),
    ),
    "a type that hides its objects": (
        r"array type that numpy would not make",
        lambda: nested(
            name("numpy", "dtype"), pushed(("V8", False, True)), b"R(K\x03", pushed("|"), b"N", pushed(("a",)),
            b"}", pushed("a"), name("numpy", "dtype"), pushed(("O", False, True)), b"RK\x00\x86s",
            b"K\x08K\x01K\x00tb",
        ),
    ),
    "a type with the flags of another": (
        r"array type that numpy would not make", lambda: nested(dtype("V8", (3, "|", None, None, None, 8, 1, 63)))
    ),
    "a hash without end": (r"a tuple as the key of a dict or in a set", lambda: nested(b"(", TUPLES, b"\x91")),
    "a hash without end in a set": (r"a tuple as the key", lambda: nested(b"\x8f(", TUPLES, b"\x90")),
    "a hash without end in a dict": (r"a tuple as the key", lambda: nested(b"}", TUPLES, b"K\x01s")),
    "a hash without end among pairs": (r"a tuple as the key", lambda: nested(b"}(", TUPLES, b"K\x01u")),
    "a hash without end in an old dict": (r"a tuple as the key", lambda: nested(b"(", TUPLES, b"K\x01d")),
    "a partial that is given another function": (
        r"binds arguments to something that has no name",
        lambda: nested(
            name("functools", "partial"), b"(", name("numpy", "log"), b"tR(",
            name("functools", "partial"), b"(", name("numpy", "log"), b"tR)}Ntb",
        ),
    ),
    "a vectoriser that opens what it is sent": (
        r"reads the files that a request names",
        lambda: pickle.dumps(TfidfVectorizer(input="filename")),
    ),
    "a tree that leads out of itself": (r"nodes lead out of it", lambda: tree(children_beyond)),
    "a tree without an end": (r"nodes lead out of it, or round", lambda: tree(children_in_a_ring)),
    "a tree that looks beyond the row": (r"values beyond the 1 that there are", lambda: tree(features_beyond)),
    "a tree of more outputs than it has": (
        r"calls sklearn\.tree\._tree\.Tree with",
        lambda: pickle.dumps(Calls(type(fitted().tree_), 1, np.array([2]), 1 << 30)),
    ),
    "half a pickle": (r"damaged or truncated", lambda: pickle.dumps(fitted())[:200]),
    "no pickle at all": (r"damaged or truncated", lambda: b"(this is a sentence."),
    "a pickle of nothing known": (r"damaged or truncated", lambda: b"\x80\x04" + bytes(range(1, 60)) + b"."),
}  # fmt: skip


@pytest.mark.parametrize("how", QUIET)
def test_a_pickle_that_lies_is_refused(how: str, tmp_path: Path, refused: Refused) -> None:
    because, made = QUIET[how]
    file = tmp_path / "model.pkl"
    file.write_bytes(made())
    refused(file, because)
    assert not hasattr(LogisticRegression, "probe")


@pytest.mark.parametrize("opcode", [b"\x8e", b"\x96"])
def test_no_room_is_made_for_what_is_only_declared(opcode: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(BadData, match="truncated"):
        read_pickle(io.BytesIO(b"\x80\x05" + opcode + struct.pack("<Q", 256 << 20) + b"x."), "m")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 << 20


@pytest.fixture
def registered() -> Iterator[int]:
    """An extension code for os.mkdir that somebody in this process has used already, so that it is cached."""
    copyreg.add_extension("os", "mkdir", 240)
    pickle.loads(b"\x80\x02\x82\xf0.")
    yield 240
    copyreg.remove_extension("os", "mkdir", 240)
    copyreg.clear_extension_cache()


def test_a_registered_extension_does_not_run(
    registered: int, tmp_path: Path, marker: Path, refused: Refused, ran: Callable[[], bool]
) -> None:
    file = tmp_path / "model.pkl"
    file.write_bytes(b"\x80\x02\x82\xf0" + pushed((str(marker),)) + b"R.")
    refused(file, r"opcode EXT")
    pickle.loads(file.read_bytes())
    assert ran()


COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    "zlib": zlib.compress,
    "gzip": gzip.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "xz": lzma.compress,
}


@pytest.mark.parametrize("how", COMPRESSED)
def test_a_compressed_pickle_does_not_run(how: str, tmp_path: Path, marker: Path, refused: Refused) -> None:
    file = tmp_path / "model.joblib"
    file.write_bytes(COMPRESSED[how](call("os", "mkdir", str(marker))))
    refused(file, r"os\.mkdir")


def test_the_names_of_builtins_are_all_refused_but_the_listed() -> None:
    machine = Unpickler(io.BytesIO(), "m")
    machine.proto = 4
    for builtin in vars(builtins):
        if ("builtins", builtin) not in CALLED | NAMED:
            with pytest.raises(Unsafe):
                machine.find_class("builtins", builtin)
