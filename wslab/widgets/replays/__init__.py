"""How a replay shows itself: the record beside what came, message by message."""
