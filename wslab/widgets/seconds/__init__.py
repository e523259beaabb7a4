"""A slider for a time that a handler reads."""
