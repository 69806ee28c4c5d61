"""Mirroring requests to a candidate, and comparing what it would have answered."""
