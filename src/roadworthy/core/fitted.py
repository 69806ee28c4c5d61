"""What a policy was fitted to is written into its file: no promise is taken over by models that it never saw.

The members' digests, and a seal over the numbers: thresholds that somebody changes by hand keep no promise either.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from roadworthy.core.errors import SpecError

KEY = "fitted_to"


class FittedTo(Struct, frozen=True):
    """The digest of each member that was asked, and that of everything else in the file."""

    members: Mapping[str, str]
    seal: str


def sealed(fit: bytes, members: Mapping[str, str]) -> bytes:
    """The JSON of a fit with what it was fitted to.

    >>> msgspec.json.decode(sealed(b'{"share": 0.3}', {"small": "ab12"}))["fitted_to"]["members"]
    {'small': 'ab12'}
    """
    content = {name: value for name, value in msgspec.json.decode(fit).items() if name != KEY}
    return msgspec.json.format(msgspec.json.encode({**content, KEY: FittedTo(members, _seal(content))}))


def refuse_other(file: bytes, members: Mapping[str, str], name: str) -> None:
    """Raise SpecError where `file` was fitted to other members than these, or was changed since.

    A member with the digest "" runs elsewhere, and nobody knows whether it is another one. A file that does not say
    what it was fitted to, such as one of before it was written down, is let through.
    """
    try:
        content: Any = msgspec.json.decode(file)
        told = msgspec.convert(content.pop(KEY), FittedTo)
    except (AttributeError, LookupError, TypeError, ValueError):
        return
    if _seal(content) != told.seal:
        raise SpecError(
            f"{name!r} was changed after it was fitted, and what it promises does not hold for other numbers: fit it "
            f"again; thresholds of your own belong into the settings of the `policy`"
        )
    if list(told.members) != list(members):
        raise SpecError(
            f"{name!r} was fitted to the members {', '.join(told.members)}, and the release has {', '.join(members)}, "
            f"in that order: fit it again"
        )
    others = [one for one, digest in members.items() if digest and told.members[one] and digest != told.members[one]]
    if others:
        raise SpecError(
            f"{name!r} was fitted to another {', '.join(map(repr, others))} than the release has: a promise holds for "
            f"the models that were asked; fit it again"
        )


def _seal(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()
