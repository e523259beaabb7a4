"""The other end of a hub's connection: handlers of its events, and its calls."""
