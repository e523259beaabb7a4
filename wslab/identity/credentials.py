"""Credentials: what a client comes with to show who it is, and where in its request that stood.

A token in the ``Authorization`` header (RFC 6750 §2.1), in the query, in a cookie, or in a first
packet. Its rule: pure, and nothing is guessed: two tokens in one place are refused, since two
programs could each read another one. No token is in a repr. What a token is worth is not known
here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import parse_qsl, urlsplit

from ..wire.http.secret_values import hide_secrets

__all__ = ["MAX_TOKEN", "BadCredentials", "Credentials", "Source", "brings_later", "token_in"]

Source: TypeAlias = Literal["header", "query", "cookie", "packet"]
Headers: TypeAlias = Callable[[str], list[str]]

MAX_TOKEN: Final = 4096  # characters
MAX_FIELDS: Final = 100  # of a query
_PARAMETERS: Final = ("token", "access_token")
_COOKIES: Final = ("__Host-token", "token", "access_token")
_BEARER: Final = re.compile(r"bearer +(\S+) *", re.IGNORECASE)
_LATER: Final = ("auth", "packet")  # ?auth=packet: the token comes in the first packet


class BadCredentials(ValueError):
    """What came can be read in two ways, or not at all; the text says it without the token."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a client came with; what ``auth=`` and ``@hub.on("authenticate")`` are called with.

    Attributes:
        token: a secret, as it came; None where there is none.
        source: where it stood: ``"header"`` (``Authorization: Bearer TOKEN``), ``"query"``
            (``?access_token=`` or ``?token=``; Jupyter's server keeps the latter for itself),
            ``"cookie"`` (``token``, ``access_token`` or ``__Host-token``), or ``"packet"``; None
            without a token.
        path: what was asked for, with its query.
        headers: of the request, by names in any case: for Basic credentials, say.
        address: host and port of the other end.
        cookies: by name. Empty where a page of another Origin asks, unless the server was told to
            let that in: a browser sends cookies whatever page asks it to.
        packet: all that a first packet said, such as ``auth`` of a Socket.IO client; else None.
    """

    token: str | None
    source: Source | None
    path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)
    address: tuple[str, int] | None = None
    cookies: Mapping[str, str] = field(default_factory=dict)
    packet: Any = None

    @classmethod
    def of(
        cls,
        path: str,
        headers: Mapping[str, str],
        address: tuple[str, int] | None,
        *,
        packet: Any = None,
        trusts_page: bool = False,
    ) -> Credentials:
        """Find the token in a request, or in the packet that came after it.

        Args:
            path: of the request, with its query.
            headers: of the request.
            address: host and port of the other end.
            packet: what a first packet said; a token in it counts before all others.
            trusts_page: whether the page's Origin has been judged and let in.

        Raises:
            BadCredentials: there are two in one place, or one is too long.
        """
        found: tuple[str, Source] | None = None
        cookies = _cookies_of(headers) if trusts_page or _is_own_page(headers) else {}
        if (token := token_in(packet)) is not None:
            found = token, "packet"
        elif (token := _in_header(headers)) is not None:
            found = token, "header"
        elif (token := _in_query(path)) is not None:
            found = token, "query"
        elif (token := next(filter(None, map(cookies.get, _COOKIES)), None)) is not None:
            found = token, "cookie"
        token, source = found or (None, None)
        if token is not None and len(token) > MAX_TOKEN:
            raise BadCredentials(
                f"expected a token of at most {MAX_TOKEN:,} characters, got {len(token):,}"
            )
        return cls(token, source, path, headers, address, cookies, packet)

    def __repr__(self) -> str:
        token = "no token" if self.token is None else f"a token in the {self.source}"
        return f"<Credentials: {token}, for {hide_secrets('', self.path)!r:.200}>"


def brings_later(path: str) -> bool:
    """Whether a request's query says that its token comes in the first packet."""
    return "auth=packet" in path and _LATER in _query_of(path)


def token_in(packet: Any) -> str | None:
    """Return the token that a packet's data is, or has by that name; None where there is none."""
    token = packet.get("token") if isinstance(packet, dict) else packet
    return token if isinstance(token, str) and token else None


def _in_header(headers: Mapping[str, str]) -> str | None:
    values = _all(headers, "Authorization")
    if len(values) > 1:
        raise BadCredentials(f"expected one Authorization header, got {len(values)}")
    match = _BEARER.fullmatch(values[0]) if values else None
    return match[1] if match is not None else None


def _in_query(path: str) -> str | None:
    if "token=" not in path:
        return None
    values = [value for name, value in _query_of(path) if name in _PARAMETERS and value]
    if len(values) > 1:
        raise BadCredentials(f"expected one token in the query, got {len(values)}")
    return values[0] if values else None


def _query_of(path: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(urlsplit(path).query, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise BadCredentials("expected a query of sensible length, got one to refuse") from None


def _cookies_of(headers: Mapping[str, str]) -> dict[str, str]:
    cookies: dict[str, str] = {}
    for line in _all(headers, "Cookie"):
        for part in line.split(";"):
            name, mark, value = part.partition("=")
            if mark:
                # Of several of one name a browser sends the most specific first (RFC 6265 §5.4).
                cookies.setdefault(name.strip(), value.strip().strip('"'))
    return cookies


def _is_own_page(headers: Mapping[str, str]) -> bool:
    """Whether no page of another Origin asks (RFC 6454 §7); who sends no Origin is no page."""
    origins, hosts = _all(headers, "Origin"), _all(headers, "Host")
    if not origins:
        return True
    if len(origins) > 1 or len(hosts) != 1:
        return False
    try:
        return urlsplit(origins[0]).netloc.lower() == hosts[0].strip().lower()
    except ValueError:
        return False


def _all(headers: Mapping[str, str], name: str) -> list[str]:
    get_all = getattr(headers, "get_all", None)  # websockets' Headers: the name may come twice
    if get_all is not None:
        return list(get_all(name))
    value = headers.get(name)
    return [] if value is None else [value]
