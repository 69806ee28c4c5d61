"""Decides which handler answers."""
