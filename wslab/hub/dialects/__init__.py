"""How a hub's words look on a link: one file for each dialect."""
