"""Roadworthy takes a machine-learning model from the lab to production and keeps it honest there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "Claim": "roadworthy.core.measure",
    "Measurement": "roadworthy.core.measure",
    "Requirement": "roadworthy.core.measure",
    "Verdict": "roadworthy.core.measure",
    "judge": "roadworthy.core.measure",
    "Handler": "roadworthy.core.wire",
    "Request": "roadworthy.core.wire",
    "Response": "roadworthy.core.wire",
    "Tensor": "roadworthy.core.wire",
    "Record": "roadworthy.core.record",
    "Release": "roadworthy.core.artifact",
    "Spec": "roadworthy.core.spec",
}
__all__ = [*_HOMES, "__version__"]

if TYPE_CHECKING:
    from roadworthy.core.artifact import Release as Release
    from roadworthy.core.measure import Claim as Claim
    from roadworthy.core.measure import Measurement as Measurement
    from roadworthy.core.measure import Requirement as Requirement
    from roadworthy.core.measure import Verdict as Verdict
    from roadworthy.core.measure import judge as judge
    from roadworthy.core.record import Record as Record
    from roadworthy.core.spec import Spec as Spec
    from roadworthy.core.wire import Handler as Handler
    from roadworthy.core.wire import Request as Request
    from roadworthy.core.wire import Response as Response
    from roadworthy.core.wire import Tensor as Tensor


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'roadworthy' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
