"""What asks a handler about rows at the edge, and says what became of them."""
