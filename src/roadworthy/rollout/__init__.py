"""Releases a candidate step by step, and takes it back."""
