"""What our server costs beside its model, and beside four other servers of the same model."""
