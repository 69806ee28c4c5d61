"""Claims: how their values read, whether they hold, and why not."""
