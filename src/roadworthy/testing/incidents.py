"""Records of a made-up service as `state.records.scan()` gives them, with a fault where one is wanted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

TENANTS = {"acme": 0.3, "birch": 0.3, "cobalt": 0.25, "delta": 0.15}
REGIONS = {"eu": 0.5, "us": 0.3, "asia": 0.2}
FIRST, SECOND = "aa" * 32, "bb" * 32


def frame(
    n: int,
    rng: np.random.Generator,
    since: float = 0.0,
    until: float = 600.0,
    *,
    tenants: Mapping[str, float] = TENANTS,
    slow: Mapping[str, str] | None = None,
    times: float = 3.0,
    host: float = 1.0,
    longer: float = 1.0,
    hits: float = 0.5,
    canary: float = 0.0,
    failing: float = 0.002,
) -> pl.DataFrame:
    """`n` rows, of which those that have all the tags of `slow` take `times` as long, and all rows `host` times.

    Texts are `longer` times as long as usual, a cache knows a share `hits` of the answers, and a release that is as
    quick as the other one answers a share `canary`. A slow release is `slow={"release": SECOND}`.
    """
    import polars as pl

    columns: dict[str, NDArray[Any]] = {
        "tenant": rng.choice(list(tenants), n, p=np.array(list(tenants.values())) / sum(tenants.values())),
        "region": rng.choice(list(REGIONS), n, p=list(REGIONS.values())),
        "release": np.where(rng.random(n) < canary, SECOND, FIRST),
    }
    # The largest tenant by far in what it asks for, so that more of it is dearer.
    letters = np.round(300 * longer * rng.lognormal(0.0, 0.5, n) * np.where(columns["tenant"] == "delta", 4, 1))
    hit = rng.random(n) < hits
    ill = np.ones(n, bool)
    for name, value in (slow or {"tenant": "nobody"}).items():
        ill &= columns[name] == value
    factor = host * np.where(ill, times, 1.0)
    model = (0.002 + 1e-5 * letters) * rng.lognormal(0.0, 0.2, n) * factor
    queue = rng.exponential(0.0005, n) * host
    total = np.where(hit, 0.001 * factor * rng.lognormal(0.0, 0.2, n), model + queue + 0.0003)
    chance = rng.random(n)
    return pl.DataFrame(
        {
            "id": [f"r{since:.0f}-{k}" for k in range(n)],
            "at": np.sort(rng.uniform(since, until, n)),
            "release": columns["release"],
            "arm": np.where(columns["release"] == SECOND, "canary", "stable"),
            "error": pl.Series([None if ok else "Late: too late" for ok in rng.random(n) >= failing], dtype=pl.String),
            "confidence": chance,
            "tokens": pl.Series(letters.astype(np.int64)),
            "usd": 1e-6 * letters,
            "label": (rng.random(n) < chance).astype(np.float64),
            "label_at": np.full(n, until),
            "seconds.queue": pl.Series(np.where(hit, np.nan, queue)).fill_nan(None),
            "seconds.model": pl.Series(np.where(hit, np.nan, model)).fill_nan(None),
            "seconds.total": total,
            "tags.tenant": columns["tenant"],
            "tags.account": [f"acct-{name}" for name in columns["tenant"]],
            "tags.region": columns["region"],
            "inputs.text length": letters,
            "outputs.probability": chance,
        }
    )
