"""Where asynchronous jobs wait: one file a queue."""
