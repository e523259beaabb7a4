"""Replaying a record: `replay` is `replay()`; the rest is the pure core that it stands on."""
