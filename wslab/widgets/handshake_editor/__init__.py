"""A handshake made by hand, and what a server says to it."""
