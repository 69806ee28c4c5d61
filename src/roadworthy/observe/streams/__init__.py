"""One change detector for a stream of values a file."""
