"""Labels, and training again."""
