"""Finds what is wrong with the members and the policy of a project file: models that are to answer together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from roadworthy.core.catalog import Catalog, read_plan
from roadworthy.core.errors import SpecError
from roadworthy.core.named_files import Place
from roadworthy.core.spec import MemberSpec, ModelSpec, Spec

# Names of artifacts that mean something else.
TAKEN = ("model", "policy")
_NAME = re.compile(r"[A-Za-z0-9][\w-]*")


def member_faults(spec: Spec, catalogs: Mapping[str, Catalog[Any]]) -> Iterable[tuple[Place, str]]:
    """Each place in `model` that does not go with the others, with a sentence."""
    model = spec.model
    if not model.members:
        yield from _without_members(model)
        return
    if len(model.members) < 2:
        yield ("model", "members"), "`model.members` has one model only; write two or more, or `model.file`"
    if not model.policy:
        yield ("model", "members"), "`model.members` needs `model.policy`, which chooses among them, as `cascade`"
    for key in ("file", "engine", "train"):
        if getattr(model, key):
            yield ("model", key), f"`model.{key}` is of one model, and there are `members`: leave one of the two out"
    for name, member in model.members.items():
        place: Place = ("model", "members", name)
        yield from ((place, fault) for fault in _faults(name, member, catalogs.get("engine")))


def _without_members(model: ModelSpec) -> Iterable[tuple[Place, str]]:
    for key in ("policy", "policy_file"):
        if getattr(model, key):
            yield ("model", key), f"`model.{key}` chooses among `model.members`, and there are none: write two or more"


def _faults(name: str, member: MemberSpec, engines: Catalog[Any] | None) -> Iterable[str]:
    if name in TAKEN or not _NAME.fullmatch(name):
        what = "letters, digits, `_` and `-`, and neither " + " nor ".join(map(repr, TAKEN))
        yield f"the member {name!r} cannot be called so; allowed: {what}"
    if member.usd_per_1k < 0:
        yield f"`usd_per_1k` of member {name!r} must be 0 or more, found {member.usd_per_1k!r}"
    if not member.file and not _runs_elsewhere(member.engine, engines):
        yield f"the member {name!r} has no `file`, and no engine that asks a model elsewhere, as `remote` does"


def _runs_elsewhere(plan: Any, engines: Catalog[Any] | None) -> bool:
    """Can an engine do without a file? Code of the project and unknown engines are not looked at here."""
    if not plan:
        return False
    name, _ = read_plan(plan)
    if engines is None or ":" in name:
        return True
    try:
        return bool(getattr(engines.get(name), "waits", False))
    except SpecError:
        return True
