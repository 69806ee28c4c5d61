"""Why something got worse."""
