"""An HTTP request and its response, whole, for what answers HTTP beside a WebSocket.

Its rule: pure data. Who reads them from a socket (h11, or an ASGI server) and who answers (a Hub)
meet only in these two.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["HttpRequest", "HttpResponse"]


class HttpRequest(NamedTuple):
    """One request, with all of its body (RFC 9110 §3.3).

    Args:
        method: such as ``GET``.
        target: the path as it was asked for, percent-encoded, with its query.
        headers: names and values, in order.
        body: its bytes, without any transfer coding.
        address: host and port of the other end; None where it has none.
        is_let_in: whether the server lets pages of its Origin in; None where none has judged that.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    address: tuple[str, int] | None = None
    is_let_in: bool | None = None

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    def header(self, name: str) -> str | None:
        """Return the first value of a header, in any case of its name; None without one."""
        name = name.lower()
        return next((value for key, value in self.headers if key.lower() == name), None)


class HttpResponse(NamedTuple):
    """What is answered; whoever sends it adds Content-Length, Date and Connection.

    Args:
        status: 200 to 599.
        headers: names and values.
        body: its bytes.
    """

    status: int
    headers: Iterable[tuple[str, str]] = ()
    body: bytes = b""
