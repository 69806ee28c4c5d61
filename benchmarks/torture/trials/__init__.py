"""One trial a file: `run(given)` measures, `WANTED` says what must hold."""
