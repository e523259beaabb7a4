"""Why a handshake did not become a WebSocket, in words.

Its rule: what cannot be known from two heads is said to be a guess, and nothing that is said shows
a secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus

from .checks import Check, clip, list_tokens, say_values
from .heads import Request, Response
from .redaction import find_secrets, redact
from .secret_values import MARKER, hide_secrets

__all__ = ["explain_refusal"]

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


def explain_refusal(
    request: Request, response: Response | None, checks: Iterable[Check]
) -> tuple[str, str | None]:
    """Return (text, the request's header that is to blame or None); "" if every check was kept."""
    failed = [check for check in checks if not check.ok]
    if not failed:
        return "", None
    broken = [check for check in failed if check.side == "request"]
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
        return _explain_bad_switch(failed, rules), blamed
    status = response.status
    meaning = _MEANINGS.get(status) or _CLASSES.get(status // 100) or "No known status."
    cause, suspect = _find_cause(request, response, broken)
    if broken and suspect is None:
        suspect = blamed
    words = _own_words(request, response)
    return _join(f"{_name(response)}: {meaning}", cause, rules, words), suspect


def _explain_bad_switch(failed: list[Check], rules: str) -> str:
    wrong = [check for check in failed if check.side == "response"]
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
    spoken = list_tokens(response, "Sec-WebSocket-Version")
    asked = request.get("Sec-WebSocket-Version")
    if status >= 400 and spoken and asked not in spoken:
        # The one refusal whose cause the RFC makes the server name (§4.4).
        return (
            f"The answer lists the versions that the server speaks ({clip(', '.join(spoken))}): "
            f"the cause is Sec-WebSocket-Version, {say_values(request, 'Sec-WebSocket-Version')}.",
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
            f"Check the path {clip(path)!r}. Some proxies and frameworks also say 404 for a "
            "WebSocket that they do not pass on.",
            None,
        )
    if status == 405:
        allowed = clip(", ".join(list_tokens(response, "Allow")))
        taken = f" It takes {allowed} (Allow)." if allowed else ""
        if request.method != "GET":
            return f"A handshake is a GET; this is {clip(request.method)}.{taken}", None
        return f"It does not take GET, so it is no WebSocket's address.{taken}", None
    if status == 407:
        name = "Proxy-Authorization"
        sent = request.get(name) is not None
        return (f"{name} {'was sent and not taken' if sent else 'is missing'}.", name)
    if status in (429, 503) and response.get("Retry-After") is not None:
        return f"Try again after {say_values(response, 'Retry-After')} (Retry-After).", None
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
            f"Upgrade and Connection away, or the server wants another upgrade ({clip(wanted)}).",
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
    text = f"The new address is {clip(where)!r}."
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
        wanted = f"It wants the scheme {clip(scheme)!r} (WWW-Authenticate). " if scheme else ""
        text = (
            f"{wanted}What is known: {given}. A page cannot set Authorization on a WebSocket; "
            "it sends a cookie, a token in the URL, or a first message."
        )
        if not sent or "Authorization" in sent:
            return text, "Authorization"
        return text, "Cookie" if "Cookie" in sent else None
    if request.get("Origin") is not None:
        text = (
            f"Probably because of Origin, {say_values(request, 'Origin')}: servers take only the "
            f"pages they know. It cannot be known from here; otherwise {given}, or the path is "
            "barred."
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
    return f"Its own words: {clip(line, 160)!r}." if line else ""
