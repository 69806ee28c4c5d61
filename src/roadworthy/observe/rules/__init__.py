"""One rule over minutes of traffic a file."""
