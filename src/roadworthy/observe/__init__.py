"""Watches the records."""
