"""One wrapper a file."""
