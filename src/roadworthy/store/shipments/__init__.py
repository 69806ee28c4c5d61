"""One place that records are shipped to a file."""
