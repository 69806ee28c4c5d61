"""What the batcher costs: CPU per row through `Batch` against the bare ONNX Runtime session, at several batch sizes.

Two models: an MLP 64-256-256-10 that takes one vector, and boosted trees on 16 columns, which is the harder case for
a batcher (sixteen columns to gather). Usage: python benchmarks/serving_core.py [ROUNDS]
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import uvloop
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from roadworthy.app.edge import Edge
from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Tensor
from roadworthy.serve.batch import Batch
from roadworthy.serve.engines.onnx import Onnx

BATCHES = (1, 8, 64)
ROWS = 4096


class Case(NamedTuple):
    """A model with one row for it, as the engine's columns."""

    name: str
    engine: Onnx
    signature: Signature
    row: Mapping[str, NDArray[Any]]


def mlp(folder: Path) -> Case:
    """64-256-256-10 with random weights: the model S of the notes."""
    rng, sizes, nodes, weights, last = np.random.default_rng(0), (64, 256, 256, 10), [], [], "x"
    for k, (wide, narrow) in enumerate(pairwise(sizes)):
        matrix = rng.normal(0, wide**-0.5, (wide, narrow)).astype(np.float32)
        weights.append(numpy_helper.from_array(matrix, f"w{k}"))
        out = "scores" if k == 2 else f"h{k}"
        nodes.append(helper.make_node("MatMul", [last, f"w{k}"], [out if k == 2 else f"z{k}"]))
        nodes += [] if k == 2 else [helper.make_node("Relu", [f"z{k}"], [out])]
        last = out
    ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [None, w]) for n, w in (("x", 64), ("scores", 10))]
    graph = helper.make_graph(nodes, "mlp", ports[:1], ports[1:], weights)
    file = folder / "mlp.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    file.write_bytes(model.SerializeToString())
    signature = Signature({"x": Field(width=64)}, {"scores": Field(width=10)})
    return Case("mlp, one vector of 64", Onnx(file), signature, {"x": rng.normal(size=(1, 64)).astype(np.float32)})


def trees(folder: Path) -> Case:
    """100 boosted trees on 16 columns, about what the flights project serves."""
    from skl2onnx import to_onnx
    from sklearn.ensemble import HistGradientBoostingClassifier

    x = np.random.default_rng(0).normal(size=(4000, 16)).astype(np.float32)
    lab = HistGradientBoostingClassifier(max_iter=100).fit(x, x[:, 0] * x[:, 1] > 0)
    file = folder / "trees.onnx"
    file.write_bytes(to_onnx(lab, x[:1], options={"zipmap": False}).SerializeToString())
    names = [f"c{k}" for k in range(16)]
    signature = Signature({name: Field() for name in names}, {"probability": Field()})
    return Case("trees, 16 columns", Onnx(file), signature, {name: x[:1, [k]] for k, name in enumerate(names)})


def cpu_us(run: Callable[[], None], rows: int) -> float:
    """CPU (user and system, all threads) per row in microseconds."""
    started = time.process_time()
    run()
    return (time.process_time() - started) / rows * 1e6


def raw(case: Case, size: int) -> Callable[[], None]:
    """The session alone, on one ready matrix."""
    session = case.engine._session
    matrix = np.repeat(np.concatenate(list(case.row.values()), axis=1), size, axis=0)
    feed = {session.get_inputs()[0].name: matrix}

    def run() -> None:
        for _ in range(ROWS // size):
            session.run(None, feed)

    return run


def batched(case: Case, size: int, loop: asyncio.AbstractEventLoop) -> Callable[[], None]:
    """`size` requests of one row in a turn of the loop, from what the edge makes of JSON, to tensors of lists."""
    batch, edge = Batch(case.engine, case.signature, place="loop"), Edge(case.signature)
    tensors = [Tensor(name, "FP32", values.shape, values[0].tolist()) for name, values in case.row.items()]
    requests = [edge.request(f"r{k}", tensors, None) for k in range(size)]

    async def all_turns() -> None:
        for _ in range(ROWS // size):
            for answer in [batch(request) for request in requests]:
                await answer

    return lambda: loop.run_until_complete(all_turns())


def measure(case: Case, rounds: int, loop: asyncio.AbstractEventLoop) -> list[Measurement]:
    """The median over interleaved rounds, with the range of them, of both and of their ratio."""
    found: list[Measurement] = []
    print(f"\n{case.name}\n{'batch':>6} {'raw us/row':>11} {'Batch us/row':>13} {'ratio':>7} {'added us/row':>13}")
    for size in BATCHES:
        bare, ours = raw(case, size), batched(case, size, loop)
        bare(), ours()
        pairs = np.array([(cpu_us(bare, ROWS), cpu_us(ours, ROWS)) for _ in range(rounds)])
        columns = {"raw": pairs[:, 0], "batch": pairs[:, 1], "ratio": pairs[:, 1] / pairs[:, 0]}
        middle = {name: float(np.median(values)) for name, values in columns.items()}
        added = middle["batch"] - middle["raw"]
        print(f"{size:>6} {middle['raw']:>11.2f} {middle['batch']:>13.2f} {middle['ratio']:>7.2f} {added:>13.2f}")
        for name, values in columns.items():
            unit = "1" if name == "ratio" else "us"
            low, high = float(values.min()), float(values.max())
            label = f"serving_core_{name}_{size}"
            found.append(Measurement(label, middle[name], rounds, low, high, unit, case.name, {"interval": "range"}))
    return found


def main() -> None:
    """Print a table a model, and as the last line all measurements as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--data", help="not needed here")
    rounds = parser.parse_args().rounds
    loop = uvloop.new_event_loop()
    with tempfile.TemporaryDirectory() as folder:
        cases = [mlp(Path(folder)), trees(Path(folder))]
        found = [measured for case in cases for measured in measure(case, rounds, loop)]
    loop.close()
    print()
    print(msgspec.json.encode(found).decode())


if __name__ == "__main__":
    main()
