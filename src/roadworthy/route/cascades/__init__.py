"""Cascades: thresholds between a cheap model and an expensive one, learnt so that a stated target holds."""
