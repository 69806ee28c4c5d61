"""Which answer belongs to a method and a path: a dictionary of exact paths and a short table of prefixes."""

from __future__ import annotations

from roadworthy.app.exchange import Answer, Refused
from roadworthy.core.errors import Missing, nearest


class Routes:
    """`routes.add("POST", "/predict", answer)`; a path that ends in `*` is a prefix, and the longest one wins."""

    def __init__(self) -> None:
        self._exact: dict[bytes, dict[bytes, Answer]] = {}
        self._prefixes: list[tuple[bytes, dict[bytes, Answer]]] = []

    def add(self, method: str, path: str, answer: Answer) -> None:
        """A GET answers HEAD too."""
        methods = self._of(path.encode())
        methods[method.encode()] = answer
        if method == "GET":
            methods.setdefault(b"HEAD", answer)

    def find(self, method: bytes, path: bytes) -> Answer:
        """The answer for a call. Raises Missing (404), or Refused (405) where the path has other methods."""
        methods = self._exact.get(path)
        if methods is None:
            methods = next((found for prefix, found in self._prefixes if path.startswith(prefix)), None)
        if methods is None:
            raise Missing(f"no path {_text(path)!r} here{nearest(_text(path), map(_text, self._exact))}")
        answer = methods.get(method)
        if answer is None:
            allowed = ", ".join(map(_text, sorted(methods)))
            raise Refused(405, f"{_text(path)!r} takes {allowed}, not {_text(method)}")
        return answer

    def _of(self, path: bytes) -> dict[bytes, Answer]:
        if not path.endswith(b"*"):
            return self._exact.setdefault(path, {})
        for prefix, methods in self._prefixes:
            if prefix == path[:-1]:
                return methods
        self._prefixes.append((path[:-1], {}))
        self._prefixes.sort(key=lambda pair: -len(pair[0]))
        return self._of(path)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
