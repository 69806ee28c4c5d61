"""What gates compute with: evidence and intervals that hold at every look, and how many rows they need."""
