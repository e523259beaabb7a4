"""The HTTP around a WebSocket: heads, handshake (RFC 6455 §4), bodies, redaction."""
