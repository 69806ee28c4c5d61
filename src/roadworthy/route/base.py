"""A policy decides which of several handlers answers a request, and says why. The result is a Handler."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from roadworthy.core.catalog import Catalog
from roadworthy.core.wire import Handler


class Policy(Protocol):
    """Settings that turn named handlers into one. The choice is in `Response.arm` and, with its reason, in `path`."""

    def __call__(self, handlers: Mapping[str, Handler]) -> Handler: ...


policy: Catalog[Policy] = Catalog("policy", "roadworthy.route.policies")
