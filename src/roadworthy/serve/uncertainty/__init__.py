"""How unsure a model is of a row: from the spread of several answers, or from one pass."""
