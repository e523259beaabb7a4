"""Bytes in and out: what is recorded of them, and exchanges below WebSocket."""
