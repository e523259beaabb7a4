"""What becomes of credentials: an Identity, or a Denial that says how it is told.

Its rule: whoever is not clearly somebody is denied. 401 says that other credentials may help
(RFC 9110 §15.5.2), 403 that they would not (§15.5.4); on a WebSocket that is open already they are
the close codes 4401 and 4403. Who is asked is the caller's to say.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from ..errors import Refused
from ..wire.http.message import HttpResponse
from .credentials import BadCredentials, Credentials
from .identity import Identity

__all__ = ["EXPIRED", "Denial", "denial_of", "judged", "too_late"]

EXPIRED: Final = 4401  # the close code of whose identity has ended, too
_CLOSE_CODES: Final = {401: EXPIRED, 403: 4403, 500: 1011, 503: 1013}
_WORDS: Final = {401: "unauthorized", 403: "forbidden", 500: "failed", 503: "failed"}
_HOW: Final = (
    "bring one as `Authorization: Bearer TOKEN`, ?access_token=, a cookie `token`, or in the first "
    "packet"
)


@dataclass(frozen=True, slots=True)
class Denial:
    """That a client is not let in, and why.

    Args:
        status: 401, 403, 500 or 503.
        reason: the text for the client.
        data: what it is told beside that.
        had_token: whether it brought one.
    """

    status: int
    reason: str
    data: Any = None
    had_token: bool = False

    @property
    def close_code(self) -> int:
        """By which a WebSocket that is open is closed."""
        return _CLOSE_CODES[self.status]

    @property
    def word(self) -> str:
        """By which a program knows it."""
        return _WORDS[self.status]

    def response(self) -> HttpResponse:
        """Return what a handshake gets in place of the 101 (RFC 6750 §3)."""
        fields = [("Content-Type", "text/plain; charset=utf-8"), ("Cache-Control", "no-store")]
        if self.status == 401:
            error = ' error="invalid_token"' if self.had_token else ""
            fields.append(("WWW-Authenticate", f"Bearer{error}"))
        return HttpResponse(self.status, fields, f"{self.reason}\n".encode(errors="replace"))


async def judged(
    ask: Callable[[Credentials], Awaitable[Any]], credentials: Credentials
) -> Identity | Denial:
    """Ask who somebody is, and return what is to be made of the answer.

    Args:
        ask: returns an Identity, a user's id, or None or False for nobody; it may raise `Refused`.
        credentials: what it is asked about.

    Raises:
        TypeError, ValueError: it returned something else.
        BaseException: whatever else it let through.
    """
    try:
        answer = await ask(credentials)
    except Refused as exc:
        return denial_of(exc, credentials)
    if answer is None or answer is False:
        if credentials.token is None:
            return Denial(401, f"no token came: {_HOW}")
        reason = f"the token in the {credentials.source} is not one that is valid here"
        return Denial(401, reason, had_token=True)
    identity = Identity(answer) if isinstance(answer, str) else answer
    if not isinstance(identity, Identity):
        raise TypeError(
            "expected wslab.Identity(user_id), a user's id, or None for nobody from the function "
            f"that authenticates, got {type(answer).__name__}"
        )
    if identity.is_expired:
        return too_late(had_token=credentials.token is not None)
    return identity


def denial_of(exc: Refused | BadCredentials, credentials: Credentials | None) -> Denial:
    """Return what an exception says: of a function that authenticates, or of what came."""
    had_token = credentials is None or credentials.token is not None
    if isinstance(exc, Refused):
        status = 403 if exc.status is None else exc.status
        return Denial(status, str(exc) or "refused", exc.data, had_token)
    return Denial(401, str(exc), had_token=had_token)


def too_late(*, had_token: bool = True) -> Denial:
    """Return what is told where credentials have expired."""
    return Denial(401, "expired: come again with new credentials", had_token=had_token)
