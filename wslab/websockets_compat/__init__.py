"""What we rely on inside websockets beyond its public names."""
