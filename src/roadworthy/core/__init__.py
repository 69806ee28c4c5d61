"""The vocabulary in which the rooms speak to each other: types, and no framework."""
