"""A real server with a hanging candidate in its shadow: nobody who asks stable notices, and the end is told."""

from __future__ import annotations

import asyncio

from roadworthy.app.client import Admin, Remote
from roadworthy.core.spec import Rollout, Stage
from roadworthy.core.wire import Request, Tensor
from roadworthy.registry.releases import Registry
from roadworthy.rollout.controller import Controller


def ask(id: str) -> Request:
    return Request(id, {"x": Tensor("x", "FP32", (1,), [1.0])}, at=1.0)


def test_stable_answers_while_the_shadow_hangs_and_after_it_is_withdrawn(state, spec, made, start, until, tmp_path):
    stable, other = made("0.25"), made(f"0.75 {tmp_path / 'go'}")  # it waits for a file that nobody makes
    Registry(state).point("toy", "stable", stable, 1.0, "test", "first")
    controller = Controller(state, Registry(state))
    controller.start("toy", other, Rollout((Stage("shadow"),), ()), 2.0, "test")
    process, address = start()
    admin = Admin(address.admin_url)

    async def asked(n: int, prefix: str):
        async with Remote(address.url, "toy") as remote:
            return [await asyncio.wait_for(remote(ask(f"{prefix}{i}")), 10) for i in range(n)]

    answers = asyncio.run(asked(80, "r"))
    assert {(a.arm, a.release) for a in answers} == {("stable", stable)}
    until(lambda: admin.status()["shadow"]["mirrored"] == 64)
    told = admin.status()
    assert (told["shadow"]["seen"], told["shadow"]["in_flight"], told["shadow"]["failed"]) == (80, 80, 0)
    controller.abort("toy", 3.0, "test", "it hangs")
    until(lambda: admin.status()["traffic"]["candidate"] is None)
    assert len(asyncio.run(asked(5, "later"))) == 5
    assert process.poll() is None
    counts = {(row["release"], row["arm"]): row["records"] for row in admin.status()["counts"]}
    assert counts == {(stable, "stable"): 85}
