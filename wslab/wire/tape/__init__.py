"""The record of connections, bounded in bytes, and its readers."""
