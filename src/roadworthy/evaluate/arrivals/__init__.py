"""One schedule of arrivals a file."""
