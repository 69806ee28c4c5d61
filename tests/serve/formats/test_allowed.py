"""The list is exact, and nothing on it does what a model file must not do."""

from __future__ import annotations

from roadworthy.serve.formats.allowed import CALLED, MADE, NAMED, TENSORS
from roadworthy.serve.formats.calls import _MAKERS, _RULES

EVERY = MADE | CALLED | NAMED | TENSORS

# What reaches outside of the process, or makes code, whatever its arguments.
NEVER = {
    "eval",
    "exec",
    "compile",
    "open",
    "getattr",
    "setattr",
    "system",
    "load",
    "loads",
    "import_module",
    "__import__",
}


def test_no_name_has_a_dot_in_it_or_opens_anything() -> None:
    assert [name for name in EVERY if "." in name[1] or name[1] in NEVER] == []


def test_only_a_handful_of_modules_beside_scikit_learn_are_named() -> None:
    modules = {module for module, _ in EVERY if not module.startswith("sklearn.")}
    assert modules == {
        "_codecs", "builtins", "collections", "copyreg", "functools", "numpy", "numpy._core.multiarray",
        "numpy._core.numeric", "numpy.ma", "numpy.ma.core", "numpy.random._mt19937", "numpy.random._pcg64",
        "numpy.random._pickle", "numpy.random.bit_generator", "scipy.sparse._coo", "scipy.sparse._csc",
        "scipy.sparse._csr", "scipy.sparse._dia", "torch", "torch._utils", "torch.serialization", "torch.storage",
    }  # fmt: skip


def test_every_call_has_a_rule_for_its_arguments_or_takes_numbers_only() -> None:
    without = CALLED - set(_RULES)
    losses = {name for name in CALLED if name[0] in ("sklearn._loss._loss", "sklearn.linear_model._sgd_fast")}
    assert without == losses | {("builtins", "complex")}
    assert set(_MAKERS) <= CALLED
