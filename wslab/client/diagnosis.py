"""Why a connection did not open, or has closed, in words.

Pure text about what websockets, the socket and the TLS library reported. Its rule: say what was
expected, what came and what to try, and never more than the evidence holds. It opens nothing and
keeps nothing.
"""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
import ssl
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit

from websockets.datastructures import Headers
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    InvalidProxy,
    InvalidStatus,
    InvalidURI,
    ProxyError,
)
from websockets.proxy import get_proxy

from ..errors import (
    BadURL,
    ConnectFailed,
    HandshakeRefused,
    HandshakeTimeout,
    NobodyListening,
    WslabError,
)
from ..wire.frames.close_codes import close_code_meaning

__all__ = [
    "Attempted",
    "check_headers",
    "check_url",
    "closed",
    "is_loopback",
    "not_opened",
    "proxy_of",
    "shown",
]


class Stall(Protocol):
    """A stretch of time in which something held an event loop."""

    @property
    def began_s(self) -> float:
        """When it began, on the clock of time.monotonic()."""
        ...

    @property
    def duration_s(self) -> float:
        """How long it took, in seconds."""
        ...

    @property
    def culprit(self) -> str:
        """Who held the loop."""
        ...


def is_loopback(host: str) -> bool:
    """Whether ``host`` names this machine itself."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def shown(url: str) -> str:
    """Return ``url`` without its secrets (a password, ``?token=``), as texts may show it."""
    from ..wire.http.headers import hide_secrets

    return hide_secrets("", url)


def check_url(url: str) -> tuple[str, int]:
    """Return host and port of a WebSocket URL (RFC 6455 §3).

    Raises:
        BadURL: what is wrong with it, and how it should be written.
    """
    expected = f"expected a URL such as ws://127.0.0.1:8765/, got {shown(url)!r}"
    if re.search(r"[\s\x00-\x1f\x7f]", url):
        raise BadURL(f"{expected}: it holds a space or a line's end; within a URL, write %20")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as exc:
        raise BadURL(f"{expected}: {exc}") from None
    swap = {"http": "ws", "https": "wss"}.get(parts.scheme)
    if swap is not None:
        raise BadURL(
            f"{expected}: a WebSocket URL starts with {swap}://, so write "
            f"{shown(swap + url[len(parts.scheme) :])!r}"
        )
    if parts.scheme not in ("ws", "wss"):
        hint = "the scheme is ws or wss"
        if not url:
            hint = "it is empty"
        elif "://" not in url:
            hint = f"write {shown('ws://' + url.lstrip('/'))!r}"
        raise BadURL(f"{expected}: {hint}")
    if not parts.hostname:
        raise BadURL(f"{expected}: it names no host")
    if "#" in url:
        raise BadURL(
            f"{expected}: the part after # never leaves a browser; leave it out (RFC 6455 §3)"
        )
    if port == 0:
        raise BadURL(
            f"{expected}: port 0 is no port to connect to; take the server's own, server.url"
        )
    return parts.hostname, port or (443 if parts.scheme == "wss" else 80)


_STATUS = {
    200: "it answered with a page: there is an HTTP server at this address, but no WebSocket at "
    "this path. Try another path",
    400: "it found the request itself wrong (a missing or malformed header)",
    401: "it wants to know who you are: pass additional_headers={'Authorization': ...} or put "
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


class Attempted(NamedTuple):
    """Where an attempt to connect got to before it failed.

    Attributes:
        url: the URL that was tried last: a redirect leads elsewhere than was asked for.
        proxy: the proxy that was on the way and was not passed, or None.
    """

    url: str
    proxy: str | None


def proxy_of(connector: Any) -> str | None:
    """Return the URL of the proxy that ``websockets.connect`` takes, as it works it out."""
    kwargs = connector.create_connection_kwargs
    if kwargs.get("unix") or kwargs.get("sock") is not None:
        return None
    proxy = get_proxy(connector.ws_uri) if connector.proxy is True else connector.proxy
    return str(proxy) if proxy else None


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
        said = _unreachable(exc) if isinstance(exc, OSError) else _innermost(exc)
        kind = HandshakeTimeout if isinstance(exc, TimeoutError) else ConnectFailed
        return kind(
            f"the proxy{by} on the way to {url} failed: {said}. It comes from the "
            "environment (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY) or from proxy=...; proxy=None goes "
            "there directly"
        )
    if isinstance(exc, InvalidMessage):
        old = re.search(r"HTTP/1\.0 (\d{3}).*", _innermost(exc))
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
            f"{_innermost(exc)}. Something listens at {where}, but {guess}",
            status=0,
        )
    if isinstance(exc, InvalidHandshake):
        return HandshakeRefused(f"{url} answered the handshake, but wrongly: {exc}", status=101)
    if isinstance(exc, ssl.SSLCertVerificationError):
        return ConnectFailed(
            f"the certificate of {where} was not accepted: {exc.verify_message}. For a certificate "
            "of your own: ssl=ssl.create_default_context(cafile='its.pem')"
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


def _innermost(exc: BaseException) -> str:
    while exc.__cause__ is not None:
        exc = exc.__cause__
    return str(exc) or type(exc).__name__


def closed(
    exc: ConnectionClosed,
    *,
    replaced: bool,
    last_pong_s: float | None,
    ended_s: float,
    stalls: Sequence[Stall],
    handler_error: str | None,
    unsent: int,
    untaken: int = 0,
    discarded: int = 0,
) -> str:
    """Say why a client's connection ended.

    Args:
        exc: what websockets raised: both close frames, and which came first.
        replaced: its cell ran again, and a new client took its place.
        last_pong_s: when the last ping was answered (monotonic seconds), if one was.
        ended_s: when the connection ended (monotonic seconds).
        stalls: when something held one of the event loops on the way during its life.
        handler_error: what the server's handler raised, where that server is in this process.
        unsent: messages whose turn came after the end.
        untaken: messages that had come and waited for recv(), where so many did that this client
            had stopped reading.
        discarded: messages that came while it was closing and that were not kept.
    """
    sentences = [_who(exc, replaced=replaced)]
    timed_out = any(frame is not None and frame.reason == _KEEPALIVE for frame in _frames(exc))
    if handler_error is not None:
        sentences.append(f"The server's handler raised {handler_error}; see server.errors.")
    if unsent:
        last = "The message sent last" if unsent == 1 else f"The {unsent} messages sent last"
        sentences.append(f"{last} did not go out before the end.")
    if discarded:
        came = "1 message" if discarded == 1 else f"{discarded} messages"
        sentences.append(f"{came} that came while it was closing found no room and were dropped.")
    if untaken and timed_out:
        sentences.append(
            f"{untaken} messages had come that no recv() took, so this client had stopped reading "
            "to slow the server down; a ping or pong behind them could not be read either. That is "
            "the likely cause: take the messages faster, or set max_waiting=... higher."
        )
    if last_pong_s is not None:
        sentences.append(
            f"The last ping was answered {ended_s - last_pong_s:.1f} s before the end."
        )
    elif timed_out:
        sentences.append("No ping was ever answered.")
    longest = max(stalls, key=lambda stall: stall.duration_s, default=None)
    if longest is not None and (timed_out or exc.rcvd is None or longest.duration_s >= 1.0):
        before_s = max(0.0, ended_s - longest.began_s - longest.duration_s)
        when = "until the end" if before_s < 0.5 else f"until {before_s:.1f} s before the end"
        cause = " That is the likely cause." if timed_out else ""
        sentences.append(
            f"The event loop was blocked for {longest.duration_s:.1f} s, {when}, by "
            f"{longest.culprit}: meanwhile nothing on it could read, answer or ping.{cause}"
        )
    return " ".join(sentences)


_KEEPALIVE = "keepalive ping timeout"  # the reason that websockets gives


def _frames(exc: ConnectionClosed) -> tuple[Any, Any]:
    return exc.sent, exc.rcvd


def _who(exc: ConnectionClosed, *, replaced: bool) -> str:
    sent, rcvd = _frames(exc)
    if replaced:
        return "Its cell ran again, so wslab closed it: the new client took its place."
    if sent is None and rcvd is None:
        why = _innermost(exc) if exc.__cause__ is not None else ""
        return (
            "The connection broke off: TCP ended without a close frame, which is reported as "
            "1006 (never sent; RFC 6455 §7.1.5)" + (f": {why}." if why else ".")
        )
    if rcvd is not None and (sent is None or exc.rcvd_then_sent):
        said = f"The server closed it with {_frame(rcvd)}."
        if rcvd.reason == _KEEPALIVE:
            said += " It had sent a ping, and this client's pong did not come in time."
        return said
    if sent.reason == _KEEPALIVE:
        return (
            "This client closed it with 1011 (internal error): it had sent a ping to see whether "
            "the server is still there, and no pong came in time."
        )
    unanswered = "" if rcvd is not None else " The server did not answer the close frame."
    cure = " connect(max_size=...) takes larger ones (bytes)." if sent.code == 1009 else ""
    return f"This client closed it with {_frame(sent)}.{cure}{unanswered}"


def _frame(close: Any) -> str:
    reason = f' and the reason "{close.reason}"' if close.reason else ""
    return f"{int(close.code)} ({close_code_meaning(int(close.code))}){reason}"
