"""Releases, aliases with their history, and model cards."""
