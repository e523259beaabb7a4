"""Why a connection did not open, in words.

Pure text about what websockets, the socket and the TLS library reported. Its rule: say what was
expected, what came and what to try, and never more than the evidence holds. It opens nothing and
keeps nothing.
"""

from __future__ import annotations

import errno
import re
import socket
import ssl
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from websockets.exceptions import (
    InvalidHandshake,
    InvalidMessage,
    InvalidProxy,
    InvalidStatus,
    InvalidURI,
    ProxyError,
)

from ..errors import (
    BadURL,
    ConnectFailed,
    HandshakeRefused,
    HandshakeTimeout,
    NobodyListening,
    WslabError,
)
from .urls import shown

__all__ = ["Attempted", "innermost", "not_opened"]


class Attempted(NamedTuple):
    """Where an attempt to connect got to before it failed.

    Attributes:
        url: the URL that was tried last: a redirect leads elsewhere than was asked for.
        proxy: the proxy that was on the way and was not passed, or None.
    """

    url: str
    proxy: str | None


_STATUS = {
    200: "it answered with a page: there is an HTTP server at this address, but no WebSocket at "
    "this path. Try another path",
    400: "it found the request itself wrong (a missing or malformed header)",
    401: "it wants to know who you are: pass token=... (Authorization: Bearer), or put "
    "user:password@ into the URL",
    403: "it knows what you want and does not let you: often the Origin header is not on its "
    "list, or a token is missing",
    404: "it has nothing at this path. Try another path",
    405: "this path does not take GET, which every WebSocket handshake is",
    426: "it wants the request upgraded to another protocol or version than was offered; its "
    "Upgrade or Sec-WebSocket-Version header says which",
    429: "too many requests: wait, then try again",
    500: "it failed while it answered; its log says why (a wslab server's .errors)",
    502: "a proxy on the way got no valid answer from the server behind it: is that one running?",
    503: "it is overloaded or shutting down: try again later",
    504: "a proxy on the way got no answer in time from the server behind it",
}


def not_opened(
    exc: Exception, url: str, local: Any = None, attempted: Attempted | None = None
) -> WslabError | None:
    """Say why ``url`` could not be connected to.

    Args:
        exc: what websockets or the socket raised.
        url: where to.
        local: this process's own server at that address, if there is one.
        attempted: where the attempt got to, if that is known.

    Returns:
        The exception to raise instead, or None where the one that came is best left alone.
    """
    if isinstance(exc, WslabError):
        return None
    asked, last = shown(url), url if attempted is None else attempted.url
    if last != url:
        local = None  # it is somebody else's address
    parts = urlsplit(last)
    where = f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'wss' else 80)}"
    url = shown(last)
    if url != asked:
        url += f" (where {asked} had redirected to)"
        where += f" (where {asked} had redirected to)"
    if isinstance(exc, InvalidStatus):
        return _refused(exc, url)
    if isinstance(exc, InvalidURI):
        return BadURL(f"expected a URL such as ws://127.0.0.1:8765/, got {url!r}: {exc.msg}")
    proxy = None if attempted is None else attempted.proxy
    at_proxy = isinstance(exc, ProxyError | InvalidProxy | ImportError)  # SOCKS: python-socks
    if isinstance(exc, OSError) and proxy is not None:
        # TLS over a proxy that speaks none itself is TLS with the server behind it.
        at_proxy = not isinstance(exc, ssl.SSLError) or not proxy.startswith("http://")
    if at_proxy:
        by = f" at {shown(proxy)}" if proxy else ""
        said = _unreachable(exc) if isinstance(exc, OSError) else innermost(exc)
        kind = HandshakeTimeout if isinstance(exc, TimeoutError) else ConnectFailed
        return kind(
            f"the proxy{by} on the way to {url} failed: {said}. It comes from the "
            "environment (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY) or from proxy=...; proxy=None goes "
            "there directly"
        )
    if isinstance(exc, InvalidMessage):
        old = re.search(r"HTTP/1\.0 (\d{3}).*", innermost(exc))
        if old is not None:
            status = int(old[1])
            return HandshakeRefused(
                f"expected 101 Switching Protocols from {url}, got {old[0]}: it speaks HTTP 1.0, "
                f"which has no WebSocket; {_meaning(status)}.",
                status=status,
            )
        guess = (
            "is it a server that speaks TLS? Then the URL starts with wss://"
            if parts.scheme == "ws"
            else "does it speak WebSocket at all?"
        )
        return HandshakeRefused(
            f"expected an HTTP answer to the handshake with {url}, got something else or nothing: "
            f"{innermost(exc)}. Something listens at {where}, but {guess}",
            status=0,
        )
    if isinstance(exc, InvalidHandshake):
        return HandshakeRefused(f"{url} answered the handshake, but wrongly: {exc}", status=101)
    if isinstance(exc, ssl.SSLCertVerificationError):
        return ConnectFailed(
            f"the certificate of {where} was not accepted: {exc.verify_message}. For a certificate "
            "of your own: ssl=ssl.create_default_context(cafile='its.pem'). That of "
            "serve(tls=True) is trusted in its server's own process only"
        )
    if isinstance(exc, ssl.SSLError):
        return ConnectFailed(f"TLS with {where} failed: {exc.reason or exc}. {_NO_TLS}")
    if isinstance(exc, socket.gaierror):
        return ConnectFailed(
            f"no address was found for the host {parts.hostname!r}: {exc.strerror}"
        )
    if isinstance(exc, TimeoutError):
        held = local.held() if hasattr(local, "held") else None
        return HandshakeTimeout(
            f"TCP or the handshake with {url} did not finish in time"
            + (f": {held}" if held else ". open_timeout=... gives it longer (seconds)")
            + (f". {_NO_TLS}" if parts.scheme == "wss" and not held else "")
        )
    if isinstance(exc, OSError) and _is_refusal(exc):
        hint = "Is the server running, and is the port right?"
        if local is not None and not getattr(local, "is_serving", True):
            hint = "That server is not serving now: server.restart() starts it again"
        return NobodyListening(f"nothing listens at {where}: TCP itself was refused. {hint}")
    if isinstance(exc, OSError):
        hint = f". {_NO_TLS}" if parts.scheme == "wss" and isinstance(exc, ConnectionError) else ""
        return ConnectFailed(f"could not connect to {where}: {exc.strerror or exc}{hint}")
    return None


def _unreachable(exc: OSError) -> str:
    if isinstance(exc, socket.gaierror):
        return f"no address was found for its name ({exc.strerror})"
    if isinstance(exc, TimeoutError):
        return "no answer came in time, from it or from the server behind it"
    if _is_refusal(exc):
        return "nothing listens there (TCP was refused)"
    return exc.strerror or str(exc) or type(exc).__name__


_NO_TLS = "Does it speak TLS at all? If not, the URL starts with ws://"


def _is_refusal(exc: OSError) -> bool:
    if isinstance(exc, ConnectionRefusedError) or exc.errno == errno.ECONNREFUSED:
        return True
    # A name with several addresses: asyncio puts what each of them said into one text.
    numbers = re.findall(r"\[(?:Errno|WinError) (\d+)\]", str(exc))
    return bool(numbers) and all(int(n) in (errno.ECONNREFUSED, 10061) for n in numbers)


def _meaning(status: int) -> str:
    other = "a redirect that was not followed" if 300 <= status < 400 else "see its body"
    return _STATUS.get(status, other)


def _refused(exc: InvalidStatus, url: str) -> HandshakeRefused:
    response = exc.response
    status = response.status_code
    body = bytes(response.body or b"")
    meaning = _meaning(status)
    text = body.decode(errors="replace").strip()
    said = f" It said: {text[:300]}" if text and not text.lstrip().startswith("<") else ""
    return HandshakeRefused(
        f"expected 101 Switching Protocols from {url}, got {status} {response.reason_phrase}: "
        f"{meaning}.{said}",
        status=status,
        headers=tuple(response.headers.raw_items()),
        body=body,
    )


def innermost(exc: BaseException) -> str:
    """Return what the first of a chain of exceptions says."""
    while exc.__cause__ is not None:
        exc = exc.__cause__
    return str(exc) or type(exc).__name__
