"""What our server costs beside its model: CPU per request against raw ONNX Runtime and against four other servers.

python benchmarks/serving [--rounds N] [--seconds S] [--peers litserve,bentoml,mlserver,ray] [--models small,large]

Peers are installed into `.bench/` at their first run. Prints a table a model; the last line is a JSON list of
Measurements. Ends with 1 where one of our own servers failed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
# So that `serving` is a package, whose names (`process`, `table`, ...) cannot hide anybody else's.
sys.path[0] = str(HERE.parent)

import msgspec  # noqa: E402
from rich.console import Console  # noqa: E402

from serving import loopback  # noqa: E402
from serving.contestants.base import Absent, Contestant, python_of  # noqa: E402
from serving.contestants.bentoml import BENTOML  # noqa: E402
from serving.contestants.constant import CONSTANTS  # noqa: E402
from serving.contestants.litserve import LITSERVE  # noqa: E402
from serving.contestants.mlserver import MLSERVER, QUICK  # noqa: E402
from serving.contestants.ours import FULL, HITS, OURS, features_on  # noqa: E402
from serving.contestants.ray import RAY  # noqa: E402
from serving.figures import details, headline  # noqa: E402
from serving.models import SIZES, write_model  # noqa: E402
from serving.rounds import Results, measure  # noqa: E402
from serving.table import show  # noqa: E402

PEERS = {"litserve": (LITSERVE,), "bentoml": (BENTOML,), "mlserver": (MLSERVER, QUICK), "ray": (RAY,)}
BENCH = HERE.parents[1] / ".bench"


def options() -> argparse.Namespace:
    """What to measure, and for how long."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.2, help="of every load in every round (1.2)")
    parser.add_argument("--peers", default=",".join(PEERS), help="which peers; '' for none")
    parser.add_argument("--models", default=",".join(SIZES))
    parser.add_argument("--data", help="not needed here")
    return parser.parse_args()


def chosen(names: str, results: Results) -> list[tuple[Contestant, str]]:
    """Our servers and the peers named, each with its Python; what cannot be installed is absent from all models."""
    found: list[tuple[Contestant, str]] = []
    peers = [peer for name in names.split(",") if name for peer in PEERS[name]]
    for contestant in (*CONSTANTS, *OURS, *peers):
        try:
            found.append((contestant, python_of(contestant, BENCH)))
        except Absent as why:
            results.absent["every", contestant.name] = str(why)
    return found


def runs_on(contestant: Contestant, model: str) -> bool:
    """A constant answer knows no model, and one out of the cache needs none: to measure them once is enough."""
    return model == "small" or contestant not in (*CONSTANTS, HITS)


def alone(contestants: list[tuple[Contestant, str]], results: Results) -> list[tuple[Contestant, str]]:
    """Go where only loopback is; where the system does not let us, those who would listen elsewhere stay at home."""
    if loopback.isolated():
        loopback.raise_loopback()
        return contestants
    loopback.isolate(sys.argv)
    if any(contestant is RAY for contestant, _ in contestants):
        results.absent["every", RAY.name] = "listens on every interface, and `unshare --net` is not allowed here"
    return [one for one in contestants if one[0] is not RAY]


def main() -> int:
    """Install, measure, tell."""
    asked, results = options(), Results()
    contestants = alone(chosen(asked.peers, results), results)
    progress = Console(stderr=True).status("...")
    with tempfile.TemporaryDirectory(prefix="rw") as folder, progress:
        models = [write_model(name, Path(folder)) for name in asked.models.split(",")]
        for model in models:
            these = [one for one in contestants if runs_on(one[0], model.name)]
            measure(results, model, these, Path(folder), asked.rounds, asked.seconds, progress.update)
    conditions = {"features": features_on(), "load_average": os.getloadavg()[1], "seconds": asked.seconds}
    names = tuple(peer.name for peers in PEERS.values() for peer in peers)
    first = headline(results, FULL.name, names, conditions)
    console = Console()
    console.width = max(console.width, 180)
    show(console, results, models, first, {one.name: one.about for one, _ in contestants})
    print(msgspec.json.encode([*first, *details(results, FULL.name, names)]).decode())
    return int(any(name in {one.name for one in (*CONSTANTS, *OURS)} for _, name in results.absent))


if __name__ == "__main__":
    sys.exit(main())
