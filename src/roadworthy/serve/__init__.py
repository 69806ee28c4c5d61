"""Runs a model: engines, batching and what wraps them."""
