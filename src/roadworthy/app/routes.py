"""Which answer belongs to a method and a path: a dictionary of exact paths and a short table of prefixes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from roadworthy.app.exchange import Answer, Call, Refused, Reply
from roadworthy.core.errors import Missing, nearest

if TYPE_CHECKING:
    from roadworthy.app.head import Head


class NotAllowed(Refused):
    """A method that a path does not take; `headers` name those that it takes."""

    def __init__(self, path: bytes, method: bytes, methods: tuple[bytes, ...]) -> None:
        allowed = b", ".join(methods)
        super().__init__(405, f"{_text(path)!r} takes {_text(allowed)}, not {_text(method)}")
        self.headers = ((b"allow", allowed),)


class Routes:
    """`routes.add("POST", "/predict", answer)`; a path that ends in `*` is a prefix, and the longest one wins.

    `known` holds the heads of requests that were seen before, as bytes, with what they mean; a new route empties it.
    """

    def __init__(self) -> None:
        self.known: dict[bytes, Head] = {}
        self._exact: dict[bytes, dict[bytes, Answer]] = {}
        self._prefixes: list[tuple[bytes, dict[bytes, Answer]]] = []

    def add(self, method: str, path: str, answer: Answer) -> None:
        """A GET answers HEAD too, and every path tells OPTIONS what it takes."""
        methods = self._of(path.encode())
        methods[method.encode()] = answer
        if method == "GET":
            methods.setdefault(b"HEAD", answer)
        self.known.clear()

    def find(self, method: bytes, path: bytes) -> Answer:
        """The answer for a call. Raises Missing (404), or NotAllowed (405) where the path has other methods."""
        methods = self._exact.get(path)
        if methods is None:
            methods = next((found for prefix, found in self._prefixes if path.startswith(prefix)), None)
        if methods is None:
            if method == b"OPTIONS" and path == b"*":
                return _taking(tuple({name for methods in self._exact.values() for name in methods}))
            raise Missing(f"no path {_text(path)!r:.200} here{nearest(_text(path[:200]), map(_text, self._exact))}")
        answer = methods.get(method)
        if answer is not None:
            return answer
        if method == b"OPTIONS":
            return _taking(tuple(methods))
        raise NotAllowed(path, method, tuple(sorted(methods)))

    def _of(self, path: bytes) -> dict[bytes, Answer]:
        if not path.endswith(b"*"):
            return self._exact.setdefault(path, {})
        for prefix, methods in self._prefixes:
            if prefix == path[:-1]:
                return methods
        self._prefixes.append((path[:-1], {}))
        self._prefixes.sort(key=lambda pair: -len(pair[0]))
        return self._of(path)


def _taking(methods: tuple[bytes, ...]) -> Answer:
    """What OPTIONS is answered: nothing but the methods that there are."""
    allowed = b", ".join(sorted({*methods, b"OPTIONS"}))

    async def answer(call: Call) -> Reply:
        return Reply(200, headers=((b"allow", allowed),))

    return answer


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
