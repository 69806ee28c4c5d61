"""Real requests over HTTP, at the times of an open-loop schedule, by callers of many kinds."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from roadworthy.app.client import Remote
from roadworthy.core.errors import RoadworthyError
from roadworthy.core.wire import Request, Tensor

RATE = 140.0
TENANTS = ("acme", "birch", "cobalt", "delta", "ember", "fjord", "grove", "heron")
REGIONS = ("eu", "us", "asia", "africa")
CLIENTS = ("web", "ios", "android")
KINDS = ("ask", "sum", "sort", "chat", "code")
LETTERS = "the quick brown fox jumps over a lazy dog and goes home by the river "


@dataclass(frozen=True)
class Blend:
    """Who asks for what: the share of each tenant, region, client and kind, how long texts are, how many are repeated.

    `lengths` multiplies the median number of letters of a tenant, or of all ("").
    """

    tenants: Mapping[str, float] = field(
        default_factory=lambda: dict(zip(TENANTS, (0.24, 0.2, 0.15, 0.12, 0.1, 0.08, 0.06, 0.05), strict=True))
    )
    regions: Mapping[str, float] = field(
        default_factory=lambda: dict(zip(REGIONS, (0.45, 0.3, 0.15, 0.1), strict=True))
    )
    clients: Mapping[str, float] = field(default_factory=lambda: dict(zip(CLIENTS, (0.5, 0.3, 0.2), strict=True)))
    kinds: Mapping[str, float] = field(
        default_factory=lambda: dict(zip(KINDS, (0.35, 0.25, 0.2, 0.12, 0.08), strict=True))
    )
    lengths: float = 1.0
    repeated: float = 0.5

    def more_of(self, what: str, value: str, share: float) -> Blend:
        """The same, but a given share of one tenant, region, client or kind."""
        shares = dict(getattr(self, what))
        rest = 1 - shares[value]
        moved = {name: old * (1 - share) / rest for name, old in shares.items()} | {value: share}
        return replace(self, **{what: moved})


# Some tenants write longer texts than others, and some kinds of work need longer ones.
LONGER = {"birch": 1.3, "fjord": 6.0, "heron": 8.0, "chat": 1.2, "code": 4.0}


async def drive(url: str, blend: Blend, seconds: float, rng: np.random.Generator, first: int) -> int:
    """Ask for so long; how many were asked. Refused ones are the server's rows, not ours."""
    due = np.cumsum(rng.exponential(1 / RATE, int(RATE * seconds * 2)))
    due = due[due < seconds]
    loop = asyncio.get_running_loop()
    began, waiting = loop.time(), []
    async with Remote(url, "reader", connections=32, pipelined=8) as remote:
        for k, at in enumerate(due.tolist()):
            delay = began + at - loop.time()
            if delay > 0:
                await asyncio.sleep(delay)
            waiting.append(asyncio.ensure_future(_ask(remote, request_of(blend, rng, first + k))))
        await asyncio.gather(*waiting)
    return len(due)


async def _ask(remote: Remote, request: Request) -> None:
    try:
        await remote(request)
    except RoadworthyError as refused:
        print("refused:", refused)


def request_of(blend: Blend, rng: np.random.Generator, k: int) -> Request:
    """One request. A repeated one is one of 60 texts of its tenant and kind, which the cache may know."""
    tenant, region = _draw(blend.tenants, rng), _draw(blend.regions, rng)
    client, kind = _draw(blend.clients, rng), _draw(blend.kinds, rng)
    usual = 250 * LONGER.get(tenant, 1.0) * LONGER.get(kind, 1.0)
    if rng.random() < blend.repeated:
        drawn = np.random.default_rng([TENANTS.index(tenant), KINDS.index(kind), int(rng.integers(4))])
        text = _text(drawn, usual, "repeated")
    else:
        text = _text(rng, usual * blend.lengths, str(k))
    tensors = {
        "text": Tensor("text", "BYTES", (1,), [text]),
        "kind": Tensor("kind", "BYTES", (1,), [kind]),
    }
    tags = {"tenant": tenant, "account": f"acct-{TENANTS.index(tenant)}", "region": region, "client": client}
    return Request(f"w{k:07d}", tensors, 0.0, key=f"user-{int(rng.integers(5000))}", tags=tags)


def _text(rng: np.random.Generator, usual: float, ending: str) -> str:
    letters = int(np.clip(usual * rng.lognormal(0.0, 0.5), 20, 8000))
    return (LETTERS * (letters // len(LETTERS) + 1))[: letters - len(ending)] + ending


def _draw(shares: Mapping[str, float], rng: np.random.Generator) -> str:
    return str(list(shares)[int(rng.choice(len(shares), p=np.array(list(shares.values())) / sum(shares.values())))])
