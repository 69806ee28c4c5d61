"""The address of a metadata database, as a project file writes it: a URL, with secrets left to the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from roadworthy.core.errors import SpecError, nearest

_VARIABLE = re.compile(r"\$\{(\w+)\}")
_EXAMPLE = "postgresql+psycopg://me:${PASSWORD}@host/database"


def address(written: str, environment: Mapping[str, str]) -> URL:
    """The URL with each `${NAME}` replaced. Raises SpecError on a variable that is not set, or on another database.

    A variable that is a part of the URL is quoted, so that a password may hold `@` and `/`; one that is all of it is
    the URL itself.
    """
    whole = _VARIABLE.fullmatch(written.strip())

    def value(found: re.Match[str]) -> str:
        name = found.group(1)
        if not environment.get(name):
            raise SpecError(
                f"`store.metadata` is {written!r}, and the environment variable {name!r} is not set"
                f"{nearest(name, environment)}; set it, or write the URL without it"
            )
        return environment[name] if whole else quote(environment[name], safe="")

    try:
        found = make_url(_VARIABLE.sub(value, written.strip()))
    except (ArgumentError, ValueError) as wrong:
        raise SpecError(f"`store.metadata` is not the URL of a database: {written!r}; write {_EXAMPLE!r}") from wrong
    if found.get_backend_name() not in ("sqlite", "postgresql"):
        raise SpecError(f"`store.metadata` must be on PostgreSQL or SQLite, got {written!r}; write {_EXAMPLE!r}")
    return found
