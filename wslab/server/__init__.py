"""Serving: `serve.serve()` starts a `server.Server`; what it is made of is a file each."""
