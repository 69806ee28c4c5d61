"""Reads the trees, or the weights, at the end of an ONNX graph, and what is computed before them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from roadworthy.core.insides import Columns, Insides
from roadworthy.serve.insides import owners_of, proven

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KINDS = {"TreeEnsembleClassifier", "TreeEnsembleRegressor", "LinearClassifier", "LinearRegressor"}

Feed = Callable[[Columns], Mapping[str, Any]]
Unit = Literal["1", "logit"]


class _End(NamedTuple):
    """The node that computes the score, its settings, and the name of its input."""

    kind: str
    settings: dict[str, Any]
    source: str


def insides_of(graph: bytes, feed: Feed, rows: Columns, answers: NDArray[Any]) -> Insides | None:
    """The insides of a graph that ends in trees or weights, proven on `rows`, whose answers are given; else None.

    `feed` makes the graph's inputs of columns. Needs the package onnx; None where it is not installed.
    """
    try:
        import onnx
    except ImportError:
        return None
    model = onnx.load_model_from_string(graph)
    end = _end_of(model)
    if end is None:
        return None
    features = _features(model, end.source, feed)
    owners = owners_of(features, rows)
    if owners is None:
        return None
    unit: Unit = "logit" if end.settings.get("post_transform") == b"LOGISTIC" else "1"
    if end.kind.startswith("Linear"):
        return _linear(end, features, owners, unit, rows, answers)
    return _trees(end, features, owners, unit, rows, answers)


def _end_of(model: Any) -> _End | None:
    import onnx

    ends = [node for node in model.graph.node if node.op_type in _KINDS]
    if len(ends) != 1:
        return None
    (end,) = ends
    settings = {one.name: onnx.helper.get_attribute_value(one) for one in end.attribute}
    return _End(end.op_type, settings, end.input[0])


def _features(model: Any, source: str, feed: Feed) -> Callable[[Columns], NDArray[np.float64]]:
    """The matrix that goes into the last node, as a function of the columns."""
    import onnx
    import onnxruntime

    asked = {given.name for given in model.graph.input}
    if source in asked:
        return lambda columns: np.asarray(feed(columns)[source], np.float64)
    opened = onnx.ModelProto()
    opened.CopyFrom(model)
    del opened.graph.output[:]
    opened.graph.output.append(onnx.helper.make_tensor_value_info(source, onnx.TensorProto.FLOAT, None))
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    session = onnxruntime.InferenceSession(opened.SerializeToString(), options, providers=["CPUExecutionProvider"])

    def features(columns: Columns) -> NDArray[np.float64]:
        (found,) = session.run([source], dict(feed(columns)))
        return np.asarray(found, np.float64).reshape(len(found), -1)

    return features


def _linear(
    end: _End, features: Any, owners: tuple[str, ...], unit: Unit, rows: Columns, answers: NDArray[Any]
) -> Insides | None:
    weights = np.array(end.settings["coefficients"], np.float64).reshape(-1, len(owners))
    biases = np.array(end.settings.get("intercepts", [0.0] * len(weights)), np.float64)
    if len(weights) > 2:
        return None
    score = (weights[-1], float(biases[-1]))
    found = Insides("linear", features, owners, score, unit)
    return proven(found, lambda matrix: matrix @ score[0] + score[1], rows, answers)


def _trees(
    end: _End, features: Any, owners: tuple[str, ...], unit: Unit, rows: Columns, answers: NDArray[Any]
) -> Insides | None:
    settings = end.settings
    if settings.get("aggregate_function", b"SUM") != b"SUM" or not _plain(settings):
        return None
    trees = [_tree(settings, _rows_of(settings, number)) for number in sorted(set(settings["nodes_treeids"]))]
    base = float(np.sum(settings.get("base_values", [0.0])[-1:]))
    score = {"trees": trees, "base_offset": base, "tree_output": "raw_value", "input_dtype": np.float64}
    return proven(
        Insides("trees", features, owners, score, unit), lambda matrix: base + _walked(trees, matrix), rows, answers
    )


def _plain(settings: Mapping[str, Any]) -> bool:
    """Splits of the kind "at most", and one score: of a classifier's two classes the second one's."""
    modes = set(settings["nodes_modes"]) <= {b"BRANCH_LEQ", b"LEAF"}
    return modes and len(settings.get("classlabels_int64s", ())) <= 2 and not settings.get("classlabels_strings")


def _rows_of(settings: Mapping[str, Any], tree: int) -> NDArray[np.int64]:
    """The places of a tree's nodes, by their number in the tree."""
    places = np.flatnonzero(np.array(settings["nodes_treeids"]) == tree)
    return places[np.argsort(np.array(settings["nodes_nodeids"])[places])]


def _tree(settings: Mapping[str, Any], places: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """A tree as shap has it: -1 marks a leaf, and a null goes where `children_default` says."""

    def of(name: str) -> NDArray[Any]:
        return np.array(settings[name])[places]

    leaf = of("nodes_modes") == b"LEAF"
    left, right = (np.where(leaf, -1, of(f"nodes_{side}nodeids")) for side in ("true", "false"))
    nulls = settings.get("nodes_missing_value_tracks_true") or [0] * len(settings["nodes_modes"])
    return {
        "children_left": left,
        "children_right": right,
        "children_default": np.where(np.array(nulls)[places] == 1, left, right),
        "features": np.where(leaf, -2, of("nodes_featureids")),
        # The runtime compares in float32.
        "thresholds": of("nodes_values").astype(np.float32).astype(np.float64),
        "values": _leaf_values(settings, places).reshape(-1, 1),
        "node_sample_weight": np.ones(len(places)),
    }


def _leaf_values(settings: Mapping[str, Any], places: NDArray[np.int64]) -> NDArray[np.float64]:
    """The weight of each leaf for the one score: where two classes have weights, those of the second."""
    kind = "class" if "class_weights" in settings else "target"
    trees, nodes, ids, weights = (
        np.array(settings[f"{kind}_{name}"]) for name in ("treeids", "nodeids", "ids", "weights")
    )
    tree = settings["nodes_treeids"][places[0]]
    chosen = (trees == tree) & (ids == ids.max())
    values = np.zeros(len(places))
    np.add.at(values, nodes[chosen], weights[chosen])
    return values


def _walked(trees: list[dict[str, NDArray[Any]]], matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """The sum of the leaves that each row (n,) ends in: what shap will be told, computed without it."""
    total = np.zeros(len(matrix))
    for tree in trees:
        node = np.zeros(len(matrix), np.int64)
        while (inner := tree["children_left"][node] >= 0).any():
            at = node[inner]
            value = matrix[inner, tree["features"][at]]
            go = np.where(value <= tree["thresholds"][at], tree["children_left"][at], tree["children_right"][at])
            node[inner] = np.where(np.isnan(value), tree["children_default"][at], go)
        total += tree["values"][node, 0]
    return total
