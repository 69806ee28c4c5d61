"""A Profile is what a release remembers of the rows it was made on: under 50 KB, whatever their number."""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec import Struct

from roadworthy.core.window import Window


class Profile(Struct, frozen=True):
    """Of `n` rows."""

    n: int = 0


@dataclass(frozen=True)
class Reference(Window):
    """What arrives now is compared with this: the profile of all rows, and a sample of them as a Window."""

    profile: Profile = field(default_factory=Profile)
