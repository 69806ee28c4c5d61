"""What the laws of several kinds of leaves ask alike: how one is made, what it draws, what it leaves as it was."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.sample import Sample


def example_of(leaf: type, default: Callable[[], Any], returns: str) -> Any:
    """What the class makes of itself by `example()`, or else `default` of it. Raises AssertionError saying what to add.

    `returns` says in words what `example()` must return.
    """
    given = getattr(leaf, "example", None)
    if given is not None:
        return given()
    try:
        return default()
    except TypeError as wrong:
        raise AssertionError(
            f"{leaf.__name__} cannot be made by its defaults ({wrong}): add `@classmethod def example(cls)` "
            f"that returns {returns}"
        ) from wrong


def check_no_global_chance(made: object, act: Callable[[], object]) -> None:
    """Nothing that `act` does with `made` is drawn from the generators that the whole process shares."""
    states = random.getstate(), np.random.get_state()
    try:
        # A state of our own: a leaf that seeds the shared generator would else leave the state that it found.
        random.seed("law")
        np.random.seed(8191)
        before = random.getstate(), repr(np.random.get_state())
        act()
        assert random.getstate() == before[0], f"{made!r} draws from `random`; take chance from the `rng` it is given"
        drawn = repr(np.random.get_state()) != before[1]
        assert not drawn, f"{made!r} draws from `numpy.random`; take chance from the `rng` it is given"
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])


def around(sample: Sample) -> dict[str, NDArray[Any] | None]:
    """What of a sample is no input: its labels, times, ids and tags."""
    tags: Mapping[str, NDArray[Any]] = {f"tag {name}": values for name, values in sample.tags.items()}
    return {"labels": sample.labels, "at": sample.at, "known_at": sample.known_at, "ids": sample.ids, **tags}


def differing(one: Mapping[str, Any], other: Mapping[str, Any], same_type: bool = True) -> list[str]:
    """The names of `one` under which `other` holds something else, or nothing."""
    return [name for name in one if name not in other or not equal(one[name], other[name], same_type)]


def equal(one: NDArray[Any] | None, other: NDArray[Any] | None, same_type: bool = True) -> bool:
    """Do both hold the same values, a null being one? And of the same type, unless that is all the same."""
    if one is None or other is None:
        return one is other
    if one.shape != other.shape or (same_type and one.dtype != other.dtype):
        return False
    return bool(np.all((one == other) | ((one != one) & (other != other))))
