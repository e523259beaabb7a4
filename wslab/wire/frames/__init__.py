"""WebSocket's frames (RFC 6455 §5) and their compression (RFC 7692)."""
