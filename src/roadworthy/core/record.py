"""One row: what a model was asked, what it answered, how sure it was, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from roadworthy.core.wire import Arm, Step


class Record(Struct, frozen=True, omit_defaults=True):
    """Every answered row of a request leaves one Record, failed ones too.

    `id` is the request's id, with `.k` behind it for row k of a request with several rows. Rows of several arms
    share the id (a shadow answers the same request), so (`id`, `arm`) is unique. `at` is Unix seconds.
    `inputs` and `outputs` map a name to one row's value. `seconds` holds stage timings. `label` joins later,
    `label_at` being the time at which it became known.
    """

    id: str
    at: float
    release: str
    arm: Arm
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    confidence: float | None = None
    prediction_set: tuple[str, ...] | None = None
    path: tuple[Step, ...] = ()
    seconds: Mapping[str, float] = field(default_factory=dict)
    tokens: int | None = None
    usd: float | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None
    label: float | None = None
    label_at: float | None = None


class Label(Struct, frozen=True, omit_defaults=True):
    """What became of a prediction: `value` of the record `id`, known since `at` (Unix seconds)."""

    id: str
    value: float
    at: float
    source: str = ""
