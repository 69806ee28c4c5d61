"""What policies share while they answer: levels, caps, outages, and answers of which each row has its own."""
