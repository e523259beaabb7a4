"""Secrets in the values of headers and URLs: found by name or by form, and hidden.

Its rule: better too much hidden than too little; what hides them keeps the names, and of an
Engine.IO session's id a mark, by which a view can tell what belongs together. A secret that nothing
names, in a path or in a message, cannot be known. Whole heads and bodies are for `redaction`.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from hashlib import blake2s
from urllib.parse import unquote, unquote_plus

from .field_values import parse_token_list

__all__ = ["MARKER", "hide_secrets", "hide_session"]

MARKER = "[redacted]"
_KEY = secrets.token_bytes(16)  # for this process only: no mark leads back to an id
_MARKED = re.compile(rf"{re.escape(MARKER)}(?:[0-9a-f]{{8}})?\**")

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


def hide_session(value: str, size: int | None = None) -> str:
    """Return what stands for a session's id: `MARKER`, and eight digits that are its own.

    Args:
        value: the id; what has been hidden already stays.
        size: how many characters it shall have; where it is too small for a mark there is none.
    """
    if _MARKED.fullmatch(value):
        return value
    mark = blake2s(value.encode("utf-8", "replace"), key=_KEY, digest_size=4).hexdigest()
    hidden = MARKER + mark
    if size is None:
        return hidden
    return (hidden if len(hidden) <= size else MARKER[:size]).ljust(size, "*")


def _hide_parameter(match: re.Match[str]) -> str:
    before, name, value = match.groups()
    plain = unquote_plus(name).strip().lower()
    if plain == "sid":
        return before + hide_session(value)
    if (plain, value) == ("auth", "packet"):  # a hub's word for: the token comes in a packet
        return before + value
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
