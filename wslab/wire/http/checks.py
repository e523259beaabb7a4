"""The rules of the opening handshake, one by one, on both heads (RFC 6455 §4).

Its rule: it judges what it is given and never raises for what came over the wire; no text of its
own shows a secret.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .accept import accept_key, check_key
from .extensions import Extension, parse_extensions
from .field_values import TOKEN, parse_token_list
from .heads import Head, Request, Response
from .secret_values import MARKER, hide_secrets

__all__ = [
    "Check", "check_request", "check_response", "clip", "list_tokens", "read_extensions",
    "say_values",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Check:
    """One rule of the handshake and how this one kept it.

    Attributes:
        name: the rule's subject in a word or two.
        ok: whether it was kept.
        expected: what the rule wants.
        got: what came, shortened, without secrets.
        section: where the rule is written.
        header: the header it is about, or None for the start line.
        side: the head it is about: "request" or "response".
    """

    name: str
    ok: bool
    expected: str
    got: str
    section: str
    header: str | None
    side: str = "request"


def clip(text: str, size: int = 100) -> str:
    return text if len(text) <= size else f"{text[: size - 3]}..."


def say_values(head: Head, name: str) -> str:
    """Return a header's values for a text: without secrets, shortened."""
    values = [hide_secrets(name, value) for value in head.get_all(name)]
    if not values:
        return "no such header"
    text = clip(" and ".join(repr(value) for value in values))
    return text if len(values) == 1 else f"{len(values)} times: {text}"


def list_tokens(head: Head, name: str) -> list[str]:
    return [token for value in head.get_all(name) for token in parse_token_list(value)]


def _has_token(head: Head, name: str, token: str) -> bool:
    return token in (each.lower() for each in list_tokens(head, name))


def _is_http_1_1(version: str) -> bool:
    # HeadReader lets no HTTP/2 through: there the handshake is another one (RFC 8441).
    return version.startswith("HTTP/1.") and version != "HTTP/1.0"


def _subprotocols(head: Head) -> list[str]:
    """Return the subprotocols as they may be shown and compared: tokens that are secrets hidden."""
    name = "Sec-WebSocket-Protocol"
    return parse_token_list(hide_secrets(name, ", ".join(head.get_all(name))))


def read_extensions(head: Head) -> list[Extension] | None:
    """Return the extensions of a head, or None where they do not follow the grammar."""
    try:
        return parse_extensions(", ".join(head.get_all("Sec-WebSocket-Extensions")))
    except ValueError:
        return None


def check_request(request: Request) -> list[Check]:
    checks: list[Check] = []

    def check(
        name: str, ok: bool, expected: str, section: str, *, header: str | None, got: str = ""
    ) -> None:
        got = got or say_values(request, header or "")
        checks.append(Check(name, ok, expected, got, section, header))

    method, version = request.method, request.version
    check("method", method == "GET", "GET", "RFC 6455 §4.1", header=None, got=clip(method))
    check(
        "HTTP version",
        _is_http_1_1(version),
        "HTTP/1.1 or later",
        "RFC 6455 §4.1",
        header=None,
        got=version,
    )
    target = hide_secrets("", request.target)
    check(
        "target",
        re.match(r"/|https?://|wss?://", target, re.IGNORECASE) is not None and "#" not in target,
        'a path that begins with "/", without a fragment',
        "RFC 6455 §4.1",
        header=None,
        got=clip(target),
    )
    hosts = request.get_all("Host")
    good = len(hosts) == 1 and hosts[0] != ""
    check("Host", good, "the server's name, once", "RFC 6455 §4.1", header="Host")
    check(
        "Upgrade",
        _has_token(request, "Upgrade", "websocket"),
        "websocket",
        "RFC 6455 §4.1",
        header="Upgrade",
    )
    check(
        "Connection",
        _has_token(request, "Connection", "upgrade"),
        "a list with Upgrade in it",
        "RFC 6455 §4.1",
        header="Connection",
    )
    versions = request.get_all("Sec-WebSocket-Version")
    check(
        "version", versions == ("13",), "13, once", "RFC 6455 §4.1", header="Sec-WebSocket-Version"
    )
    keys = request.get_all("Sec-WebSocket-Key")
    fault = check_key(keys[0]) if len(keys) == 1 else None
    shown = say_values(request, "Sec-WebSocket-Key")
    check(
        "key",
        len(keys) == 1 and fault is None,
        "base64 of 16 bytes, once",
        "RFC 6455 §4.1",
        header="Sec-WebSocket-Key",
        got=f"{shown}, which {fault}" if fault else shown,
    )
    if request.get_all("Sec-WebSocket-Protocol"):
        offered = _subprotocols(request)
        known = [name for name in offered if not name.endswith(MARKER)]
        check(
            "subprotocols",
            bool(offered)
            and len(set(known)) == len(known)
            and all(TOKEN.fullmatch(name) for name in known),
            "tokens, each once, separated by commas",
            "RFC 6455 §4.1",
            header="Sec-WebSocket-Protocol",
        )
    if request.get_all("Sec-WebSocket-Extensions"):
        check(
            "extensions",
            bool(read_extensions(request)),
            "name; parameter=value, separated by commas",
            "RFC 6455 §9.1",
            header="Sec-WebSocket-Extensions",
        )
    return checks


def check_response(request: Request, response: Response | None) -> list[Check]:
    checks: list[Check] = []

    def check(
        name: str, ok: bool, expected: str, section: str, *, header: str | None, got: str = ""
    ) -> None:
        got = got or (say_values(response, header or "") if response else "no answer")
        checks.append(Check(name, ok, expected, got, section, header, "response"))

    if response is None:
        check("status", False, "101", "RFC 6455 §4.1", header=None)
        return checks
    # Without 101 it is an ordinary HTTP answer, to which the other rules do not apply.
    status = response.status
    check("status", status == 101, "101", "RFC 6455 §4.1", header=None, got=str(status))
    if status != 101:
        return checks
    version = response.version
    check(
        "HTTP version",
        _is_http_1_1(version),
        "HTTP/1.1 or later",
        "RFC 6455 §4.2.2",
        header=None,
        got=version,
    )
    # Stricter than for the request: the answer names the one protocol that was switched to.
    upgrade = ", ".join(response.get_all("Upgrade"))
    good = upgrade.lower() == "websocket"
    check("Upgrade", good, "websocket", "RFC 6455 §4.1", header="Upgrade")
    check(
        "Connection",
        _has_token(response, "Connection", "upgrade"),
        "a list with Upgrade in it",
        "RFC 6455 §4.1",
        header="Connection",
    )
    key = request.get("Sec-WebSocket-Key")
    accept = accept_key(key) if key is not None else None
    check(
        "Accept",
        accept is not None and response.get_all("Sec-WebSocket-Accept") == (accept,),
        f"{accept}, once" if accept else "nothing: the request has no key to derive it from",
        "RFC 6455 §4.1",
        header="Sec-WebSocket-Accept",
    )
    offered = _subprotocols(request)
    if response.get_all("Sec-WebSocket-Protocol"):
        # What is hidden in the offer, because of the word before it, is hidden in the choice.
        plain = parse_token_list(", ".join(request.get_all("Sec-WebSocket-Protocol")))
        hidden = dict(zip(plain, offered, strict=True))
        chosen = [
            hidden.get(name, shown)
            for name, shown in zip(
                parse_token_list(", ".join(response.get_all("Sec-WebSocket-Protocol"))),
                _subprotocols(response),
                strict=True,
            )
        ]
        check(
            "subprotocol",
            len(chosen) == 1
            # In a redacted request an offer that is all hidden could be the chosen one.
            and (chosen[0] in offered or MARKER in offered),
            f"one of those offered: {clip(', '.join(offered))}" if offered else "none, as offered",
            "RFC 6455 §4.1",
            header="Sec-WebSocket-Protocol",
            got=repr(clip(", ".join(chosen))),
        )
    if response.get_all("Sec-WebSocket-Extensions"):
        names = [name for name, _ in read_extensions(request) or []]
        agreed = read_extensions(response)
        check(
            "extensions",
            bool(agreed) and all(name in names for name, _ in agreed or []),
            f"some of those offered: {clip(', '.join(names))}" if names else "none, as offered",
            "RFC 6455 §4.1",
            header="Sec-WebSocket-Extensions",
        )
    return checks
