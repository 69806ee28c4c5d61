"""Measures the gap between the lab and production."""
