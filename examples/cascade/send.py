"""Sends the images that arrive to a server over HTTP, one request each, and tells what the digits were.

`python send.py URL RUN [FIRST LAST]`: the images FIRST to LAST of the table (all), with ids that begin with RUN. What
the digits were goes to `data/RUN.csv`, which `roadworthy label --file` takes.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import polars as pl

HERE = Path(__file__).parent


def send(url: str, run: str, rows: pl.DataFrame) -> Counter[str]:
    """Ask about every row and write the labels; returns how many requests went which way."""
    line, ways = http.client.HTTPConnection(urlsplit(url).netloc), Counter[str]()
    for row in rows.iter_rows(named=True):
        asked = {
            "id": f"{run}-{row['id']}",
            "rows": [{"pixels": row["pixels"]}],
            "parameters": {"tags": {"scanner": row["scanner"]}},
        }
        line.request("POST", "/predict", json.dumps(asked))
        answer = line.getresponse()
        told = json.loads(answer.read())
        if answer.status != 200:
            raise SystemExit(f"{asked['id']}: {answer.status} {told}")
        ways[" -> ".join(step["at"] for step in told["path"])] += 1
    labels = pl.DataFrame({"id": [f"{run}-{id}" for id in rows["id"]], "value": rows["digit"]})
    labels.with_columns(at=pl.lit(time.time())).write_csv(HERE / "data" / f"{run}.csv")
    return ways


if __name__ == "__main__":
    url, run, *part = sys.argv[1:]
    first, last = (int(part[0]), int(part[1])) if part else (0, None)
    found = send(url, run, pl.read_parquet(HERE / "data" / "arriving.parquet")[first:last])
    print("\n".join(f"{n:5,} {way}" for way, n in sorted(found.items())))
