"""Rollups are what was counted in each minute of records: requests, errors and sketches of seconds."""

from __future__ import annotations

from msgspec import Struct


class Series(Struct, frozen=True):
    """Minutes in a row, of one release, arm and tag."""

    minutes: tuple[int, ...] = ()
