"""Engine.IO 4 sessions: messages in order, over polling, a WebSocket, or from one to the other."""
