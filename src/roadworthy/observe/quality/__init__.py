"""How good the answers are, with labels and without."""
