"""Taking the secrets out of heads, of bodies, and of bytes that are no whole head.

Its rule: names stay, values become `MARKER`, and no field keeps a trace. Where the length counts,
as in a body, as many bytes come out as went in, so that a Content-Length stays true and what breaks
the rules of HTTP breaks them still.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import unquote

from .field_values import parse_token_list
from .header_purposes import is_known
from .heads import Head, HeadOf, Request
from .secret_values import MARKER, hide_secrets, hide_session

__all__ = ["find_secrets", "redact", "redact_body", "redact_bytes", "redact_partial_head"]

# In bytes that are no whole head, secrets cannot be told from the rest: all that could be one goes,
# and what breaks the rules stays, so that the same Problem is found again.
_VISIBLE = bytes(byte if byte <= 0x20 or byte == 0x7F else ord("x") for byte in range(256))
_VISIBLE_IN_TARGET = re.compile(rb"[^\x00-\x20\x7f/]")
_ALPHANUMERIC = re.compile(rb"[0-9A-Za-z]")
_PUBLIC = re.compile(rb"[A-Z]{1,16}|HTTP/[0-9]\.[0-9]\r?|[0-9]{3}")
_MIN_PIECE = 4  # of a secret at the end of a piece of a body; shorter ones are too common
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,40}[ \t]*")

# Every repetition is bounded: a long body must not be looked through again from each place in it.
_IN_BODY = re.compile(
    r"""((?:token|secret|password|api[-_]?key|jwt|(?<=")(?:[sp]id|session)(?="))[\w-]{0,40}["']?\s{0,8}[:=]\s{0,8}["']?|(?<=")authenticate"\s{0,8},\s{0,8}")"""
    r"""([^\s"'&<>,;]+)""",
    re.IGNORECASE,
)
_MIN_ECHO = 8  # shorter pieces of a secret are too common to be looked for elsewhere


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


def redact(head: HeadOf, reveal: bool = False, *, also: frozenset[str] = frozenset()) -> HeadOf:
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
        elif not is_known(header.name):
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


def redact_bytes(data: bytes) -> bytes:
    """Replace what could be a secret in bytes that are no part of a head."""
    return data.translate(_VISIBLE)


def redact_partial_head(data: bytes) -> bytes:
    """Replace what could be a secret in the beginning of a head; names and shape stay."""
    first, *others = data.split(b"\n")
    blank = [first] if first == b"\r" and others else []  # a request may have one before it
    if blank:
        first, *others = others
    words = first.split(b" ")
    for nth, word in enumerate(words):
        if nth in (0, 1, len(words) - 1) and _PUBLIC.fullmatch(word):
            continue
        if nth:
            words[nth] = _VISIBLE_IN_TARGET.sub(b"x", word)
        else:  # the first byte alone tells HTTP from other protocols
            words[nth] = word[:1] + _ALPHANUMERIC.sub(b"x", word[1:])
    lines = [*blank, b" ".join(words)]
    for line in others:
        name, colon, value = line.partition(b":")
        if colon and _NAME.fullmatch(name):
            lines.append(name + colon + redact_bytes(value))
        else:
            lines.append(_ALPHANUMERIC.sub(b"x", line))
    return b"\n".join(lines)


def redact_body(data: bytes, secrets: Iterable[str], before: bytes = b"") -> bytes:
    """Overwrite secrets in a piece of a body; its length stays.

    Args:
        data: bytes of a body.
        secrets: texts to hide, beside what is named like a secret.
        before: the last bytes of the body before these, as they came: a secret may be cut in two.
    """
    text = (before + data).decode("latin-1")
    # The longest first, or a piece of it would leave the rest standing.
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, _marker(len(secret)))
        for size in range(len(secret) - 1, _MIN_PIECE - 1, -1):
            if text.endswith(secret[:size]):
                text = text[:-size] + _marker(len(secret))[:size]
                break

    def hide(match: re.Match[str]) -> str:
        name, value = match.groups()
        # One that is cut in two has no mark: that would be another than the whole one's.
        is_whole = match.start() >= len(before) and text[match.end() : match.end() + 1] == '"'
        if is_whole and name[:3].lower() == "sid":
            return name + hide_session(value, len(value))
        return name + _marker(len(value))

    text = _IN_BODY.sub(hide, text)
    return text.encode("latin-1")[len(before) :]


def _marker(size: int) -> str:
    return MARKER[:size].ljust(size, "*")
