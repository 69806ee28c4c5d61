"""One estimate of accuracy without labels a file."""
