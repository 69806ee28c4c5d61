"""A budget in dollars holds for a deployment, however many processes answer for it, and however often they die."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from roadworthy.app.deployment import Deployment
from roadworthy.app.mixture import Mixture
from roadworthy.app.spending import Spending
from roadworthy.core.artifact import Artifact, Member, Release
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Request, Response, Tensor
from roadworthy.registry.releases import Registry
from roadworthy.route.answering.cap import Cap
from roadworthy.route.answering.climb import Climb
from roadworthy.route.answering.levels import Level
from roadworthy.route.policies.cascade import Cascade
from roadworthy.route.policies.routed import Routed
from roadworthy.store.state import State
from roadworthy.testing.two_models import Coin, TopicRouter, both

NOW = 1.7e9
BUDGET = 10
LEVELS = [{"at": "small", "low": 0.2, "high": 0.8}, {"at": "large"}]


def ask(number: int) -> Request:
    return Request(f"r{number}", {"x": Tensor("x", "FP32", (1,), [1.0])}, at=1.0)


def release(state: State, folder: Path, name: str = "toy") -> str:
    """Its small model is never sure, its large one costs a dollar a row, and ten of them are allowed in an hour."""
    files = {}
    for member, answer in (("small", "0.5"), ("large", "0.9")):
        files[member] = folder / f"{member}.txt"
        files[member].write_text(answer)
    policy = {"cascade": {"levels": LEVELS, "cap": {"usd_per_hour": float(BUDGET)}}}
    artifacts = tuple(Artifact(member, "", 0, engine="toy.py:Toy") for member in files)
    members = (Member("small", usd_per_1k=1e-6), Member("large", usd_per_1k=1000.0))
    signature = Signature({"x": Field()}, {"probability": Field()})
    made = Release(name, artifacts, signature, members=members, policy=policy)
    return Registry(state).add(made, files).digest


@pytest.fixture
def deployment(both_states: State, spec: Any, tmp_path: Path) -> Callable[..., Deployment]:
    """`deployment()` is one process's of an application whose cascade may spend ten dollars an hour."""
    Registry(both_states).point("toy", "stable", release(both_states, tmp_path), 1.0, "test", "first")

    def one(at: float = NOW) -> Deployment:
        return Deployment(both_states, Registry(both_states), spec, "toy", now=lambda: at)

    return one


async def dear(one: Deployment, *numbers: int) -> int:
    """How many of these requests went to the large model."""
    found = [await one(ask(number)) for number in numbers]
    return sum(bought(answer) for answer in found)


def bought(answer: Response) -> bool:
    last = answer.path[-1]
    assert last.at == "large"
    assert (answer.usd or 0.0) >= 1.0 or "USD an hour are spent" in last.because
    return (answer.usd or 0.0) >= 1.0


def test_two_deployments_of_one_store_keep_one_budget(deployment):
    async def main() -> list[int]:
        one, two = deployment(), deployment()
        sent = []
        for number in range(0, 24, 2):
            for each in (one, two):
                await each.sync()
                sent.append(await dear(each, number))
                assert each.untidy == bool(sent[-1]), "the server is told that there is something to tell"
                await each.sync()
                assert not each.untidy
        await one.close()
        await two.close()
        return sent

    assert asyncio.run(main()) == [1] * BUDGET + [0] * (24 - BUDGET)


def test_it_is_exceeded_by_no_more_than_what_is_spent_between_two_syncs(deployment):
    async def main() -> int:
        several = [deployment() for _ in range(3)]
        sent = 0
        for _ in range(6):
            for each in several:
                await each.sync()
            for each in several:
                sent += await dear(each, *range(2))
        for each in several:
            await each.close()
        return sent

    assert BUDGET <= asyncio.run(main()) <= BUDGET + 3 * 2


def test_whoever_starts_anew_remembers_the_hour_and_an_hour_later_there_is_room_again(deployment):
    async def lived(at: float) -> int:
        one = deployment(at)
        await one.sync()
        sent = await dear(one, *range(7))
        await one.close()
        return sent

    assert [asyncio.run(lived(at)) for at in (NOW, NOW + 60, NOW + 120)] == [7, 3, 0]
    assert asyncio.run(lived(NOW + 61 * 60)) == 7
    assert asyncio.run(lived(NOW + 62 * 60)) == 3


def test_another_release_of_the_deployment_draws_on_the_same_budget(deployment, both_states, tmp_path):
    async def main() -> list[int]:
        one = deployment()
        await one.sync()
        sent = [await dear(one, *range(6))]
        successor = release(both_states, tmp_path, "successor")
        Registry(both_states).point("toy", "stable", successor, 2.0, "test", "second")
        assert await one.sync()
        sent.append(await dear(one, *range(6)))
        await one.close()
        return sent

    assert asyncio.run(main()) == [6, 4]


def test_while_the_store_is_away_each_goes_on_with_what_it_knew_and_tells_it_later(deployment, both_states, caplog):
    def rename(one: str, other: str) -> None:
        with both_states.engine.begin() as connection:
            connection.execute(text(f"ALTER TABLE {one} RENAME TO {other}"))

    async def main() -> list[int]:
        one, two = deployment(), deployment()
        await one.sync()
        await two.sync()
        sent = [await dear(one, *range(4))]
        await one.sync()
        await two.sync()
        rename("spending", "away")
        sent += [await dear(one, *range(7)), await dear(two, *range(7))]
        for _ in range(3):
            await one.sync()
        assert one.untidy
        rename("away", "spending")
        for each in (one, two, one):
            await each.sync()
        assert not one.untidy
        sent += [await dear(one, 1), await dear(two, 1)]
        await one.close()
        await two.close()
        three = deployment()
        await three.sync()
        sent.append(await dear(three, 1))
        await three.close()
        return sent

    # Six were left when it went away, which each of them spends.
    assert asyncio.run(main()) == [4, 6, 6, 0, 0, 0]
    assert caplog.text.count("cannot be shared") == 1


PROCESS = """
import asyncio, sys
from pathlib import Path
from roadworthy.app.deployment import Deployment
from roadworthy.core.spec import *
from roadworthy.core.wire import Request, Tensor
from roadworthy.registry.releases import Registry
from roadworthy.store.state import State

async def main(state):
    root = Path(sys.argv[1])
    spec = Spec(
        Application("toy", "binary", {"x": Field()}),
        Data(Columns("y"), "lab.parquet", "production.parquet"),
        ModelSpec("model.txt", "toy.py:Toy"),
        serving=Serving(durability="process"),
        root=root,
    )
    one = Deployment(state, Registry(state), spec, "toy", now=lambda: 1.7e9)
    number = 0
    for line in sys.stdin:
        await one.sync()
        sent = 0
        for _ in range(int(line)):
            number += 1
            found = await one(Request(f"{sys.argv[3]}{number}", {"x": Tensor("x", "FP32", (1,), [1.0])}, at=1.0))
            sent += found.usd >= 1.0
        await one.sync()
        print(sent, flush=True)

with State.open(Path(sys.argv[1]) / "state", "process", metadata=sys.argv[2]) as state:
    asyncio.run(main(state))
"""


def test_two_processes_keep_one_budget_and_what_a_dead_one_spent_still_counts(deployment, metadata_url, tmp_path):
    def process(name: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", PROCESS, str(tmp_path), metadata_url, name]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def spend(by: subprocess.Popen[str], rows: int) -> int:
        assert by.stdin is not None
        assert by.stdout is not None
        by.stdin.write(f"{rows}\n")
        by.stdin.flush()
        return int(by.stdout.readline())

    one, two = process("one"), process("two")
    try:
        assert [spend(one, 3), spend(two, 4)] == [3, 4]
        one.send_signal(signal.SIGKILL)
        one.wait()
        again = process("again")
        try:
            assert [spend(again, 9), spend(two, 9)] == [3, 0]
        finally:
            again.kill()
            again.communicate()
    finally:
        for each in (one, two):
            each.kill()
            each.communicate()


def climbing(usd_per_hour: float | None) -> Climb:
    async def answer(request: Request) -> Response:
        return Response(request.id, {"p": Tensor("p", "FP32", (1,), [0.5])})

    settings = Cascade(
        (Level("small", low=0.2, high=0.8), Level("large")),
        cap=Cap(0.5, usd_per_hour=usd_per_hour),
        usd_per_1k={"large": 1.0},
    )
    return settings({"small": answer, "large": answer})


def test_comparisons_of_a_router_keep_a_budget_of_their_own(state):
    def routing() -> Any:
        settings = Routed(usd={"small": 1.0, "large": 10.0}, audit=0.999, usd_per_day=25.0)
        return settings.over(both(Coin([0.9]), Coin([0.9], "other_luck")), TopicRouter([0.0]))

    one, two, cascade = routing(), routing(), climbing(100.0)
    cascade.granting.pay(50.0)

    async def main() -> None:
        spending = [Spending(state.engine, "toy", lambda: NOW) for _ in range(2)]
        one.granting.pay(10.0)
        await spending[0].sync({"a": Mixture((one,), {}), "b": Mixture((cascade,), {})})
        await spending[1].sync({"a": Mixture((two,), {})})
        assert two.granting.allows(15.0)
        assert not two.granting.allows(15.1)
        assert cascade.granting.allows(50.0)

    asyncio.run(main())


def test_what_has_no_limit_is_not_told(state):
    async def main() -> bool:
        spending = Spending(state.engine, "toy", lambda: NOW)
        await spending.sync({"a": Mixture((climbing(None),), {})})
        return spending.behind

    assert asyncio.run(main()) is False


def test_others_are_heard_anew_once_a_minute_though_nobody_spends(state):
    at = [NOW]

    async def main() -> list[bool]:
        spending, told = Spending(state.engine, "toy", lambda: at[0]), []
        loaded = {"a": Mixture((climbing(5.0),), {})}
        for at[0] in (NOW, NOW + 1, NOW + 61):
            told.append(spending.behind)
            await spending.sync(loaded)
            assert not spending.behind
        return told

    assert asyncio.run(main()) == [False, False, True]


def test_a_handler_that_is_let_go_tells_its_last_and_is_forgotten(state):
    async def main() -> None:
        one, two = (Spending(state.engine, "toy", lambda: NOW) for _ in range(2))
        gone, stays = climbing(5.0), climbing(5.0)
        await one.sync({"a": Mixture((gone,), {})})
        gone.granting.pay(4.0)
        await one.sync({})
        await two.sync({"a": Mixture((stays,), {})})
        assert not stays.granting.allows(1.1)
        forgotten = weakref.ref(gone.granting)
        del gone
        gc.collect()
        assert forgotten() is None

    asyncio.run(main())
