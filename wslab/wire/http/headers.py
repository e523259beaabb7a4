"""HTTP/1.x heads: read from bytes, explained header by header, redacted.

One rule: bytes that break HTTP become a `Problem` value, never an exception, and whatever the
chunks, the same bytes give the same result. Any head will do: a WebSocket upgrade, a poll or an
event stream. What makes a head a good WebSocket handshake is in `handshake.py`; bodies are not
read here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar
from urllib.parse import unquote, unquote_plus

Sender = Literal["client", "server"]
Extension = tuple[str, list[tuple[str, str | None]]]

# An observer must not be stricter than those it watches (websockets: 8 KiB a line, 128 headers),
# and must still be bounded: a peer that never sends a blank line may not fill the memory.
MAX_HEAD_BYTES = 64 * 1024
MAX_LINE_BYTES = 16 * 1024  # one line with its CR LF
MAX_HEADERS = 256

# ---------------------------------------------------------------------------------------------
# What each header is for. Who sets a header of a request differs between a browser and any other
# program, so each of these is a pair: (in a browser, elsewhere).

_PROGRAM = "the client program"
_ENGINE = ("the browser's engine, script cannot change it", _PROGRAM)
_JAR = ("the browser's engine, from its cookie jar; script cannot change it here", _PROGRAM)
_SCRIPT = ("the page's script with fetch (never on a WebSocket), or the browser's engine", _PROGRAM)
_PROTOCOLS = ("the page's script: the second argument of new WebSocket(url, protocols)", _PROGRAM)
_PROXY = ("a proxy on the way", "a proxy on the way")
_SERVER = ("the server", "the server")

_WHATWG_SSE = "HTML Living Standard §9.2"
_FETCH = "WHATWG Fetch, CORS protocol"
_METADATA = "W3C Fetch Metadata §2"
_NO_RFC = "no RFC: in wide use"

# name: (who sets it in a request, section, purpose)
_KNOWN: dict[str, tuple[tuple[str, str], str, str]] = {
    # the WebSocket handshake
    "host": (_ENGINE, "RFC 9110 §7.2", "Names the host and port the client wants. One address can "
             "serve many names, and a server can refuse a name that is not its own."),
    "upgrade": (_ENGINE, "RFC 6455 §4.1", "Asks to go on in another protocol on this same "
                "connection. A WebSocket handshake says: websocket."),
    "connection": (_ENGINE, "RFC 9110 §7.6.1", "Lists what concerns this hop only; a proxy takes "
                   "it out. Upgrade counts only if listed here; keep-alive holds the connection."),
    "sec-websocket-key": (_ENGINE, "RFC 6455 §11.3.1", "16 random bytes in base64, new for each "
                          "connection. The server must answer with a value derived from them, "
                          "which proves that it speaks WebSocket; it is no password."),
    "sec-websocket-version": (_ENGINE, "RFC 6455 §11.3.5", "The version of the protocol that the "
                              "client speaks. It is always 13."),
    "sec-websocket-protocol": (_PROTOCOLS, "RFC 6455 §11.3.4", "The subprotocols that the client "
                               "offers, best first: what the messages will mean. The server picks "
                               "at most one."),
    "sec-websocket-extensions": (_ENGINE, "RFC 6455 §11.3.2", "The extensions of the framing that "
                                 "the client offers, such as permessage-deflate (compression)."),
    "sec-websocket-accept": (_SERVER, "RFC 6455 §11.3.3", "Base64 of the SHA-1 of the client's key "
                             "and a fixed GUID. It proves that the server read this very request "
                             "and knows WebSocket."),
    "origin": (_ENGINE, "RFC 6455 §10.2", "The page that opens the connection: scheme, host and "
               "port. A server checks it to keep other sites' pages out; CORS does not do it."),
    # who and what asks
    "user-agent": (_ENGINE, "RFC 9110 §10.1.5", "The program that asks, by its own account."),
    "referer": (_ENGINE, "RFC 9110 §10.1.3", "The page from which the request came."),
    "cookie": (_JAR, "RFC 6265 §4.2", "What the server asked the browser to remember, often a "
               "login. A browser sends it with a WebSocket handshake too."),
    "authorization": (_SCRIPT, "RFC 9110 §11.6.2", "Credentials for the server. Script in a "
                      "browser cannot add it to a WebSocket."),
    "proxy-authorization": (_ENGINE, "RFC 9110 §11.7.2", "Credentials for a proxy on the way."),
    "x-xsrftoken": (_SCRIPT, _NO_RFC, "Repeats a secret from a cookie, which a foreign page cannot "
                    "read: so the request comes from the site's own page. Tornado and Jupyter."),
    "x-api-key": (_SCRIPT, _NO_RFC, "A key that tells the server which customer asks."),
    "x-requested-with": (_SCRIPT, _NO_RFC, "A mark that script made the request, not a link."),
    "sec-fetch-site": (_ENGINE, f"{_METADATA}.3", "Whether the page and the address belong to the "
                       "same site, so that a server can refuse what comes from elsewhere."),
    "sec-fetch-mode": (_ENGINE, f"{_METADATA}.2", "How the browser makes the request: navigate, "
                       "cors, websocket and so on."),
    "sec-fetch-dest": (_ENGINE, f"{_METADATA}.1", "What the answer will be used for: document, "
                       "image, empty (for script) and so on."),
    "sec-fetch-user": (_ENGINE, f"{_METADATA}.4", "?1 when a person clicked to go there."),
    "sec-ch-ua": (_ENGINE, "W3C UA Client Hints §3.1", "The browser's brands and versions."),
    "sec-ch-ua-mobile": (_ENGINE, "W3C UA Client Hints §3.5", "Whether the browser is on a phone."),
    "sec-ch-ua-platform": (_ENGINE, "W3C UA Client Hints §3.7", "The operating system."),
    "upgrade-insecure-requests": (_ENGINE, "W3C Upgrade Insecure Requests §3", "The browser would "
                                  "rather have the page by https. Not related to Upgrade."),
    "dnt": (_ENGINE, _NO_RFC, "The person asks not to be tracked."),
    "priority": (_ENGINE, "RFC 9218 §4", "How urgent the answer is among others."),
    # what the client can take
    "accept": (_SCRIPT, "RFC 9110 §12.5.1", "The kinds of content that the client can take. An "
               "EventSource asks for text/event-stream."),
    "accept-encoding": (_ENGINE, "RFC 9110 §12.5.3", "The compressions of a body that the client "
                        "can undo. It has nothing to do with compressed WebSocket messages."),
    "accept-language": (_SCRIPT, "RFC 9110 §12.5.4", "The languages the person reads, best first."),
    "accept-charset": (_ENGINE, "RFC 9110 §12.5.2", "The character sets the client can read; "
                       "obsolete, since everything is UTF-8."),
    "te": (_ENGINE, "RFC 9110 §10.1.4", "The transfer codings that the client can undo."),
    "expect": (_ENGINE, "RFC 9110 §10.1.1", "With 100-continue the client waits for the server's "
               "leave before it sends a body."),
    "range": (_SCRIPT, "RFC 9110 §14.2", "The client wants only a part of the content."),
    "if-none-match": (_SCRIPT, "RFC 9110 §13.1.2", "The ETag the client has already: if it still "
                      "holds, the answer is 304 without a body. It makes polling cheap."),
    "if-modified-since": (_SCRIPT, "RFC 9110 §13.1.3", "The date of the client's copy: if nothing "
                          "has changed since, the answer is 304 without a body."),
    "last-event-id": (_ENGINE, _WHATWG_SSE, "The id of the last event that an EventSource saw "
                      "before it lost the connection, so that the server goes on from there."),
    # the body and the connection
    "content-type": (_SCRIPT, "RFC 9110 §8.3", "What the body is. text/event-stream is a stream "
                     "of server-sent events."),
    "content-length": (_ENGINE, "RFC 9110 §8.6", "The size of the body in bytes."),
    "content-encoding": (_SCRIPT, "RFC 9110 §8.4", "How the body is compressed."),
    "content-language": (_SCRIPT, "RFC 9110 §8.5", "The language of the body's readers."),
    "transfer-encoding": (_ENGINE, "RFC 9112 §6.1", "How the body is cut up on this hop. chunked "
                          "lets a server send a body whose length it does not know yet."),
    "trailer": (_ENGINE, "RFC 9110 §6.6.2", "The headers that will follow the body."),
    "keep-alive": (_ENGINE, "RFC 2068 §19.7.1", "How long an idle connection is held, and for how "
                   "many requests."),
    "cache-control": (_SCRIPT, "RFC 9111 §5.2", "Whether a cache may keep or use a copy; no-cache "
                      "asks for a fresh answer from the server itself."),
    "pragma": (_SCRIPT, "RFC 9111 §5.4", "no-cache for caches of the 1990s. Cache-Control "
               "replaced it, browsers still send it."),
    # the way
    "via": (_PROXY, "RFC 9110 §7.6.3", "The proxies that the message passed."),
    "forwarded": (_PROXY, "RFC 7239 §4", "What the proxy saw: the client's address, the host and "
                  "the scheme that it asked for. The standard form of X-Forwarded-*."),
    "x-forwarded-for": (_PROXY, _NO_RFC, "The client's address as the proxy saw it. Anyone can "
                        "send it: trust it only from your own proxy."),
    "x-forwarded-proto": (_PROXY, _NO_RFC, "The scheme (http or https) that the client used "
                          "towards the proxy."),
    "x-forwarded-host": (_PROXY, _NO_RFC, "The Host that the client asked the proxy for."),
    "x-forwarded-port": (_PROXY, _NO_RFC, "The port that the client connected to at the proxy."),
    "x-real-ip": (_PROXY, _NO_RFC, "The client's address as the proxy saw it (nginx)."),
    "x-request-id": (_PROXY, _NO_RFC, "A name for this request, to find it again in every log."),
    # answers
    "date": (_SERVER, "RFC 9110 §6.6.1", "When the message was made."),
    "server": (_SERVER, "RFC 9110 §10.2.4", "The program that answers, by its own account."),
    "set-cookie": (_SERVER, "RFC 6265 §4.1", "Asks the browser to remember a value and to send it "
                   "back as Cookie. It works in the answer to a WebSocket handshake too."),
    "location": (_SERVER, "RFC 9110 §10.2.2", "Where to go instead. A browser does not follow it "
                 "for a WebSocket."),
    "retry-after": (_SERVER, "RFC 9110 §10.2.3", "How long to wait before the next attempt: "
                    "seconds or a date."),
    "allow": (_SERVER, "RFC 9110 §10.2.1", "The methods that this address takes."),
    "www-authenticate": (_SERVER, "RFC 9110 §11.6.1", "How to prove who you are: the scheme that "
                         "the server wants in Authorization."),
    "proxy-authenticate": (_SERVER, "RFC 9110 §11.7.1", "How to prove to a proxy who you are."),
    "etag": (_SERVER, "RFC 9110 §8.8.3", "A name for this version of the content, to ask later "
             "whether it has changed."),
    "last-modified": (_SERVER, "RFC 9110 §8.8.2", "When the content last changed."),
    "expires": (_SERVER, "RFC 9111 §5.3", "Until when a cache may use this answer."),
    "age": (_PROXY, "RFC 9111 §5.1", "For how many seconds a cache has held this answer."),
    "vary": (_SERVER, "RFC 9110 §12.5.5", "The request headers that this answer depends on."),
    "accept-ranges": (_SERVER, "RFC 9110 §14.3", "Whether parts of the content can be asked for."),
    "content-range": (_SERVER, "RFC 9110 §14.4", "Which part of the content this is."),
    "alt-svc": (_SERVER, "RFC 7838 §3", "Where else, or in which HTTP version, it is served."),
    "access-control-allow-origin": (_SERVER, _FETCH, "Which page may read this answer by script. "
                                    "It has no effect on a WebSocket."),
    "access-control-allow-credentials": (_SERVER, _FETCH, "Whether the page may read an answer to "
                                         "a request that carried cookies."),
    "content-security-policy": (_SERVER, "W3C Content Security Policy 3 §3.1", "What the page may "
                                "load and connect to; connect-src rules its WebSockets."),
    "strict-transport-security": (_SERVER, "RFC 6797 §6.1", "From now on only https and wss for "
                                  "this host."),
    "x-content-type-options": (_SERVER, "WHATWG Fetch §3.6", "nosniff: believe Content-Type."),
    "x-powered-by": (_SERVER, _NO_RFC, "The framework that answers, by its own account."),
    "x-accel-buffering": (_SERVER, _NO_RFC, "no tells nginx to pass a stream on at once."),
}  # fmt: skip

# The same name means something else in an answer.
_IN_ANSWER: dict[str, tuple[str, str]] = {
    "upgrade": ("RFC 6455 §4.2.2", "With 101: the protocol spoken from the next byte on. With 426: "
                "the protocol that the server wants to be asked for."),
    "sec-websocket-protocol": ("RFC 6455 §11.3.4", "The one subprotocol that the server picked "
                               "from those offered."),
    "sec-websocket-extensions": ("RFC 6455 §11.3.2", "The extensions that the server agreed to. "
                                 "From now on both sides use them."),
    "sec-websocket-version": ("RFC 6455 §4.4", "The versions that the server speaks. It is sent "
                              "when the version asked for is not among them."),
}  # fmt: skip


def explain(name: str, sender: Sender, *, is_browser: bool = False) -> tuple[str, str, str]:
    """Return (purpose, set_by, section) for a header's name.

    Args:
        name: the header's name, in any case.
        sender: who sent the head: the same name can mean another thing in an answer.
        is_browser: whether the client is a browser, where script may set only a few headers.
    """
    name = name.lower()
    if name not in _KNOWN:
        purpose = (
            "Not a header this library knows: the application, a proxy or a newer standard adds it."
        )
        set_by = "the client program or a proxy" if sender == "client" else "the server or a proxy"
        return purpose, set_by, "RFC 9110 §5.1"
    who, section, purpose = _KNOWN[name]
    if sender == "client":
        return purpose, who[0 if is_browser else 1], section
    if name in _IN_ANSWER:
        section, purpose = _IN_ANSWER[name]
    return purpose, _PROXY[0] if who is _PROXY else _SERVER[0], section


# ---------------------------------------------------------------------------------------------
# Heads as values


@dataclass(frozen=True, slots=True)
class Header:
    """One header line, with what it is for.

    Attributes:
        name: as it was sent; names are compared without regard to case (RFC 9110 §5.1).
        value: without the white space around it, each byte as one character (ISO 8859-1).
        raw: the bytes of the line without CRLF.
        offset: where the line starts, in bytes from the head's first byte.
        purpose, set_by, section: what it is for, who sets it, where that is written.
        redacted: whether a secret was taken out of value and raw.
        fault: what is wrong with it in this handshake; `Handshake` fills it in. It is a remark on
            the header and no part of it: two headers that differ only here are equal.
    """

    name: str
    value: str
    raw: bytes
    offset: int
    purpose: str
    set_by: str
    section: str
    redacted: bool = False
    fault: str | None = field(default=None, compare=False)


class Head:
    """What requests and responses have in common: a start line, then headers."""

    __slots__ = ()

    version: str
    headers: tuple[Header, ...]
    raw: bytes

    def get(self, name: str) -> str | None:
        """Return the first value of a header, or None; the name's case does not matter."""
        values = self.get_all(name)
        return values[0] if values else None

    def get_all(self, name: str) -> tuple[str, ...]:
        """Return every value of a header, in the order of the lines."""
        name = name.lower()
        return tuple(header.value for header in self.headers if header.name.lower() == name)

    @property
    def start_line(self) -> str:
        """The head's first line, without CRLF."""
        return self.raw.partition(b"\r\n")[0].decode("latin-1")


@dataclass(frozen=True, slots=True)
class Request(Head):
    """The head of an HTTP/1.x request (RFC 9112 §3). `raw` includes the blank line."""

    method: str
    target: str
    version: str
    headers: tuple[Header, ...]
    raw: bytes

    @property
    def asks_for_websocket(self) -> bool:
        """Whether this means to be a WebSocket handshake, be it a good or a bad one."""
        upgrades = [token for value in self.get_all("Upgrade") for token in parse_token_list(value)]
        return any(token.lower() == "websocket" for token in upgrades) or any(
            header.name.lower().startswith("sec-websocket-") for header in self.headers
        )


@dataclass(frozen=True, slots=True)
class Response(Head):
    """The head of an HTTP/1.x response (RFC 9112 §4). `raw` includes the blank line.

    A reader of heads leaves `body` empty: who knows the body puts it in with `replace`.
    """

    status: int
    reason: str
    version: str
    headers: tuple[Header, ...]
    raw: bytes
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with bytes that should be a head.

    The message tells positions and sizes but quotes no value: it could be a secret.

    Attributes:
        rule: the rule that is broken, in a few words.
        section: where the rule is written.
        message: what was expected, what came, what to do next.
        offset: the byte of the head at which it became clear.
    """

    rule: str
    section: str
    message: str
    offset: int


# ---------------------------------------------------------------------------------------------
# Bytes to heads

# LF ends a line; no other control character but HTAB and CR may stand in a head.
_STOP = re.compile(rb"[\x00-\x08\x0a-\x0c\x0e-\x1f\x7f]")
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
TOKEN = re.compile(_TOKEN)
_TOKEN_BYTE = re.compile(_TOKEN[:-1].encode())
_REQUEST_LINE = re.compile(rf"({_TOKEN}) ([^ \t]+) (HTTP/[0-9]\.[0-9])")
_STATUS_LINE = re.compile(r"(HTTP/[0-9]\.[0-9]) ([1-9][0-9][0-9])(?: (.*))?")


class HeadReader:
    """Read heads from chunks of any size, one byte at a time included.

    After a head it is ready for the next one: with keep-alive more follow on the connection. After
    a Problem it stays broken, since nobody can tell where the next head would begin.

    Args:
        sender: "client" reads requests, "server" reads responses.
    """

    def __init__(self, sender: Sender) -> None:
        if sender not in ("client", "server"):
            raise ValueError(f'expected sender "client" or "server", got {sender!r}')
        self.sender: Sender = sender
        self.problem: Problem | None = None
        self._begin()

    def _begin(self) -> None:
        self._buffer = bytearray()
        self._scanned = 0  # no LF and no control character before this
        self._line_start = 0
        self._origin = 0  # 2 after a blank line before the request line
        self._start: tuple[str, str, str] | None = None
        self._fields: list[tuple[str, str, bytes, int]] = []

    def copy(self) -> HeadReader:
        """Return a reader in the same state that goes on independently."""
        twin = HeadReader(self.sender)
        twin.problem = self.problem
        twin._buffer = self._buffer[:]
        twin._scanned, twin._line_start = self._scanned, self._line_start
        twin._origin, twin._start = self._origin, self._start
        twin._fields = self._fields[:]
        return twin

    def feed(self, data: bytes) -> tuple[Request | Response | Problem | None, bytes]:
        """Take the next bytes; return a head, a Problem or None, and the bytes after it.

        None means that more bytes are needed. The bytes after a head are the body, the next head
        or, after 101, frames. A broken reader returns its Problem again and the data untouched.
        """
        if self.problem is not None:
            return self.problem, bytes(data)
        before = len(self._buffer)
        self._buffer += data[: MAX_HEAD_BYTES + 1 - before]  # +1: the byte that breaks the bound
        result: Request | Response | Problem | None = None
        end = before
        while result is None:
            limit = min(self._line_start + MAX_LINE_BYTES, MAX_HEAD_BYTES)
            stop = _STOP.search(self._buffer, self._scanned)
            at = stop.start() if stop else len(self._buffer)
            if self._scanned == 0 and self._buffer and (problem := self._check_first_byte()):
                result, end = problem, 1
            elif at >= limit and len(self._buffer) > limit:
                result, end = self._too_long(limit), limit + 1
            elif stop is None:
                self._scanned = at
                return None, b""
            elif self._buffer[at] != 0x0A:
                message = (
                    f"Byte {at - self._origin} is 0x{self._buffer[at]:02x}. A head is text: only "
                    "a tab, and CR LF at a line's end, may stand in it. Look whether the body or "
                    "frames began before the head's blank line."
                )
                result = self._wrong("no control characters", "RFC 9110 §5.5", message, at)
                end = at + 1
            else:
                end = self._scanned = at + 1
                result = self._take_line(bytes(self._buffer[self._line_start : at]), at)
                self._line_start = end
        if isinstance(result, Problem):
            self.problem = result
        self._begin()
        return result, bytes(data[end - before :])

    def _wrong(self, rule: str, section: str, message: str, at: int) -> Problem:
        return Problem(rule, section, message, at - self._origin)

    def _check_first_byte(self) -> Problem | None:
        """Name at once what would else look like an endless first line, such as TLS."""
        first = bytes(self._buffer[:1])
        if first in (b"\x16", b"\x15"):
            message = (
                "These bytes are TLS, not HTTP: one side speaks https or wss to a port where the "
                "other expects http or ws. Use the same on both sides."
            )
            return self._wrong("HTTP begins with text", "RFC 8446 §5.1", message, 0)
        if self.sender == "server":
            good, what, section = first == b"H", 'a status line, "HTTP/1.1 101 ..."', "RFC 9112 §4"
        else:
            good = first == b"\r" or _TOKEN_BYTE.match(first) is not None
            what, section = 'a request line, "GET / HTTP/1.1"', "RFC 9112 §3"
        if good or _STOP.match(first):  # a stop is dealt with where all stops are
            return None
        message = (
            f"Expected {what}; the first byte is 0x{first[0]:02x}. Either this is another "
            "protocol, or bytes before it went missing."
        )
        return self._wrong("a head begins with its start line", section, message, 0)

    def _too_long(self, limit: int) -> Problem:
        if limit == MAX_HEAD_BYTES:
            size, what, advice = MAX_HEAD_BYTES, "the head", "Is there no blank line at its end?"
        else:
            size, what, advice = MAX_LINE_BYTES, "the line", "Does it end in CR LF at all?"
        message = f"Expected {what} to end within {size} bytes; it goes on. {advice}"
        return self._wrong(f"{what} has a limit", "RFC 9110 §5.4", message, limit)

    def _take_line(self, line: bytes, at: int) -> Request | Response | Problem | None:
        """Take one line, without its LF, that ended at byte `at`."""
        number = len(self._fields) + (1 if self._start is None else 2)
        here = f"Line {number} ({len(line)} bytes from byte {self._line_start - self._origin})"
        if not line.endswith(b"\r"):
            message = f"{here} ends in LF alone. Every line of a head ends in CR LF: write \\r\\n."
            return self._wrong("lines end in CR LF", "RFC 9112 §2.2", message, at)
        line = line[:-1]
        if b"\r" in line:
            message = f"{here} holds a CR without LF. CR stands only at a line's end, before LF."
            return self._wrong("no bare CR", "RFC 9112 §2.2", message, at)
        if self._start is None:
            if not line and self.sender == "client" and not self._origin:
                # Old clients send a blank line after a body; RFC 9112 §2.2 says to pass over one.
                self._origin = at + 1
                return None
            return self._take_start_line(line.decode("latin-1"), here, at)
        if not line:
            return self._finish(at)
        return self._take_field(line, here, at)

    def _take_start_line(self, line: str, here: str, at: int) -> Problem | None:
        if self.sender == "server":
            match = _STATUS_LINE.fullmatch(line)
            rule, section, form = "status line", "RFC 9112 §4", "HTTP/1.1, status, reason"
            parts = (match[1], match[2], match[3] or "") if match else None
        else:
            match = _REQUEST_LINE.fullmatch(line)
            rule, section, form = "request line", "RFC 9112 §3", "method, target, HTTP/1.1"
            parts = (match[3], match[1], match[2]) if match else None
        if parts is None:
            message = f"{here} should be the {rule}: {form}, with one space between. It is not."
            return self._wrong(f"the form of the {rule}", section, message, at)
        if not parts[0].startswith("HTTP/1."):
            message = (
                f"{here} says {parts[0]}. Only HTTP/1.x is text that can be read here, and the "
                "WebSocket handshake of RFC 6455 needs HTTP/1.1."
            )
            return self._wrong("HTTP/1.x", "RFC 9112 §2.3", message, at)
        self._start = parts
        return None

    def _take_field(self, line: bytes, here: str, at: int) -> Problem | None:
        text = line.decode("latin-1")
        name, colon, value = text.partition(":")
        problem: tuple[str, str, str] | None = None
        if text[0] in " \t":
            problem = (
                "no folded lines",
                "RFC 9112 §5.2",
                "begins with white space, which once continued the line before. Write a header on "
                "one line.",
            )
        elif not colon:
            problem = (
                "the form of a header line",
                "RFC 9112 §5",
                'has no colon. A header is "Name: value"; a blank line ends the head.',
            )
        elif name != name.rstrip(" \t"):
            problem = (
                "no space before the colon",
                "RFC 9112 §5.1",
                "has white space between the name and the colon. Servers and proxies disagree on "
                "what that means, so it must be refused. Take it out.",
            )
        elif not TOKEN.fullmatch(name):
            problem = (
                "the name of a header",
                "RFC 9110 §5.1",
                "has a name that is no token: letters, digits and !#$%&'*+-.^_`|~ only.",
            )
        elif len(self._fields) == MAX_HEADERS:
            problem = ("a limit on headers", "RFC 9110 §5.4", f"is one more than {MAX_HEADERS}.")
        if problem:
            rule, section, what = problem
            return self._wrong(rule, section, f"{here} {what}", at)
        self._fields.append((name, value.strip(" \t"), line, self._line_start - self._origin))
        return None

    def _finish(self, at: int) -> Request | Response:
        assert self._start is not None
        version, first, second = self._start
        # Every browser still says Mozilla. A program can say so too: it is a claim, as all of this.
        is_browser = self.sender == "client" and any(
            name.lower() == "user-agent" and value.startswith("Mozilla/")
            for name, value, _, _ in self._fields
        )
        headers = tuple(
            Header(*entry, *explain(entry[0], self.sender, is_browser=is_browser))
            for entry in self._fields
        )
        raw = bytes(self._buffer[self._origin : at + 1])
        if self.sender == "client":
            return Request(first, second, version, headers, raw)
        return Response(int(first), second, version, headers, raw)


# ---------------------------------------------------------------------------------------------
# Lists in values

_PARAMETER_FORM = rf'({_TOKEN})(?:[ \t]*=[ \t]*(?:({_TOKEN})|"((?:[^"\\]|\\.)*)"))?'
_NAME_OR_PARAMETER = re.compile(rf"[ \t]*{_PARAMETER_FORM}[ \t]*")


def parse_token_list(value: str) -> list[str]:
    """Split a comma-separated value such as Connection's; white space and empty parts fall away.

    It judges nothing, so that a wrong value can still be shown (RFC 9110 §5.6.1).
    """
    return [part for part in (part.strip(" \t") for part in value.split(",")) if part]


def parse_extensions(value: str) -> list[Extension]:
    """Parse a Sec-WebSocket-Extensions value into [(name, [(parameter, value or None), ...]), ...].

    Raises:
        ValueError: the value does not follow the grammar (RFC 6455 §9.1).
    """
    extensions: list[Extension] = []
    at = 0
    separator = ","
    while True:
        match = _NAME_OR_PARAMETER.match(value, at)
        if match:
            name, token, quoted = match.groups()
            if quoted is not None:
                token = re.sub(r"\\(.)", r"\1", quoted)
            if separator == "," and token is None:
                extensions.append((name, []))
            elif separator == ";" and (token is None or TOKEN.fullmatch(token)):
                extensions[-1][1].append((name, token))
            else:
                match = None
        if match:
            at = match.end()
        elif separator == "," and value[at:].lstrip(" \t")[:1] in ("", ","):
            at = len(value) - len(value[at:].lstrip(" \t"))  # an empty part of a list is allowed
        else:
            break
        if at == len(value):
            return extensions
        separator = value[at]
        if separator not in ",;":
            break
        at += 1
    raise ValueError(
        'expected extensions such as "permessage-deflate; client_max_window_bits=12, other", got '
        f"{hide_secrets('', value)!r} (wrong from character {at} on); see RFC 6455 §9.1"
    )


# ---------------------------------------------------------------------------------------------
# Secrets

MARKER = "[redacted]"

# Sec-WebSocket-Key is not among them. It is a nonce: it travels in the open, serves one connection
# and gives access to nothing; its Accept can be computed by anyone, and lessons do.
_SECRET_HEADER = re.compile(
    r"cookie|authorization|token|secret|passw|passphrase|api[-_]?key|access[-_]?key|jwt|"
    r"signature|session|csrf|xsrf|(?:^|-)auth(?:-|$)",
    re.IGNORECASE,
)
_SECRET_PARAMETER = re.compile(
    r"token|secret|passw|passphrase|pwd|api[-_]?key|access[-_]?key|jwt|credential|sess|csrf|xsrf|"
    r"signature|^sig$|^sid$|^key$|^code$|^auth",
    re.IGNORECASE,
)
# Names of schemes are public, and worth showing: "Basic" or "Bearer" explains a 401.
_SCHEME = re.compile(
    r"((?:AWS4-HMAC-SHA256|Basic|Bearer|Digest|DPoP|Negotiate|NTLM|Token) +)\S.*",
    re.IGNORECASE | re.DOTALL,
)
# A value goes on to "&" or "#", whatever stands in it: better too much hidden than too little.
_PARAMETER = re.compile(r"([?&;#]([^=&;#?]*)=)([^&#]+)")
_USER_INFO = re.compile(r"(?<=://)[^/?#\s]+@")
# Some clients put a token where a subprotocol belongs, the only header that a page can choose.
_TOKEN_SUBPROTOCOLS = (
    "base64url.bearer.authorization.k8s.io",
    "v1.token.websocket.jupyter.org",
    "openai-insecure-api-key",
)
_WORDS = r"(?:bearer|token|authorization|auth|jwt|api[-_]?key|secret|password|session)"
_SECRET_SUBPROTOCOL = re.compile(_WORDS, re.IGNORECASE)
# Only a name, such as "access_token" in ["access_token", "eyJ..."]: the next part is the token.
_BARE_NAME = re.compile(
    rf"(?:[a-z]{{1,10}}[-_]?)?{_WORDS}(?:[-_]?(?:token|key|id))?", re.IGNORECASE
)
_MAX_SUBPROTOCOL = 64  # what is longer is no name
# Every repetition is bounded: a long body must not be looked through again from each place in it.
_IN_BODY = re.compile(
    r"""((?:token|secret|password|api[-_]?key|jwt|(?<=")s(?:id|ession)(?="))[\w-]{0,40}["']?\s{0,8}[:=]\s{0,8}["']?)"""
    r"""([^\s"'&<>,;]+)""",
    re.IGNORECASE,
)
_MIN_ECHO = 8  # shorter pieces of a secret are too common to be looked for elsewhere

H = TypeVar("H", Request, Response)


def hide_secrets(name: str, value: str) -> str:
    """Return a header's value with its secrets replaced by `MARKER`.

    Args:
        name: the header's name; "" for any other text, in which only URLs are looked at.
        value: the header's value, or a request's target.
    """
    if name.lower() == "sec-websocket-protocol":
        hidden = list(_hide_subprotocols(value))
        return value if hidden == parse_token_list(value) else ", ".join(hidden)
    if value and _SECRET_HEADER.search(name):
        scheme = _SCHEME.fullmatch(value) if "authorization" in name.lower() else None
        return (scheme[1] if scheme else "") + MARKER
    return _USER_INFO.sub(f"{MARKER}@", _PARAMETER.sub(_hide_parameter, value))


def _hide_parameter(match: re.Match[str]) -> str:
    before, name, value = match.groups()
    return before + (MARKER if _is_secret(name) or _holds_secret(value) else value)


def _is_secret(name: str) -> bool:
    return _SECRET_PARAMETER.search(unquote_plus(name).strip()) is not None


def _holds_secret(value: str) -> bool:
    """Tell whether a URL inside a parameter (?next=%2F%3Ftoken%3D...) has a secret."""
    for _ in range(4):
        if any(_is_secret(name) for name in re.findall(r"(?:^|[?&;#])([^=&;#?]*)=", value)):
            return True
        if _USER_INFO.search(value):
            return True
        decoded = unquote(value)
        if decoded == value:
            return False
        value = decoded
    return True  # wrapped so often that nobody can be sure


def _hide_subprotocols(value: str) -> Iterator[str]:
    is_next = False
    for part in parse_token_list(value):
        lower = part.lower()
        known = next((name for name in _TOKEN_SUBPROTOCOLS if lower.startswith(name)), None)
        word = _SECRET_SUBPROTOCOL.search(part)
        is_named, is_next = is_next, _BARE_NAME.fullmatch(part) is not None
        if is_next or part.endswith(MARKER) or lower == known:
            yield part
        elif is_named:
            yield MARKER
        elif known is not None:
            yield f"{part[: len(known)]}.{MARKER}"
        elif word is not None:
            yield f"{part[: word.end()]}.{MARKER}"
        elif part.startswith("eyJ") or len(part) > _MAX_SUBPROTOCOL:  # a JWT begins with {" so
            yield MARKER
        else:
            yield part


def find_secrets(head: Head) -> frozenset[str]:
    """Return the pieces of a head's secrets that would be recognised if they came up elsewhere."""
    texts = [("", head.target)] if isinstance(head, Request) else []
    texts += [(header.name, header.value) for header in head.headers]
    found: set[str] = set()
    for name, value in texts:
        hidden = hide_secrets(name, value)
        if hidden != value:
            for part in re.split(r'[\s;,&?#"]+', value):
                whole = (part, part.partition("=")[2], part.partition(".")[2])
                for piece in (*whole, *re.split(r"[=.]", part)):
                    for text in (piece, unquote(piece)):
                        if len(text) >= _MIN_ECHO and text not in hidden:
                            found.add(text)
    return frozenset(found)


def redact(head: H, reveal: bool = False, *, also: frozenset[str] = frozenset()) -> H:
    """Return the head without its secrets: names stay, values become `MARKER`.

    Cookies, credentials, headers and query parameters named like a token, tokens inside a
    Sec-WebSocket-Protocol, and the same pieces where the reason, the body, a chosen subprotocol
    or an unknown header repeats them. `raw` and the offsets are built anew, so that no field
    keeps a trace. A secret that nothing names, in a path or in a body, cannot be known.

    Args:
        head: a request or a response.
        reveal: True returns the head unchanged.
        also: more texts to hide where they are repeated: `find_secrets(request)` for the answer
            to that request.
    """
    if reveal:
        return head
    # The longest first, or a piece of it would leave the rest standing.
    echoes: list[str] = sorted(find_secrets(head) | also, key=len, reverse=True)

    def hide_echoes(text: str) -> str:
        for echo in echoes:
            text = text.replace(echo, MARKER)
        return text

    start = head.start_line
    if isinstance(head, Request):
        target = hide_secrets("", head.target)
        if target != head.target:
            start = f"{head.method} {target} {head.version}"
    else:
        reason = hide_echoes(head.reason)
        if reason != head.reason:
            start = f"{head.version} {head.status} {reason}"
    lines: list[bytes] = [start.encode("latin-1")]
    offset = len(lines[0]) + 2
    headers = []
    for header in head.headers:
        value = hide_secrets(header.name, header.value)
        if header.name.lower() == "sec-websocket-protocol":
            # A server may pick the token itself out of ["access_token", token].
            parts = parse_token_list(value)
            if not {*echoes}.isdisjoint(parts):
                value = ", ".join(MARKER if part in echoes else part for part in parts)
        elif header.name.lower() not in _KNOWN:
            value = hide_echoes(value)
        if value != header.value:
            raw = f"{header.name}: {value}".encode("latin-1")
            # What is said of a fault is said without the value (see Handshake), so it can stay.
            header = replace(header, value=value, raw=raw, redacted=True)
        headers.append(replace(header, offset=offset))
        lines.append(header.raw)
        offset += len(header.raw) + 2
    raw = b"\r\n".join([*lines, b"", b""])
    if isinstance(head, Request):
        return replace(head, target=target, headers=tuple(headers), raw=raw)
    body = hide_echoes(_IN_BODY.sub(rf"\1{MARKER}", head.body.decode("latin-1")))
    return replace(
        head, reason=reason, headers=tuple(headers), raw=raw, body=body.encode("latin-1")
    )
