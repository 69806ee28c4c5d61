"""One drift detector a file."""
