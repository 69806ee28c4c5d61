"""What a router on the request path keeps and decides: load, prices, sessions, comparisons and their cap."""
