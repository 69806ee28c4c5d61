"""Reads model files without running what is in them, one format a file."""
