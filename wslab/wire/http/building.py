"""Heads of a handshake made by hand, right or spoiled on purpose (RFC 6455 §4).

Its rule: what is given goes onto the wire as it is, but no text can begin another line.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus

from .accept import accept_key
from .field_values import TOKEN

__all__ = ["build_request", "build_response"]

Headers = Mapping[str, str] | Iterable[tuple[str, str]]


def build_request(
    target: str,
    host: str,
    key: str,
    *,
    headers: Headers = (),
    omit: Iterable[str] = (),
    method: str = "GET",
    version: str = "HTTP/1.1",
) -> bytes:
    """Build the bytes of a handshake's request, right or spoiled on purpose (RFC 6455 §4.1).

    Args:
        target: path and query, such as "/chat".
        host: host and port, such as "127.0.0.1:8765".
        key: base64 of 16 random bytes; it is not checked, so that a lesson can send a wrong one.
        headers: more headers; one that is named like a default takes its place.
        omit: names to leave out, in any case.
        method, version: for a lesson about wrong ones.

    Raises:
        ValueError: a text holds CR, LF or what else would end the line and begin another.
    """
    defaults = [
        ("Host", host),
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Key", key),
        ("Sec-WebSocket-Version", "13"),
    ]
    for what, text in (("method", method), ("target", target), ("version", version)):
        _refuse_injection(what, text)
        if not text or " " in text or "\t" in text:
            raise ValueError(
                f"expected a {what} without white space, got {text!r}: spaces separate the parts "
                "of a request line; write %20 for a space in a target"
            )
    return _build(f"{method} {target} {version}", defaults, headers, omit)


def build_response(
    status: int = 101,
    *,
    key: str | None = None,
    headers: Headers = (),
    omit: Iterable[str] = (),
    reason: str | None = None,
    body: bytes = b"",
) -> bytes:
    """Build the bytes of an answer, right or spoiled on purpose (RFC 6455 §4.2.2).

    Args:
        status: 101 switches to WebSocket; any other is a plain HTTP answer that closes.
        key: the request's Sec-WebSocket-Key, from which a 101 derives its Accept.
        headers: more headers; one that is named like a default takes its place.
        omit: names to leave out, in any case.
        reason: the words after the status; the usual ones if None.
        body: what follows the head, for any status but 101.

    Raises:
        ValueError: as for `build_request`; or a 101 has no key, or has a body.
    """
    if not 100 <= status <= 999:
        raise ValueError(f"expected a status of three digits, 100 to 999, got {status}")
    pairs = _pairs(headers)
    omit = _names(omit)
    if reason is None:
        try:
            reason = HTTPStatus(status).phrase
        except ValueError:
            reason = ""
    _refuse_injection("reason", reason)
    if status == 101:
        if body:
            raise ValueError(
                "expected no body with 101, got one: after its blank line frames follow; send them "
                "on their own"
            )
        defaults = [("Upgrade", "websocket"), ("Connection", "Upgrade")]
        if key is not None:
            defaults.append(("Sec-WebSocket-Accept", accept_key(key)))
        elif "sec-websocket-accept" not in {*omit, *(name.lower() for name, _ in pairs)}:
            raise ValueError(
                "expected key=, the request's Sec-WebSocket-Key, from which Accept is derived; to "
                'answer without, say omit=["Sec-WebSocket-Accept"]'
            )
    else:
        defaults = [("Connection", "close"), ("Content-Length", str(len(body)))]
        if status < 200 or status in (204, 304):  # these never have a body, nor its length
            defaults.pop()
    return _build(f"HTTP/1.1 {status} {reason}", defaults, pairs, omit) + body


def _build(
    start: str, defaults: list[tuple[str, str]], headers: Headers, omit: Iterable[str]
) -> bytes:
    given = _pairs(headers)
    lines: list[tuple[str, str]] = []
    for default in defaults:
        same = [pair for pair in given if pair[0].lower() == default[0].lower()]
        lines += same or [default]
        given = [pair for pair in given if pair not in same]
    omitted = _names(omit)
    text = start + "\r\n"
    for name, value in lines + given:
        if name.lower() in omitted:
            continue
        if not TOKEN.fullmatch(name):
            raise ValueError(
                f"expected a header's name of letters, digits and hyphens, got {name!r}: a colon, "
                "a space or a line's end in it would make it another header"
            )
        _refuse_injection(f"value of {name}", value)
        text += f"{name}: {value}\r\n"
    try:
        return f"{text}\r\n".encode("latin-1")
    except UnicodeEncodeError as exc:
        raise ValueError(
            f"expected ASCII in a head, got {text[exc.start : exc.end]!r}: percent-encode it in a "
            "target, or put it into a message after the handshake"
        ) from None


def _pairs(headers: Headers) -> list[tuple[str, str]]:
    return list(headers.items() if isinstance(headers, Mapping) else headers)


def _names(names: Iterable[str]) -> frozenset[str]:
    # A lone name would else be taken apart into letters, and nothing would be left out.
    return frozenset(name.lower() for name in ([names] if isinstance(names, str) else names))


def _refuse_injection(what: str, text: str) -> None:
    match = re.search(r"[\x00-\x08\x0a-\x1f\x7f]", text)
    if match:
        # The text itself is not shown: what needs this guard came from outside, or is a secret.
        raise ValueError(
            f"expected a {what} on one line, got {match[0]!r} at character {match.start()}: what "
            "follows a CR LF would be read as a header of its own, or as a second request. That is "
            "header injection, so check where the text comes from"
        )
