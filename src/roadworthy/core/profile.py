"""A Profile is what a release remembers of the rows it was made on: under 50 KB, whatever their number."""
