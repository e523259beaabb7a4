"""A tap: a server that carries whatever connects to it, byte for byte, to another one."""
