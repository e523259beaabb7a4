"""Bytes to HTTP/1.x heads, and what breaks their form (RFC 9112).

Its rule: bytes that break HTTP become a `Problem` value, never an exception, and whatever the
chunks, the same bytes give the same result. Any head will do: a WebSocket upgrade, a poll or an
event stream. Left out: bodies, and what makes a head a good WebSocket handshake.
"""

from __future__ import annotations

import re

from ..sender import Sender
from .field_values import TOKEN, TOKEN_FORM
from .header_purposes import explain
from .heads import Header, Problem, Request, Response

__all__ = ["HeadReader"]

# An observer must not be stricter than those it watches (websockets: 8 KiB a line, 128 headers),
# and must still be bounded: a peer that never sends a blank line may not fill the memory.
MAX_HEAD_BYTES = 64 * 1024
MAX_LINE_BYTES = 16 * 1024  # one line with its CR LF
MAX_HEADERS = 256

# LF ends a line; no other control character but HTAB and CR may stand in a head.
_STOP = re.compile(rb"[\x00-\x08\x0a-\x0c\x0e-\x1f\x7f]")
_TOKEN_BYTE = re.compile(TOKEN_FORM[:-1].encode())
_REQUEST_LINE = re.compile(rf"({TOKEN_FORM}) ([^ \t]+) (HTTP/[0-9]\.[0-9])")
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
