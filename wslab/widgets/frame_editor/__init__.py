"""A frame made by hand, and what a server says to it."""
