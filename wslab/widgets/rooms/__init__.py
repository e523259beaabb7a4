"""The map of a hub's rooms."""
