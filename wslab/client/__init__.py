"""Connecting: `client` is `connect()` and `Client`; the rest is what they stand on."""
