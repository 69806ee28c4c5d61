"""What puts a handler under load by a schedule, and judges whether the run says anything."""
