"""A corruption of somebody else's: normal noise."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from roadworthy.core.sample import Sample


@dataclass(frozen=True)
class Noise:
    """Adds normal noise of `share` times its spread to every numeric column."""

    share: float = 0.1

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        if not sample.n or not severity:
            return sample
        noisy = {
            name: values
            if values.dtype == object
            else values + severity * self.share * np.nanstd(values) * rng.normal(size=values.shape)
            for name, values in sample.columns.items()
        }
        return replace(sample, columns=noisy)
