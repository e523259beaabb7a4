"""What the processes of one hub share, by way of Redis: it carries, numbers and keeps it."""
