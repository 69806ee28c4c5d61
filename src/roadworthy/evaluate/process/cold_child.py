"""The child of a cold start: imports, loads and answers once after another, and says on stdout when each is done.

`python -m roadworthy.evaluate.process.cold_child my_pkg.models:load model.onnx --answers 50`. It imports next to
nothing itself, so that the import stage is that of the model alone.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any


def main(argv: Sequence[str] | None = None) -> None:
    """Import the factory's module, call the factory, and call what it gives `--answers` times."""
    say('"stage": "process"')
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("factory", help="`package.module:name` or `file.py:name`: called, it gives what answers once")
    parser.add_argument("arguments", nargs="*", help="what the factory is called with, as text")
    parser.add_argument("--answers", type=int, default=50)
    given = parser.parse_args(argv)
    place, _, name = given.factory.rpartition(":")
    factory = getattr(imported(place), name)
    say('"stage": "import"')
    with ExitStack() as stack:
        answer = plain(factory(*given.arguments), stack)
        say('"stage": "load"')
        for _ in range(given.answers):
            began = time.perf_counter()
            answer()
            say(f'"answer": {time.perf_counter() - began!r}')


def imported(place: str) -> Any:
    """The module of that name, or that the file holds."""
    import importlib.util

    if not place.endswith(".py"):
        return importlib.import_module(place)
    spec = importlib.util.spec_from_file_location("cold_start_file", place)
    if spec is None or spec.loader is None:
        raise ImportError(f"{place!r} cannot be loaded as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def plain(answer: Callable[[], Any], stack: ExitStack) -> Callable[[], Any]:
    """The same as a function that one need not await; coroutines run on one loop, which `stack` closes."""
    # What `inspect.iscoroutinefunction` looks at, without the cost of importing it.
    code = getattr(answer, "__code__", None) or getattr(getattr(answer, "__call__", None), "__code__", None)  # noqa: B004
    if code is None or not code.co_flags & 0x80:
        return answer
    import asyncio

    runner = stack.enter_context(asyncio.Runner())
    return lambda: runner.run(answer())


def say(mark: str) -> None:
    """One line of JSON, which is not to wait in a buffer."""
    sys.stdout.write(f"{{{mark}}}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
