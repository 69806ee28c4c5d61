"""What all readers of model files share: how much a file may hold, and the sentence with which one is refused."""

from __future__ import annotations

from dataclasses import dataclass

from roadworthy.core.errors import BadData

# What to do instead, for a file that would run code. Written once, so that every refusal ends alike.
INSTEAD = (
    "save the model as ONNX, skops or safetensors instead, or say that you trust whoever made this file: "
    "`trust: true` in the engine's settings, or `roadworthy release --trust`"
)


class Unsafe(BadData):
    """A model file that would run code, would fill the memory, or is not what it says it is."""

    def __init__(self, name: str, found: str, instead: str = INSTEAD) -> None:
        super().__init__(f"{name!r} is refused: {found}; {instead}")


@dataclass(frozen=True)
class Limits:
    """What a model file may hold at most; a file above a limit is refused before it is unpacked.

    `most_bytes` counts what unpacking makes of it, `most_ratio` unpacked bytes a packed one (looked at above 64 MiB:
    small files of zeros shrink a thousandfold), `most_entries` the files in an archive and `most_depth` archives
    within archives.
    """

    most_bytes: int = 16 << 30
    most_ratio: float = 100.0
    most_entries: int = 100_000
    most_depth: int = 3

    def __post_init__(self) -> None:
        for name in ("most_bytes", "most_ratio", "most_entries", "most_depth"):
            if getattr(self, name) <= 0:
                raise ValueError(f"`{name}` must be above 0, got {getattr(self, name)!r}")

    def see(self, name: str, unpacked: int, packed: int) -> None:
        """Raise Unsafe where so many bytes, out of a file of so many, are too many."""
        if unpacked > self.most_bytes:
            allowed = f"raise `limits: {{most_bytes: {unpacked}}}` if that is what the model needs"
            raise Unsafe(name, f"it unpacks to {unpacked:,} bytes, and {self.most_bytes:,} are allowed", allowed)
        if unpacked > max(_SMALL, self.most_ratio * packed):
            found = f"it unpacks to {unpacked / max(1, packed):,.0f} times its size, and {self.most_ratio:g} is allowed"
            raise Unsafe(name, found, "save it without compression, or raise `limits: {most_ratio: ...}`")


_SMALL = 64 << 20

LIMITS = Limits()
