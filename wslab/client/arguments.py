"""What connect() is asked for: where to, and with which keywords of websockets.

Its rule: what could not work is refused before anybody is asked, in words of whoever called.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from websockets.asyncio import client as ws_client
from websockets.datastructures import Headers

from ..calls.waiting import finite_times
from ..errors import BadURL
from ..notebook import cells
from ..websockets_compat.keywords import check_keywords
from .self_wait import refuse_kernel_server, refuse_loop_that_serves
from .token import Token
from .urls import check_url, is_loopback

__all__ = ["Addressed", "Destination", "check_headers", "check_known", "destination_of"]

# What websockets hands on to an https:// proxy with a prefix.
_TLS_KEYWORDS = ("ssl", "server_hostname", "ssl_handshake_timeout", "ssl_shutdown_timeout")


class Addressed(Protocol):
    """Anything with a WebSocket URL, such as a Server."""

    @property
    def url(self) -> str:
        """A ``ws://`` or ``wss://`` URL."""


class Destination(NamedTuple):
    """Where a connection leads to.

    Attributes:
        url: as it was given, or as the server says it.
        server: this process's own server there, if there is one.
        kwargs: of ``websockets.connect``, without the URL.
        token: by which it shows who it is, if it does.
    """

    url: str
    server: Any
    kwargs: dict[str, Any]
    token: Token | None = None


def check_known(kwargs: Mapping[str, Any], connect: Callable[..., Any]) -> None:
    """Refuse a keyword that nobody knows.

    Args:
        kwargs: the keywords beyond ``connect``'s own.
        connect: whose other keywords may be meant.

    Raises:
        TypeError: which one is nearest.
    """
    check_keywords(
        kwargs,
        "connect()",
        connect,
        ws_client.connect,
        asyncio.BaseEventLoop.create_connection,
        also=("unix", "path", *(f"proxy_{name}" for name in _TLS_KEYWORDS)),
    )


def destination_of(target: Addressed | str, kwargs: dict[str, Any]) -> Destination:
    """Return where to connect to, and with which keywords.

    Raises:
        BadURL: not a WebSocket URL.
        ValueError, TypeError: a header that HTTP cannot carry.
        WrongThread: the server could not answer while this thread waits for it.
    """
    if isinstance(target, str):
        url = target
    elif isinstance(getattr(target, "url", None), str):
        url = target.url
    else:
        raise BadURL(
            f"expected a Server or a ws:// URL, got {type(target).__name__} {target!r:.60}"
        )
    scheme, _, path = url.partition("+unix://")
    if path and scheme in ("ws", "wss"):
        kwargs = {**kwargs, "unix": True, "path": path}
        url = f"{scheme}://localhost/"
    kwargs = finite_times(kwargs)
    host, port = check_url(url)
    check_headers(kwargs)
    server: Any = target if not isinstance(target, str) else _server_at(host, port)
    refuse_kernel_server(server, "connect()")
    if server is None:
        refuse_loop_that_serves(host, port, "connect()")
    client_tls = getattr(server, "client_tls", None)  # of a certificate that it made on the spot
    if client_tls is not None and url.startswith("wss:"):
        kwargs.setdefault("ssl", client_tls)
    if is_loopback(host) or getattr(server, "runner", None) is not None:
        kwargs.setdefault("proxy", None)  # a proxy's own 127.0.0.1 is another machine
    return Destination(url, server, kwargs)


def _server_at(host: str, port: int) -> Any:
    """This process's own server at that address, if there is one."""
    is_here = is_loopback(host)
    for thing in cells.things():
        if getattr(thing, "port", None) == port and (is_here or getattr(thing, "host", "") == host):
            return thing
    return None


def check_headers(kwargs: Mapping[str, Any]) -> None:
    """Refuse what a request's head cannot carry (RFC 9110 §5.1, §5.5), before anybody is asked.

    Args:
        kwargs: the keywords of ``websockets.connect``: ``additional_headers``, ``origin``,
            ``user_agent_header`` and ``subprotocols`` are looked at.

    Raises:
        ValueError: which header, what HTTP allows in it, and what it holds.
    """
    additional: Any = kwargs.get("additional_headers") or ()
    if isinstance(additional, Headers):
        pairs = list(additional.raw_items())
    else:
        pairs = list(additional.items() if isinstance(additional, Mapping) else additional)
    for keyword, name in (("origin", "Origin"), ("user_agent_header", "User-Agent")):
        if kwargs.get(keyword) is not None:
            pairs.append((name, kwargs[keyword]))
    for protocol in kwargs.get("subprotocols") or ():
        if not isinstance(protocol, str) or not _TOKEN.fullmatch(protocol):
            raise ValueError(
                f"expected subprotocols= to be names made of letters, digits and !#$%&'*+-.^_`|~ "
                f"(RFC 6455 §4.1), got {protocol!r:.60}"
            )
    for name, value in pairs:
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise ValueError(
                f"expected a header's name made of letters, digits and !#$%&'*+-.^_`|~ "
                f"(RFC 9110 §5.1), got {name!r:.60}"
            )
        if not isinstance(value, str):
            raise TypeError(
                f"expected the header {name!r} to hold a str, got {type(value).__name__}"
            )
        bad = _NOT_IN_A_VALUE.search(value)
        if bad is not None:
            # Its value may be a secret: only the character is shown.
            raise ValueError(
                f"expected the header {name!r} to hold characters that HTTP can carry (Latin-1, "
                f"no line's end; RFC 9110 §5.5), got {bad[0]!r} at {bad.start()}: encode it, for "
                "example with urllib.parse.quote"
            )


_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_NOT_IN_A_VALUE = re.compile(r"[^\t\x20-\x7e\x80-\xff]")
