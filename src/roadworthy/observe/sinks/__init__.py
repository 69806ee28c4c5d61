"""One place that alerts are told to a file."""
