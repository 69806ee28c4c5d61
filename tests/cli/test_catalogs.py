"""Every kind of leaf is found by looking into the rooms."""

from __future__ import annotations

from roadworthy.cli.catalogs import catalogs
from roadworthy.observe.base import detector


def test_each_catalog_is_found_under_its_kind():
    found = catalogs()
    assert {"corruption", "detector", "engine", "gate", "metric", "policy", "wrapper"} <= set(found)
    assert all(catalog.kind == kind for kind, catalog in found.items())
    assert found["detector"] is detector


def test_no_catalog_is_empty():
    assert [kind for kind, catalog in catalogs().items() if not list(catalog)] == []
