"""Routers look at a request, or at the cheap answer to it, and say what the dear model would gain."""
