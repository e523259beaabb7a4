"""Threads and event loops: the `portals` of this process, what crosses to them, and their end."""
