"""What lies above a connection's bytes: packets of Engine.IO and Socket.IO, by session."""
