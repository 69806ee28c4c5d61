"""Posts JSON to a web address, which is how most sinks tell an alert."""

from __future__ import annotations

import urllib.request
from typing import Any

import msgspec


def post_json(url: str, body: Any, timeout_seconds: float) -> None:
    """Raises OSError when nobody answers, or answers with an error."""
    request = urllib.request.Request(url, msgspec.json.encode(body), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout_seconds):
        pass


def check_url(setting: str, url: str) -> None:
    """Refuse what is no web address, nor the name of a variable that holds one. Raises ValueError."""
    if not url.startswith(("http://", "https://", "env:")):
        raise ValueError(f"`{setting}` must start with http:// or https:// (or be env:NAME), got {url!r}")
