"""What a process takes: milliseconds until it answers, and bytes."""
