"""A hub's side of its connections: `hub` and `connection`, and what they stand on."""
