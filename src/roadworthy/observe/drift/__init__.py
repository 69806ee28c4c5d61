"""How far columns moved, and of which kind the drift is."""
