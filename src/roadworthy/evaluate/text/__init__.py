"""What corruptions and repairs of text, and the estimate of a mix, have in common."""
