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


class _Checks:
    """Collects the checks of one head; None where it did not come."""

    def __init__(self, head: Head | None, side: str) -> None:
        self.found: list[Check] = []
        self._head = head
        self._side = side

    def add(
        self,
        name: str,
        ok: bool,
        expected: str,
        header: str | None = None,
        *,
        got: str = "",
        section: str = "RFC 6455 §4.1",
    ) -> None:
        if not got:
            got = say_values(self._head, header or "") if self._head else "no answer"
        self.found.append(Check(name, ok, expected, got, section, header, self._side))


def check_request(request: Request) -> list[Check]:
    """Check a request by itself (RFC 6455 §4.1)."""
    checks = _Checks(request, "request")
    check, method, version = checks.add, request.method, request.version
    check("method", method == "GET", "GET", got=clip(method))
    check("HTTP version", _is_http_1_1(version), "HTTP/1.1 or later", got=version)
    target = hide_secrets("", request.target)
    good = re.match(r"/|https?://|wss?://", target, re.IGNORECASE) and "#" not in target
    expected = 'a path that begins with "/", without a fragment'
    check("target", bool(good), expected, got=clip(target))
    hosts = request.get_all("Host")
    check("Host", len(hosts) == 1 and hosts[0] != "", "the server's name, once", "Host")
    check("Upgrade", _has_token(request, "Upgrade", "websocket"), "websocket", "Upgrade")
    is_listed = _has_token(request, "Connection", "upgrade")
    check("Connection", is_listed, "a list with Upgrade in it", "Connection")
    versions = request.get_all("Sec-WebSocket-Version")
    check("version", versions == ("13",), "13, once", "Sec-WebSocket-Version")
    keys = request.get_all("Sec-WebSocket-Key")
    fault = check_key(keys[0]) if len(keys) == 1 else None
    shown = say_values(request, "Sec-WebSocket-Key")
    got = f"{shown}, which {fault}" if fault else shown
    good = len(keys) == 1 and fault is None
    check("key", good, "base64 of 16 bytes, once", "Sec-WebSocket-Key", got=got)
    if request.get_all("Sec-WebSocket-Protocol"):
        offered = _subprotocols(request)
        known = [name for name in offered if not name.endswith(MARKER)]
        is_list = bool(offered) and all(TOKEN.fullmatch(name) for name in known)
        good = is_list and len(set(known)) == len(known)
        expected = "tokens, each once, separated by commas"
        check("subprotocols", good, expected, "Sec-WebSocket-Protocol")
    if request.get_all("Sec-WebSocket-Extensions"):
        good = bool(read_extensions(request))
        expected, section = "name; parameter=value, separated by commas", "RFC 6455 §9.1"
        check("extensions", good, expected, "Sec-WebSocket-Extensions", section=section)
    return checks.found


def check_response(request: Request, response: Response | None) -> list[Check]:
    """Check an answer by itself and against its request (RFC 6455 §4.1, §4.2.2)."""
    checks = _Checks(response, "response")
    check = checks.add
    if response is None:
        check("status", False, "101")
        return checks.found
    # Without 101 it is an ordinary HTTP answer, to which the other rules do not apply.
    status, version = response.status, response.version
    check("status", status == 101, "101", got=str(status))
    if status != 101:
        return checks.found
    good, section = _is_http_1_1(version), "RFC 6455 §4.2.2"
    check("HTTP version", good, "HTTP/1.1 or later", got=version, section=section)
    # Stricter than for the request: the answer names the one protocol that was switched to.
    upgrade = ", ".join(response.get_all("Upgrade"))
    check("Upgrade", upgrade.lower() == "websocket", "websocket", "Upgrade")
    is_listed = _has_token(response, "Connection", "upgrade")
    check("Connection", is_listed, "a list with Upgrade in it", "Connection")
    key = request.get("Sec-WebSocket-Key")
    accept = accept_key(key) if key is not None else None
    good = accept is not None and response.get_all("Sec-WebSocket-Accept") == (accept,)
    expected = f"{accept}, once" if accept else "nothing: the request has no key to derive it from"
    check("Accept", good, expected, "Sec-WebSocket-Accept")
    if response.get_all("Sec-WebSocket-Protocol"):
        offered, chosen = _subprotocols(request), _chosen_subprotocols(request, response)
        # In a redacted request an offer that is all hidden could be the chosen one.
        good = len(chosen) == 1 and (chosen[0] in offered or MARKER in offered)
        got = repr(clip(", ".join(chosen)))
        check("subprotocol", good, _one_of("one", offered), "Sec-WebSocket-Protocol", got=got)
    if response.get_all("Sec-WebSocket-Extensions"):
        names = [name for name, _ in read_extensions(request) or []]
        agreed = read_extensions(response)
        good = bool(agreed) and all(name in names for name, _ in agreed or [])
        check("extensions", good, _one_of("some", names), "Sec-WebSocket-Extensions")
    return checks.found


def _one_of(how_many: str, names: list[str]) -> str:
    if not names:
        return "none, as offered"
    return f"{how_many} of those offered: {clip(', '.join(names))}"


def _chosen_subprotocols(request: Request, response: Response) -> list[str]:
    """Return what an answer picked; what the offer hides is hidden in the choice, too."""
    name = "Sec-WebSocket-Protocol"
    plain = parse_token_list(", ".join(request.get_all(name)))
    hidden = dict(zip(plain, _subprotocols(request), strict=True))
    chosen = parse_token_list(", ".join(response.get_all(name)))
    return [
        hidden.get(each, shown) for each, shown in zip(chosen, _subprotocols(response), strict=True)
    ]
