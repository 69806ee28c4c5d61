"""One format of claims a file."""
