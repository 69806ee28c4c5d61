"""Which inputs made an answer, and who else fares like it."""
