"""A server's entry in the registry by which Jupyter's server finds it; see `wslab.tunnel`.

Its rule: a failure is returned in words, and the server serves all the same. Where there is no
Jupyter, it is empty.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import tunnel
from ..loops import fork

__all__ = ["TunnelEntry"]


class TunnelEntry:
    """The entry of one server, for as long as it listens."""

    def __init__(self) -> None:
        self._registration: tunnel.Registration | None = None

    @property
    def id(self) -> str:
        """Its name in `<base_url>wslab/<id>/`; "" where Jupyter's server can't see it."""
        entry = self._registration
        return entry.id if entry is not None and tunnel.tunnel_is_there() else ""

    def register(self, sockets: Iterable[Any], *, is_secure: bool, name: str) -> str:
        """Register a server that listens; return what kept it from that, or "".

        Args:
            sockets: that it listens on; the first on loopback counts.
            is_secure: whether it speaks TLS.
            name: what its user calls it.
        """
        try:
            if not tunnel.is_wanted():
                return ""
            found = [tunnel.loopback(sock.getsockname()) for sock in sockets]
            for address in [address for address in found if address is not None][:1]:
                self._registration = tunnel.register(address, is_secure=is_secure, name=name)
            if self._registration is not None and self._registration.descriptor >= 0:
                fork.closed_in_child.add(self._registration.descriptor)
        except Exception as exc:
            return f"browsers can't come through Jupyter's server: {exc}"
        return ""

    def remove(self) -> None:
        """Take the entry out; idempotent."""
        entry, self._registration = self._registration, None
        if entry is not None:
            fork.closed_in_child.discard(entry.descriptor)
            entry.remove()

    def let_in(self, headers: Any) -> bool:
        """Tell whether Jupyter's server let a request in, and take the sign out of its headers."""
        return self._registration is not None and self._registration.is_shown(headers)
