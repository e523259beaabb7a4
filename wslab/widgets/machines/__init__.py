"""Two nodes, their clients and the Redis between them, in one picture: who says what to whom."""
