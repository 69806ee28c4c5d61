"""Artifact and Release: what is deployed, content-addressed and immutable."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct, field

from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Signature


class Artifact(Struct, frozen=True, omit_defaults=True):
    """A file that a release needs. `digest` is the SHA-256 of its bytes; `engine` is the plan of what runs it."""

    name: str
    digest: str
    bytes: int
    engine: str = ""
    made_by: str = ""
    parent: str = ""


class Member(Struct, frozen=True, omit_defaults=True):
    """One of several models that answer together. Its model file is the release's artifact of the same name.

    `preprocessing` and `wrappers` are plans, as a release's. `usd_per_1k` is what 1,000 rows of it cost.
    """

    name: str
    preprocessing: tuple[Any, ...] = ()
    wrappers: tuple[Any, ...] = ()
    usd_per_1k: float = 0.0


class Release(Struct, frozen=True, omit_defaults=True):
    """Everything that decides an answer, and how it was made. Two releases with one digest answer alike.

    `preprocessing` and `wrappers` are plans (text that the catalogs turn into objects), in the order from the
    request to the model. `data` maps a name ("train", "calibration") to a digest or a description of the rows,
    `features` the name of a set of features to its version. `code` is the revision of the code that made it
    (`git:<sha>`, with `+changes` where files were not committed), `training` its settings and seed, `versions` the
    packages that it was made with, `calibration` what was measured of its probabilities. Where several models answer
    together, `members` are they, from the cheapest to the dearest, and `policy` (a plan) chooses among them; an
    artifact named `policy` is the file of what it was fitted to, where it has one.
    """

    name: str
    artifacts: tuple[Artifact, ...]
    signature: Signature
    preprocessing: tuple[Any, ...] = ()
    wrappers: tuple[Any, ...] = ()
    data: Mapping[str, str] = field(default_factory=dict)
    serving: Mapping[str, Any] = field(default_factory=dict)
    parent: str = ""
    made_by: str = ""
    made_at: float = 0.0
    measured: tuple[Measurement, ...] = ()
    note: str = ""
    code: str = ""
    features: Mapping[str, str] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    calibration: tuple[Measurement, ...] = ()
    members: tuple[Member, ...] = ()
    policy: Any = None

    @property
    def digest(self) -> str:
        """SHA-256 (hex, 64 characters) of the canonical JSON of the whole release."""
        # The order of the inputs decides answers (a model may take them as one matrix); that of the data does not.
        named = ("data", "serving", "features", "training", "versions")
        canonical = msgspec.structs.replace(self, **{name: dict(sorted(getattr(self, name).items())) for name in named})
        return hashlib.sha256(msgspec.json.encode(canonical)).hexdigest()

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of what decides the answers: not who made it, when, from what, or what it scored."""
        files = [(artifact.name, artifact.digest, artifact.engine) for artifact in self.artifacts]
        plans = (self.preprocessing, self.wrappers, self.serving, self.features)
        # The order of the inputs decides answers too; that of settings and features does not.
        decides = [files, list(self.signature.inputs.items()), list(self.signature.outputs.items()), *plans]
        if self.members:
            decides += [self.members, self.policy]
        return hashlib.sha256(msgspec.json.encode(decides, order="deterministic")).hexdigest()
