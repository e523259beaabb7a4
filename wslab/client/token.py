"""The token by which a client shows who it is, for each of its connections.

It travels in the header ``Authorization: Bearer TOKEN`` (RFC 6750 §2.1) and never in the URL, which
logs and histories keep. Its rule: no text of ours holds it. What a server makes of it is not known
here.
"""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from websockets.datastructures import Headers

from ..calls.calling import called, check_takes, is_async

__all__ = ["Given", "Token"]

Given: TypeAlias = str | Callable[[], str | Awaitable[str]]

_FORM = re.compile(r"[\x21-\x7e]+")


class Token:
    """What ``connect(token=...)`` was given.

    Args:
        given: the token, or a function that returns one, asked before each connection.
        kwargs: of ``websockets.connect``, whose ``additional_headers`` it is added to.

    Attributes:
        is_renewed: whether another connection may have a newer one.

    Raises:
        TypeError, ValueError: what was expected, and what came.
    """

    def __init__(self, given: Given, kwargs: dict[str, Any]) -> None:
        self._given = given
        self.is_renewed = not isinstance(given, str)
        if isinstance(given, str):
            _check(given)
        else:
            check_takes(given, 0, "token as a str, or a function without arguments that returns it")
        if "Authorization" in Headers(kwargs.get("additional_headers") or ()):
            raise ValueError(
                "expected the token in token= or in additional_headers, got an Authorization "
                "header, too: leave out one of them"
            )

    async def headers(self, additional: Any) -> Headers:
        """Return headers with the token among them.

        Raises:
            TypeError, ValueError: the function returned no token.
            BaseException: whatever it let through.
        """
        token = self._given
        if not isinstance(token, str):
            got = token() if is_async(token) else await asyncio.to_thread(called, token)
            token = await got if inspect.isawaitable(got) else got
            _check(token)
        headers = Headers(additional or ())
        headers["Authorization"] = f"Bearer {token}"
        return headers


def _check(token: Any) -> None:
    if not isinstance(token, str):
        raise TypeError(f"expected a token as a str, got {type(token).__name__}")
    if not _FORM.fullmatch(token):
        # It may be a secret: only its length is shown.
        raise ValueError(
            "expected a token of visible ASCII characters without spaces, as a header can carry "
            f"it, got {len(token)} characters with others among them"
        )
