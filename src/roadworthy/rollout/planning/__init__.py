"""What a rollout will need, planned before it starts from recent rows."""
