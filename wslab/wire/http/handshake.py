"""The opening handshake of a WebSocket: how HTTP stops being HTTP (RFC 6455 §4).

Both heads are checked rule by rule, Sec-WebSocket-Accept is derived step by step, and a refusal
is told in words. One rule: it judges what it is given and never raises for what came over the
wire; what cannot be known from two heads is said to be a guess. Reading heads from bytes, and
redaction, are in `headers.py`, whose names are here too.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus

from .headers import (
    MARKER,
    TOKEN,
    Extension,
    H,
    Head,
    Header,
    HeadReader,
    Problem,
    Request,
    Response,
    Sender,
    explain,
    find_secrets,
    hide_secrets,
    parse_extensions,
    parse_token_list,
    redact,
)

__all__ = [
    "GUID",
    "MARKER",
    "AcceptDerivation",
    "Check",
    "Extension",
    "Handshake",
    "Head",
    "HeadReader",
    "Header",
    "Problem",
    "Request",
    "Response",
    "Sender",
    "accept_key",
    "build_request",
    "build_response",
    "check_key",
    "derive_accept",
    "explain",
    "find_secrets",
    "parse_extensions",
    "parse_token_list",
    "redact",
]

# Chosen once by the authors of RFC 6455 (§1.3): no other protocol would ever put it after a key,
# so whoever sends the right Accept knows WebSocket and is not echoing or caching by accident.
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

# ---------------------------------------------------------------------------------------------
# Key to Accept


@dataclass(frozen=True, slots=True)
class AcceptDerivation:
    """Every step from a Sec-WebSocket-Key to its Sec-WebSocket-Accept (RFC 6455 §4.2.2).

    Attributes:
        key: as it stands in the request. It is text here and is not decoded.
        guid: the constant of RFC 6455.
        concatenated: key and guid.
        sha1: the digest of concatenated, 20 bytes.
        accept: base64 of sha1, 28 characters.
        key_fault: why the key is not one that a client may send, or None. The derivation works for
            any text, so a server that forgets to check would answer it.
    """

    key: str
    guid: str
    concatenated: str
    sha1: bytes
    accept: str
    key_fault: str | None


def derive_accept(key: str) -> AcceptDerivation:
    """Derive Sec-WebSocket-Accept from Sec-WebSocket-Key, keeping every step.

    Args:
        key: the header's value; white space around it does not count (RFC 6455 §4.2.2).

    Raises:
        ValueError: the key has characters that cannot stand in a header.
    """
    key = key.strip(" \t")
    concatenated = key + GUID
    try:
        # What HeadReader decoded as ISO 8859-1 becomes the bytes of the wire again.
        sha1 = hashlib.sha1(concatenated.encode("latin-1"), usedforsecurity=False).digest()
    except UnicodeEncodeError:
        raise ValueError(
            f"expected a key of ASCII characters, got {key!r}; a key is base64 of 16 bytes"
        ) from None
    accept = base64.b64encode(sha1).decode("ascii")
    return AcceptDerivation(key, GUID, concatenated, sha1, accept, check_key(key))


def accept_key(key: str) -> str:
    """Return the Sec-WebSocket-Accept that answers a key (RFC 6455 §4.2.2)."""
    return derive_accept(key).accept


def check_key(key: str) -> str | None:
    """Return what is wrong with a Sec-WebSocket-Key, or None: it must be base64 of 16 bytes."""
    try:
        nonce = base64.b64decode(key.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        return "is not base64"
    return None if len(nonce) == 16 else f"is base64 of {len(nonce)} bytes, not of 16"


# ---------------------------------------------------------------------------------------------
# The rules


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


def _clip(text: str, size: int = 100) -> str:
    return text if len(text) <= size else f"{text[: size - 3]}..."


def _shown(head: Head, name: str) -> str:
    """Return a header's values for a text: without secrets, shortened."""
    values = [hide_secrets(name, value) for value in head.get_all(name)]
    if not values:
        return "no such header"
    text = _clip(" and ".join(repr(value) for value in values))
    return text if len(values) == 1 else f"{len(values)} times: {text}"


def _tokens(head: Head, name: str) -> list[str]:
    return [token for value in head.get_all(name) for token in parse_token_list(value)]


def _has_token(head: Head, name: str, token: str) -> bool:
    return token in (each.lower() for each in _tokens(head, name))


def _is_http_1_1(version: str) -> bool:
    # HeadReader lets no HTTP/2 through: there the handshake is another one (RFC 8441).
    return version.startswith("HTTP/1.") and version != "HTTP/1.0"


def _subprotocols(head: Head) -> list[str]:
    """Return the subprotocols as they may be shown and compared: tokens that are secrets hidden."""
    name = "Sec-WebSocket-Protocol"
    return parse_token_list(hide_secrets(name, ", ".join(head.get_all(name))))


def _read_extensions(head: Head) -> list[Extension] | None:
    """Return the extensions of a head, or None where they do not follow the grammar."""
    try:
        return parse_extensions(", ".join(head.get_all("Sec-WebSocket-Extensions")))
    except ValueError:
        return None


def _check_request(request: Request) -> list[Check]:
    checks: list[Check] = []

    def check(
        name: str, ok: bool, expected: str, section: str, *, header: str | None, got: str = ""
    ) -> None:
        got = got or _shown(request, header or "")
        checks.append(Check(name, ok, expected, got, section, header))

    method, version = request.method, request.version
    check("method", method == "GET", "GET", "RFC 6455 §4.1", header=None, got=_clip(method))
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
        got=_clip(target),
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
    shown = _shown(request, "Sec-WebSocket-Key")
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
            bool(_read_extensions(request)),
            "name; parameter=value, separated by commas",
            "RFC 6455 §9.1",
            header="Sec-WebSocket-Extensions",
        )
    return checks


def _check_response(request: Request, response: Response | None) -> list[Check]:
    checks: list[Check] = []

    def check(
        name: str, ok: bool, expected: str, section: str, *, header: str | None, got: str = ""
    ) -> None:
        got = got or (_shown(response, header or "") if response else "no answer")
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
            f"one of those offered: {_clip(', '.join(offered))}" if offered else "none, as offered",
            "RFC 6455 §4.1",
            header="Sec-WebSocket-Protocol",
            got=repr(_clip(", ".join(chosen))),
        )
    if response.get_all("Sec-WebSocket-Extensions"):
        names = [name for name, _ in _read_extensions(request) or []]
        agreed = _read_extensions(response)
        check(
            "extensions",
            bool(agreed) and all(name in names for name, _ in agreed or []),
            f"some of those offered: {_clip(', '.join(names))}" if names else "none, as offered",
            "RFC 6455 §4.1",
            header="Sec-WebSocket-Extensions",
        )
    return checks


def _with_faults(head: H, checks: Iterable[Check]) -> H:
    """Return the head with every broken rule written on the headers that it is about."""
    faults = {
        check.header.lower(): f"Expected {check.expected}; got {check.got} ({check.section})."
        for check in checks
        if check.header is not None and not check.ok
    }
    headers = tuple(
        replace(header, fault=faults.get(header.name.lower())) for header in head.headers
    )
    return replace(head, headers=headers)


@dataclass(frozen=True)
class Handshake:
    """A request and what came back, judged as a WebSocket handshake (RFC 6455 §4).

    The headers of `request` and `response` carry their `fault` here. No text that this makes
    shows a secret, but the heads are kept as given: make it from redacted ones to show them.

    Attributes:
        request: what the client sent.
        response: what came back, or None where nothing did.
        checks: every rule on both sides, in the order of the RFC.
    """

    request: Request
    response: Response | None
    checks: tuple[Check, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        asked = _check_request(self.request)
        answered = _check_response(self.request, self.response)
        object.__setattr__(self, "checks", (*asked, *answered))
        object.__setattr__(self, "request", _with_faults(self.request, asked))
        if self.response is not None:
            object.__setattr__(self, "response", _with_faults(self.response, answered))

    @property
    def accepted(self) -> bool:
        """Whether the answer is 101 and every rule was kept on both sides."""
        return all(check.ok for check in self.checks)

    @property
    def broken(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if not check.ok)

    @property
    def is_upgraded(self) -> bool:
        """Whether the answer is 101, right or wrong."""
        return self.response is not None and self.response.status == 101

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the server picked, or None."""
        if self.response is None or not self.is_upgraded:
            return None
        return self.response.get("Sec-WebSocket-Protocol")

    @property
    def extensions(self) -> list[Extension]:
        """The extensions in force: [(name, [(parameter, value or None), ...]), ...]."""
        if self.response is None or not self.is_upgraded:
            return []
        return _read_extensions(self.response) or []

    @property
    def why_refused(self) -> str:
        """Why there is no WebSocket, as far as two heads can tell; empty if accepted."""
        return _explain_refusal(self)[0]

    @property
    def suspect(self) -> str | None:
        """The request's header that led to the refusal, surely or probably; None if untold."""
        return _explain_refusal(self)[1]


# ---------------------------------------------------------------------------------------------
# Refusals

_MEANINGS = {
    304: "The server takes this for a question about a page that the client has already.",
    400: "The server could not take the request as a WebSocket handshake.",
    401: "The server wants to know who asks, and has not been told to its satisfaction.",
    403: "The server understood the request and will not serve it.",
    404: "The server is there, but it has nothing at this path.",
    405: "This path does not take the request's method.",
    407: "A proxy on the way, not the server, wants credentials before it lets the request pass.",
    408: "The server waited for the end of the request's head and gave up.",
    426: "This address talks only after an upgrade, and this request did not ask for one it takes.",
    429: "Too many requests came from this client: the server asks it to slow down.",
    431: "The request's headers are too large for the server.",
    500: "The server took the request and failed over it: its log has the reason.",
    501: "The server does not know how to do what was asked.",
    502: "A proxy answered: it got no valid answer from the server behind it, which may be down, "
    "restarting, on another port, or not able to speak WebSocket.",
    503: "The server, or a proxy in front of it, cannot serve now: it is overloaded or starting.",
    504: "A proxy answered: the server behind it did not answer in time.",
    505: "The server does not take this version of HTTP for a WebSocket.",
}
_CLASSES = {
    1: "This is an interim answer: the real one follows it.",
    2: "This is a page, not a socket: the server answered as to plain HTTP and did not switch.",
    3: "The server sends the client elsewhere. A browser does not follow a redirect for a "
    "WebSocket, and other clients need not: connect to the new address yourself.",
    4: "The server finds the request at fault.",
    5: "The server, or a proxy in front of it, failed.",
}
_LARGE_BYTES = 1024  # servers' limits begin at a few KiB for a header or for all of them
# A broken rule of the request is looked for in this order: the first explains the rest.
_FIRST = ("Upgrade", "Connection", "Sec-WebSocket-Version", "Sec-WebSocket-Key", "Host")


def _explain_refusal(handshake: Handshake) -> tuple[str, str | None]:
    """Return (text, the request's header that is to blame or None)."""
    if handshake.accepted:
        return "", None
    request, response = handshake.request, handshake.response
    broken = [check for check in handshake.broken if check.side == "request"]
    broken.sort(key=lambda c: _FIRST.index(c.header) if c.header in _FIRST else len(_FIRST))
    blamed = next((check.header for check in broken if check.header), None)
    rules = " ".join(
        f"The request breaks a rule: {check.name} should be {check.expected}; got {check.got} "
        f"({check.section})."
        for check in broken
    )
    if response is None:
        text = (
            "No answer came: the connection ended, or the record does, before the head of an "
            "answer was complete. The server may have closed without a word, speak TLS (then use "
            "wss), or speak something else than HTTP; which of them cannot be known from here."
        )
        return _join(text, rules), blamed
    if response.status == 101:
        return _explain_bad_switch(handshake, rules), blamed
    status = response.status
    meaning = _MEANINGS.get(status) or _CLASSES.get(status // 100) or "No known status."
    cause, suspect = _find_cause(request, response, broken)
    if broken and suspect is None:
        suspect = blamed
    words = _own_words(request, response)
    return _join(f"{_name(response)}: {meaning}", cause, rules, words), suspect


def _explain_bad_switch(handshake: Handshake, rules: str) -> str:
    wrong = [check for check in handshake.broken if check.side == "response"]
    if not wrong:
        return _join(
            "101, although the request is wrong: a server that checks would have refused it.", rules
        )
    found = " ".join(
        f"{check.name} should be {check.expected}; got {check.got} ({check.section})."
        for check in wrong
    )
    return _join("101, but the answer is wrong, so the client must not open:", found, rules)


def _name(response: Response) -> str:
    try:
        return f"{response.status} {HTTPStatus(response.status).phrase}"
    except ValueError:
        return f"{response.status}"


def _join(*texts: str) -> str:
    return " ".join(text for text in texts if text)


def _find_cause(
    request: Request, response: Response, broken: list[Check]
) -> tuple[str, str | None]:
    """Return (what probably led to this status, the request's header to blame or None)."""
    status = response.status
    spoken = _tokens(response, "Sec-WebSocket-Version")
    asked = request.get("Sec-WebSocket-Version")
    if status >= 400 and spoken and asked not in spoken:
        # The one refusal whose cause the RFC makes the server name (§4.4).
        return (
            f"The answer lists the versions that the server speaks ({_clip(', '.join(spoken))}): "
            f"the cause is Sec-WebSocket-Version, {_shown(request, 'Sec-WebSocket-Version')}.",
            "Sec-WebSocket-Version",
        )
    if status in (400, 426) or 200 <= status < 300:
        return _find_cause_in_request(request, response, broken)
    if 300 <= status < 400 and status != 304:
        return _find_redirect(response), None
    if status in (401, 403):
        return _find_missing_leave(request, response)
    if status == 404:
        path = hide_secrets("", request.target).partition("?")[0]
        return (
            f"Check the path {_clip(path)!r}. Some proxies and frameworks also say 404 for a "
            "WebSocket that they do not pass on.",
            None,
        )
    if status == 405:
        allowed = _clip(", ".join(_tokens(response, "Allow")))
        taken = f" It takes {allowed} (Allow)." if allowed else ""
        if request.method != "GET":
            return f"A handshake is a GET; this is {_clip(request.method)}.{taken}", None
        return f"It does not take GET, so it is no WebSocket's address.{taken}", None
    if status == 407:
        name = "Proxy-Authorization"
        sent = request.get(name) is not None
        return (f"{name} {'was sent and not taken' if sent else 'is missing'}.", name)
    if status in (429, 503) and response.get("Retry-After") is not None:
        return f"Try again after {_shown(response, 'Retry-After')} (Retry-After).", None
    if status == 431 and request.headers:
        largest = max(request.headers, key=lambda header: len(header.raw))
        share = f"{len(largest.raw)} of {len(request.raw)} bytes"
        size = f"{largest.name} is the largest of them ({share})"
        if len(largest.raw) < _LARGE_BYTES:
            return f"{size}, but none is large: the limit must be unusually low.", None
        return f"{size}, so probably that one.", largest.name
    return "", None


def _find_cause_in_request(
    request: Request, response: Response, broken: list[Check]
) -> tuple[str, str | None]:
    """Explain what follows from a wrong request: 400, 426, or a page where a socket should be."""
    names = {check.header for check in broken}
    for name in ("Upgrade", "Connection"):
        if name in names:
            text = (
                f"Very likely because of {name}: without it this is plain HTTP. If the client did "
                "send it, a proxy took it away: both are for one hop only."
            )
            return text, name
    if broken:
        header = next((check.header for check in broken if check.header), None)
        return f"Very likely because of {header or broken[0].name}.", header
    if response.status == 400:
        text = "Nothing in this request breaks RFC 6455, so the reason is the server's own."
        if b"HTTPS port" in response.body:
            text = "The body says why: the port speaks TLS. Use wss instead of ws."
        return text, None
    if response.status == 426:
        wanted = response.get("Upgrade") or "it does not say to what"
        return (
            f"The request, as it is here, is a good handshake. Then probably a proxy between took "
            f"Upgrade and Connection away, or the server wants another upgrade ({_clip(wanted)}).",
            None,
        )
    return (
        "The request is a good handshake. Then the path is probably an ordinary page's, or a proxy "
        "between did not pass Upgrade and Connection on, or the server knows no WebSocket.",
        None,
    )


def _find_redirect(response: Response) -> str:
    where = response.get("Location")
    if where is None:
        return "The answer does not say where to (no Location)."
    where = hide_secrets("Location", where)
    text = f"The new address is {_clip(where)!r}."
    if re.search(r"log-?in|sign-?in|auth|sso", where, re.IGNORECASE):
        return text + " It looks like a login: probably the request lacks a valid cookie or token."
    if where.lower().startswith(("https:", "wss:")):
        return text + " It is a secure one: probably use wss instead of ws."
    return text


def _find_missing_leave(request: Request, response: Response) -> tuple[str, str | None]:
    """Explain 401 and 403, which depend on what the server knows and the heads do not."""
    sent = [name for name in ("Authorization", "Cookie") if request.get(name) is not None]
    if hide_secrets("", request.target) != request.target or MARKER in request.target:
        sent.append("a token in the URL")
    given = (
        f"{' and '.join(sent)} came with the request but may be wrong or expired"
        if sent
        else "the request carries no Authorization, no Cookie and no token in its URL"
    )
    if response.status == 401:
        scheme = (response.get("WWW-Authenticate") or "").partition(" ")[0]
        wanted = f"It wants the scheme {_clip(scheme)!r} (WWW-Authenticate). " if scheme else ""
        text = (
            f"{wanted}What is known: {given}. A page cannot set Authorization on a WebSocket; "
            "it sends a cookie, a token in the URL, or a first message."
        )
        if not sent or "Authorization" in sent:
            return text, "Authorization"
        return text, "Cookie" if "Cookie" in sent else None
    if request.get("Origin") is not None:
        text = (
            f"Probably because of Origin, {_shown(request, 'Origin')}: servers take only the pages "
            f"they know. It cannot be known from here; otherwise {given}, or the path is barred."
        )
        return text, "Origin"
    return (
        f"It cannot be Origin, unless the server demands one: there is none. Otherwise {given}, "
        "or the path or the client's address is barred.",
        None,
    )


def _own_words(request: Request, response: Response) -> str:
    """Quote the first line of a plain body: nobody knows the reason better than the server."""
    if not (response.get("Content-Type") or "").lower().startswith("text/plain"):
        return ""
    text = redact(response, also=find_secrets(request)).body.decode("utf-8", "replace").strip()
    line = re.sub(r"\s+", " ", text.partition("\n")[0])
    return f"Its own words: {_clip(line, 160)!r}." if line else ""


# ---------------------------------------------------------------------------------------------
# Heads made by hand

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
