"""One way to attribute an answer to its inputs a file."""
