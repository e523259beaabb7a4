"""Which addresses may be in an entry: this machine's loopback, and a Unix socket of this user."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import stat

__all__ = ["Address", "checked", "loopback"]

Address = tuple[str, int] | str
"""Host and port, or the path of a Unix socket."""


def loopback(name: object) -> Address | None:
    """Return the address under which this machine reaches a listening socket, or None.

    Args:
        name: what `getsockname()` gave.
    """
    with contextlib.suppress(ValueError):
        if isinstance(name, tuple):
            host, port = name[:2]
            return checked(({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port))
        if isinstance(name, str | bytes):
            return checked(os.fsdecode(name))
    return None


def checked(address: object) -> Address:
    """Return an address that may be in an entry.

    Raises:
        ValueError: it leads elsewhere.
    """
    if isinstance(address, str) and os.path.isabs(address) and "\0" not in address:
        if os.name == "posix":
            with contextlib.suppress(FileNotFoundError):  # connecting will say so
                found = os.lstat(address)
                if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.getuid():
                    raise ValueError(f"expected a Unix socket of this user, got {address!r}")
        return address
    if isinstance(address, tuple) and len(address) == 2:
        host, port = address
        if isinstance(host, str) and type(port) is int and 0 < port < 65536:
            with contextlib.suppress(ValueError):
                if ipaddress.ip_address(host).is_loopback:
                    return host, port
    raise ValueError(f"expected an address on this machine's loopback, got {address!r}")
