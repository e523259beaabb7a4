"""Pictures of when things happened."""
