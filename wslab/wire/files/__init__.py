"""A tape as a file of another kind: HAR, pcapng, rows, and back."""
