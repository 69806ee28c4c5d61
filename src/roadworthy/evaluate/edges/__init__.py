"""One kind of edge a file."""
