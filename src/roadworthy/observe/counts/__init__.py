"""What was counted in each minute of records."""
