"""Answering only what one is sure of: what that buys, which threshold is safe, and how it goes in production."""
