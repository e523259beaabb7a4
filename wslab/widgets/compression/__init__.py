"""What compression saves and costs, by the shape of the messages."""
