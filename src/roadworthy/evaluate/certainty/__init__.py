"""Does a model know when it does not know, and which of several models answered: measured on labelled answers."""
