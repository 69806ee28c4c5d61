"""Calibration: how the leaves that make probabilities honest are fitted, chosen among, followed and told of."""
