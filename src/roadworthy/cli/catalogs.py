"""Finds every Catalog in the house: the `base.py` of each room says which kinds of leaf there are."""

from __future__ import annotations

import importlib
import importlib.util
import pkgutil

import roadworthy
from roadworthy.core.catalog import Catalog


def catalogs() -> dict[str, Catalog[object]]:
    """Each kind's name with its catalog: `detector`, `gate`, `engine`, ..."""
    found = {}
    for room in pkgutil.iter_modules(roadworthy.__path__):
        name = f"roadworthy.{room.name}.base"
        if room.ispkg and importlib.util.find_spec(name) is not None:
            things = vars(importlib.import_module(name)).values()
            found.update({thing.kind: thing for thing in things if isinstance(thing, Catalog)})
    return dict(sorted(found.items()))
