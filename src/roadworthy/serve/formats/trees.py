"""Sees that the trees of an estimator stay within themselves, for the C code that walks them looks at nothing.

A child beyond the last node is read from memory that is not the tree's; one that comes before its parent is walked for
ever. Neither scikit-learn's `__setstate__` nor skops looks for that.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.serve.formats.archive import AGAIN
from roadworthy.serve.formats.base import Unsafe


def see_trees(model: Any, name: str) -> None:
    """Look at every tree within a model. Raises Unsafe."""
    seen: dict[int, Any] = {}
    todo = [model]
    while todo:
        part = todo.pop()
        if id(part) in seen or isinstance(part, str | bytes | int | float | type(None) | type):
            continue
        seen[id(part)] = part  # kept, so that no other part gets its id
        _see(part, name)
        todo.extend(_parts(part))


def _parts(part: Any) -> Iterable[Any]:
    if isinstance(part, dict):
        yield from part.values()
    elif isinstance(part, list | tuple | set | frozenset):
        yield from part
    elif isinstance(part, np.ndarray):
        yield from part.reshape(-1).tolist() if part.dtype == object else ()
    yield from getattr(part, "__dict__", {}).values()


def _see(part: Any, name: str) -> None:
    kind = type(part).__name__
    if kind == "Tree" and hasattr(part, "__getstate__"):
        state = part.__getstate__()
        nodes = state["nodes"]
        leaf = nodes["left_child"] == -1
        whole = state["node_count"] == len(nodes)
        _see_nodes(whole, leaf, nodes["left_child"], nodes["right_child"], name)
        _see_features(nodes["feature"][~leaf], part.n_features, name)
    elif kind == "TreePredictor":
        nodes = part.nodes
        leaf = nodes["is_leaf"].astype(bool)
        _see_nodes(True, leaf, nodes["left"], nodes["right"], name)
        split = nodes[~leaf & nodes["is_categorical"].astype(bool)]
        bitsets = min(len(part.raw_left_cat_bitsets), len(part.binned_left_cat_bitsets))
        _see_features(split["bitset_idx"], bitsets, name)
    elif kind.startswith("HistGradientBoosting"):
        for tree in (tree for stage in vars(part).get("_predictors", ()) for tree in stage):
            leaf = tree.nodes["is_leaf"].astype(bool)
            _see_features(tree.nodes["feature_idx"][~leaf], vars(part).get("n_features_in_", 0), name)


def _see_nodes(whole: bool, leaf: NDArray[Any], left: NDArray[Any], right: NDArray[Any], name: str) -> None:
    here = np.arange(len(leaf))
    children = np.stack([left, right]).astype(np.int64)[:, ~leaf]
    if not whole or not len(leaf) or (children <= here[~leaf]).any() or (children >= len(leaf)).any():
        raise Unsafe(name, "it has a tree whose nodes lead out of it, or round in it", AGAIN)


def _see_features(used: NDArray[Any], features: int, name: str) -> None:
    if len(used) and (used.min() < 0 or used.max() >= features):
        raise Unsafe(name, f"it has a tree that looks at values beyond the {features} that there are", AGAIN)
