"""free_port(): a TCP port that nobody listens on, for a program that must be told one.

Its rule: a server of ours asks the system for a port and keeps it; only a program that can't do so
gets one from here. Somebody else may take it before, so that whoever uses it is ready to ask again.
"""

from __future__ import annotations

import socket

__all__ = ["free_port"]


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that is free now.

    Args:
        host: the address on which it is.
    """
    with socket.socket() as one:
        one.bind((host, 0))
        return int(one.getsockname()[1])
