"""The JSON Schema of a gap report: `python -m roadworthy.evaluate.reports.schema > docs/gap-report.schema.json`."""

from __future__ import annotations

import json
import sys
from typing import Any

import msgspec

from roadworthy.evaluate.reports.report import GapReport

TITLE = "Roadworthy gap report"


def schema() -> str:
    """The schema as it stands in docs/. A number may be null: JSON has no word for what is infinite or unknown."""
    tree = _nullable(msgspec.json.schema(GapReport))
    tree = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": TITLE, **tree}
    return json.dumps(tree, indent=2, sort_keys=True) + "\n"


def _nullable(tree: Any) -> Any:
    if isinstance(tree, list):
        return [_nullable(part) for part in tree]
    if not isinstance(tree, dict):
        return tree
    # A Struct's docstring is wrapped for the source; a schema's reader wants it on one line.
    found = {
        key: " ".join(part.split()) if key == "description" and isinstance(part, str) else _nullable(part)
        for key, part in tree.items()
    }
    return {**found, "type": ["number", "null"]} if found.get("type") == "number" else found


if __name__ == "__main__":
    sys.stdout.write(schema())
