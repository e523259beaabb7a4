"""How what is emitted, and who may come back, is known to all that serve one hub: engines."""
