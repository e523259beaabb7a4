"""Handlers that `wslab serve` starts by name; plain websockets code, to be copied and changed."""
