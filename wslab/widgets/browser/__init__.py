"""A page's own WebSocket, driven from the kernel."""
