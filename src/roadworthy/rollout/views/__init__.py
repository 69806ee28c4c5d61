"""How a running rollout is drawn, from what is known of it."""
