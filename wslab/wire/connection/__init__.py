"""One connection's bytes, both directions, read as events."""
