"""Tanks: where the bytes are that a server has sent and a client has not read."""
