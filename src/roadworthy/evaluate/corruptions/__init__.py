"""One corruption a file."""
