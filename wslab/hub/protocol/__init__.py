"""What goes over a hub's wire, and what it means: no socket, no loop."""
