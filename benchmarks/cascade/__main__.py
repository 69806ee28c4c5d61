"""Cascades: how often a guarantee is broken and what share of rows is sent on; then one served over HTTP.

`python benchmarks/cascade --data PATH`; the last line is JSON. It exits with 1 where a bound is missed.
"""

from __future__ import annotations

import argparse
import sys
import time
from importlib import import_module
from pathlib import Path

import guarantees_part
import msgspec

from roadworthy.core.measure import Measurement, Requirement, judge

BOUNDS = (
    Requirement("violations_over_delta", at_most=1.0),
    Requirement("delegation_boolq", at_most=0.45),
    Requirement("delegation_imdb", at_most=0.75),
    Requirement("delegation_sst2", at_most=0.22),
    Requirement("stream_violations_over_delta", at_most=1.0),
    Requirement("stream_agreement_violations_over_delta", at_most=1.0),
)


def served(data: Path) -> list[Measurement]:
    """The figures of a cascade over HTTP."""
    return list(import_module("http_part").measure(data))


def bounds(skip_http: bool) -> tuple[Requirement, ...]:
    """What is required of what was measured."""
    more = () if skip_http else import_module("http_part").BOUNDS
    return (*BOUNDS, *more)


def main() -> None:
    """Measure, print the tables and, as the last line, the measurements."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="the folder that has cascade/*.csv")
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--skip-http", action="store_true", help="the guarantees only")
    given = parser.parse_args()
    begin = time.process_time()
    found = guarantees_part.measure(given.data, given.seeds)
    spent = time.process_time() - begin
    found += [] if given.skip_http else served(given.data)
    by_name = {m.name: m for m in reversed(found)}
    judged = [judge(by_name[bound.metric], bound) for bound in bounds(given.skip_http)]
    words = {"pass": "met", "fail": "MISSED", "wait": "its interval lies on both sides"}
    print("\nbounds:", *(f"  {v.because}: {words[v.decision]}" for v in judged), sep="\n")
    print(f"  ({spent:.0f} s of CPU for the guarantees)")
    print(msgspec.json.encode(found).decode())
    sys.exit(1 if any(v.decision == "fail" for v in judged) else 0)


if __name__ == "__main__":
    main()
