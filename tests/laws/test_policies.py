"""Every policy in the catalog obeys the laws, and the laws catch policies that do not."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from roadworthy.core.wire import Handler, Request, Response, Step, Tensor
from roadworthy.route.base import policy
from roadworthy.testing.policies import check_policy

# How each is set up to choose between a cheap and a dear model without a file that was fitted.
SET_UP = {
    "cascade": {"levels": [{"at": "cheap", "low": 0.2, "high": 0.8}, {"at": "dear"}]},
    "routed": {"when": "after", "confidence": 0.7},
    "precision": {},
}
MORE = {
    "a cascade by confidence": ("cascade", {"levels": [{"at": "cheap", "least": 0.7}, {"at": "dear"}], "audit": 0.5}),
    "a cascade that fails with its last level": ("cascade", {**SET_UP["cascade"], "outage": "fail"}),
    "a cascade with a cap": ("cascade", {**SET_UP["cascade"], "cap": {"share": 0.2}}),
    "a router with comparisons": ("routed", {**SET_UP["routed"], "audit": 0.5, "explore": 0.2, "usd_per_hour": 9.0}),
}


def made(name: str, settings: dict[str, Any]) -> Any:
    return policy.make({name: settings}) if settings else policy.make(name)


@pytest.mark.parametrize("name", sorted(set(policy) - {"split"}))
def test_every_policy_among_members_obeys_the_laws(name: str) -> None:
    assert name in SET_UP, f"say in SET_UP how {name!r} chooses between two members"
    check_policy(name, made(name, SET_UP[name]))


@pytest.mark.parametrize("what", MORE)
def test_other_set_ups_obey_them_too(what: str) -> None:
    check_policy(what, made(*MORE[what]))


def other_id(handlers: dict[str, Handler]) -> Handler:
    async def asked(request: Request) -> Response:
        return replace(await handlers["cheap"](request), id="mine")

    return asked


def unnamed(handlers: dict[str, Handler]) -> Handler:
    return handlers["dear"]


def reversed_rows(handlers: dict[str, Handler]) -> Handler:
    async def asked(request: Request) -> Response:
        found = await handlers["cheap"](request)
        tensor = found.outputs["probability"]
        turned = {"probability": replace(tensor, data=tensor.data[::-1])}
        return replace(found, outputs=turned, path=(Step("cheap", "the only one"),))

    return asked


def forgetful(handlers: dict[str, Handler]) -> Handler:
    async def asked(request: Request) -> Response:
        found = await handlers["cheap"](request)
        first = Tensor("probability", "FP64", (min(1, request.n),), found.outputs["probability"].data[:1])
        return replace(found, outputs={"probability": first}, path=(Step("cheap", "the only one"),))

    return asked


def generous(handlers: dict[str, Handler]) -> Handler:
    async def asked(request: Request) -> Response:
        found = await handlers["cheap"](request)
        await handlers["dear"](request)
        return replace(found, path=(Step("cheap", "the only one"),))

    return asked


def blind(handlers: dict[str, Handler]) -> Handler:
    async def asked(request: Request) -> Response:
        found = await handlers["cheap"](Request(request.id, request.inputs, request.at))
        return replace(found, path=(Step("cheap", "the only one"),))

    return asked


FAULTY = {
    "does not hand on `key`": blind,
    "bills 0.001 for calls that cost 0.011": generous,
    "with the id 'mine'": other_id,
    "by 'dear', which its way does not name": unnamed,
    "which no member said of it": reversed_rows,
    "answers (1,) to 3 rows": forgetful,
}


@pytest.mark.parametrize("law", FAULTY)
def test_a_faulty_policy_is_caught_by_its_law(law: str) -> None:
    with pytest.raises(AssertionError) as caught:
        check_policy("faulty", FAULTY[law])
    assert law in str(caught.value)
