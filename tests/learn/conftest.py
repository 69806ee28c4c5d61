"""Hypothesis sets no time limit here: on a busy machine a slow example is no defect."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")
