"""The chat panel: clients of a hub to play with."""
