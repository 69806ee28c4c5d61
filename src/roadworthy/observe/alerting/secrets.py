"""Secrets stand in the environment: a project file names the variable, and no repr, event or plan shows the value."""

from __future__ import annotations

import os

from roadworthy.core.errors import Denied, SpecError

PREFIX = "env:"


def check_secret(setting: str, given: str) -> None:
    """Refuse a secret that is written out. Raises SpecError."""
    if given and not given.startswith(PREFIX):
        raise SpecError(f"`{setting}` is a secret: write `{setting}: {PREFIX}NAME`, and set NAME in the environment")


def revealed(given: str) -> str:
    """What `env:NAME` stands for; other text is itself. Raises Denied where the variable is not set."""
    if not given.startswith(PREFIX):
        return given
    name = given.removeprefix(PREFIX)
    if not os.environ.get(name):
        raise Denied(f"the environment has no {name!r}, which `{given}` stands for: set it where the server starts")
    return os.environ[name]
