"""What recorded traffic tells of a router: rows to learn from, other rules replayed, and whether it keeps its plan."""
