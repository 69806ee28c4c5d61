"""What a prediction set costs beside MAPIE's, row by row, and whether MAPIE and crepes hold the same."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import tables
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement
from roadworthy.core.wire import Request, Response, Tensor
from roadworthy.serve.columns import SETS
from roadworthy.serve.conformal.fitting import fit
from roadworthy.serve.conformal.shift import Ratio
from roadworthy.serve.wrappers.absolute import Absolute
from roadworthy.serve.wrappers.adaptive import fit as fit_adaptive
from roadworthy.serve.wrappers.aps import Aps
from roadworthy.serve.wrappers.cqr import Cqr
from roadworthy.serve.wrappers.lac import Lac
from roadworthy.serve.wrappers.mondrian_class import fit as fit_classes
from roadworthy.serve.wrappers.mondrian_segment import fit as fit_segments
from roadworthy.serve.wrappers.normalised import Normalised
from roadworthy.serve.wrappers.raps import Raps
from roadworthy.serve.wrappers.weighted import fit as fit_weighted

PEER = Path(__file__).resolve().parents[2] / ".bench" / "conformal" / "bin" / "python"
PEERS = ("mapie==1.6.0", "crepes==0.9.1")
# Not 0.9: where alpha times (n + 1) is whole, crepes takes one rank more than the guarantee needs.
TARGET, ROUNDS, CALLS, PEER_CALLS = 0.903, 7, 2000, 20


def measure(data: Path) -> list[Measurement]:
    """Microseconds a row at batch one; where MAPIE and crepes are installed, ratio and equality."""
    given = _given()
    leaves = _leaves(given)
    if not _installed():
        print(f"{' and '.join(PEERS)} cannot be installed into {PEER.parents[1]}, so they were not compared")
        return [_microseconds(name, [_ours(call) for _ in range(ROUNDS)]) for name, call in leaves.items()]
    with _peers(given) as (ask, answered):
        return _equalities(given, answered) + _interleaved(leaves, ask)


def _installed() -> bool:
    """Whether the peers are there; they are installed at the first run."""
    if PEER.is_file():
        return True
    try:
        subprocess.run([sys.executable, "-m", "venv", PEER.parents[1]], check=True)
        pip = [str(PEER), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *PEERS]
        subprocess.run(pip, check=True, timeout=300)
    except (subprocess.SubprocessError, OSError) as wrong:
        print(wrong)
        shutil.rmtree(PEER.parents[1], ignore_errors=True)
        return False
    return True


def _given() -> dict[str, Any]:
    digits, diabetes = tables.digits(), tables.diabetes()
    names = ("even", "odd")
    return {
        "probabilities": digits.outputs["probabilities"],
        "labels": digits.labels.astype(np.int64),
        # A segment that the label does not tell, nor the order of rows.
        "segments": np.array([names[k * 7919 % 13 % 2] for k in range(len(digits.labels))]),
        "n": 594,
        "truth": diabetes.labels,
        "value": diabetes.outputs["prediction"],
        "m": 147,
        **{name: diabetes.outputs[name] for name in ("spread", "lower", "upper")},
    }


def _leaves(given: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    n, p, labels = given["n"], given["probabilities"], given["labels"]
    names = tuple(f"digit {k}" for k in range(10))
    cal, one = {"probabilities": p[:n]}, {"probabilities": p[n : n + 1]}
    row = {"prediction": given["value"][:1], "lower": given["lower"][:1], "upper": given["upper"][:1]}
    sets = {"lac": Lac(classes=names), "aps": Aps(classes=names), "raps": Raps(classes=names)}
    made: dict[str, Any] = {name: fit(leaf, labels[:n], cal, TARGET) for name, leaf in sets.items()}
    made["mondrian_class"] = fit_classes(Lac(classes=names), labels[:n], cal, TARGET)
    calls: dict[str, Callable[[], Any]] = {name: _call(leaf, one) for name, leaf in made.items()}
    around = {
        "adaptive": fit_adaptive(Lac(classes=names), labels[:n], cal, TARGET),
        "mondrian_segment": fit_segments(
            Lac(classes=names), labels[:n], cal, "half", given["segments"][:n].tolist(), TARGET
        ),
        "weighted": fit_weighted(Lac(classes=names), labels[:n], cal, np.ones(n), TARGET, Ratio(0.0, {"x": 0.1})),
    }
    calls |= {name: _asked(leaf, p[n]) for name, leaf in around.items()}
    return {**calls, "absolute": _call(Absolute(30.0), row), "cqr": _call(Cqr(3.0), row)}


def _asked(leaf: Any, row: NDArray[np.float64]) -> Callable[[], Any]:
    """A request through a wrapper that needs all of it; the handler inside answers at once."""
    tensor = Tensor("probabilities", "FP64", (1, 10), row.tolist())
    inputs = {"x": Tensor("x", "FP64", (1, 1), [1.0])}
    request, response = Request("r", inputs, 0.0, tags={"half": "even"}), Response("r", {"probabilities": tensor})

    async def inner(asked: Request) -> Response:
        return response

    handler = leaf(inner)

    def call() -> None:
        with suppress(StopIteration):
            handler(request).send(None)

    return call


def _call(leaf: Any, outputs: dict[str, Any]) -> Callable[[], Any]:
    return lambda: leaf.on_outputs(outputs)


def _ours(call: Callable[[], Any]) -> float:
    started = time.process_time()
    for _ in range(CALLS):
        call()
    return (time.process_time() - started) / CALLS * 1e6


def _interleaved(leaves: dict[str, Callable[[], Any]], ask: Callable[[str], float]) -> list[Measurement]:
    ours: dict[str, list[float]] = {name: [] for name in leaves}
    theirs: dict[str, list[float]] = {name: [] for name in ("lac", "aps", "raps")}
    for _ in range(ROUNDS):
        for name, call in leaves.items():
            ours[name].append(_ours(call))
            if name in theirs:
                theirs[name].append(ask(name))
    found = [_microseconds(name, seen) for name, seen in ours.items()]
    for name, seen in theirs.items():
        ratios = np.array(seen) / np.array(ours[name])
        found.append(_spread(f"mapie_us_batch1_{name}", seen, "us"))
        found.append(_spread(f"mapie_over_ours_{name}", ratios.tolist(), "1"))
    return found


def _microseconds(name: str, seen: list[float]) -> Measurement:
    return _spread("conformal_us_batch1" if name == "lac" else f"conformal_us_batch1_{name}", seen, "us")


def _spread(name: str, seen: list[float], unit: str) -> Measurement:
    """The median over rounds, between the least and the greatest."""
    return Measurement(name, float(np.median(seen)), len(seen), min(seen), max(seen), unit, conditions={"of": "rounds"})


@contextmanager
def _peers(given: dict[str, Any]) -> Iterator[tuple[Callable[[str], float], dict[str, Any]]]:
    with tempfile.TemporaryDirectory() as folder:
        there, back = Path(folder) / "given.npz", Path(folder) / "answered.npz"
        np.savez(there, **given)
        side = [str(PEER), str(Path(__file__).with_name("peers_side.py")), str(there), str(back)]
        with subprocess.Popen(side, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            pipe_in, pipe_out = child.stdin, child.stdout
            if pipe_out.readline().strip() != "ready":
                raise SystemExit(f"{side[1]} did not answer; run it by hand to see why")

            def ask(name: str) -> float:
                pipe_in.write(f"{name} {PEER_CALLS}\n")
                return float(pipe_out.readline()) / PEER_CALLS * 1e6

            yield ask, dict(np.load(back))
            pipe_in.close()


def _equalities(given: dict[str, Any], theirs: dict[str, Any]) -> list[Measurement]:
    """Rows on which we hold what they hold, as a share; where draws differ, coverage and size of both."""
    ours = _our_sets(given)
    n, labels = given["n"], given["labels"]
    true = np.arange(len(labels) - n), labels[n:]
    found = []
    for name, own in (
        ("mapie_lac", "lac"),
        ("crepes_lac", "lac"),
        ("crepes_mondrian_class", "mondrian_class"),
        ("crepes_mondrian_segment", "mondrian_segment"),
    ):
        same = (ours[own] == theirs[name].astype(bool)).all(axis=1)
        found.append(Measurement(f"same_as_{name}", float(same.mean()), len(same)))
    for name in ("aps", "raps"):
        for whose, sets in (("ours", ours[name]), ("mapie", theirs[f"mapie_{name}"].astype(bool))):
            found.append(Measurement(f"coverage_{whose}_{name}", float(sets[true].mean()), len(sets)))
            found.append(Measurement(f"size_{whose}_{name}", float(sets.sum(axis=1).mean()), len(sets), unit="names"))
    for name, bounds in _our_intervals(given).items():
        apart = np.abs(bounds - theirs[name]).max() / np.abs(bounds).max()
        found.append(Measurement(f"furthest_from_{name}", float(apart), len(bounds)))
    return found


def _our_sets(given: dict[str, Any]) -> dict[str, NDArray[np.bool_]]:
    n, p, labels = given["n"], given["probabilities"], given["labels"]
    cal, test = {"probabilities": p[:n]}, {"probabilities": p[n:]}
    found = {}
    for name, leaf in (("lac", Lac()), ("aps", Aps()), ("raps", Raps())):
        found[name] = _flags(fit(leaf, labels[:n], cal, TARGET).on_outputs(test)[SETS])
    found["mondrian_class"] = _flags(fit_classes(Lac(), labels[:n], cal, TARGET).on_outputs(test)[SETS])
    segments = given["segments"].tolist()
    by = fit_segments(Lac(), labels[:n], cal, "half", segments[:n], TARGET)
    thresholds = np.array([[by.thresholds[segment]] for segment in segments[n:]])
    found["mondrian_segment"] = _flags(Lac().hold(test, thresholds)[SETS])
    return found


def _flags(sets: NDArray[Any]) -> NDArray[np.bool_]:
    return np.array([[str(k) in held for k in range(10)] for held in sets])


def _our_intervals(given: dict[str, Any]) -> dict[str, NDArray[np.float64]]:
    m, truth = given["m"], given["truth"]
    outputs = {"prediction": given["value"], **{name: given[name] for name in ("spread", "lower", "upper")}}
    cal, test = ({name: a[part] for name, a in outputs.items()} for part in (slice(None, m), slice(m, None)))
    leaves = {
        "mapie_absolute": Absolute(),
        "crepes_absolute": Absolute(),
        "crepes_normalised": Normalised(),
        "mapie_cqr": Cqr(),
    }
    made = {name: fit(leaf, truth[:m], cal, TARGET).on_outputs(test) for name, leaf in leaves.items()}
    return {name: np.column_stack([one["low"], one["high"]]) for name, one in made.items()}
