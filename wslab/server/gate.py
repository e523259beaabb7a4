"""Who may open a WebSocket: what ``serve(auth=...)`` or a hub says, before the 101 is sent.

Its rule: whoever is not known gets 401 or 403 and a body that says why, and the handler never runs;
who is, stands in ``websocket.identity``, and is sent away with 4401 when that ends. Pages and other
plain HTTP are everybody's: a page has to load before it can show who looks at it.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..calls.calling import called, check_takes, function_name, is_async
from ..identity.credentials import BadCredentials, Credentials
from ..identity.identity import Identity
from ..identity.verdict import Denial, denial_of, judged
from ..wire.http.message import HttpRequest, HttpResponse
from .connection import address_of
from .handler import Application, Handler, is_application
from .user_code import Auth, Options, UserCode

if TYPE_CHECKING:
    from websockets.http11 import Request

__all__ = ["Gate", "auth_for"]

MAX_THREADS = 8  # on which plain functions judge at once; who comes meanwhile waits


class Gate:
    """What is asked about each handshake of one server; on its loop.

    Args:
        options: the handler, ``auth`` and ``origins``.
        user_code: records what ``auth`` lets through.
        asked: makes of a connection and its handshake what a hub is asked with.
    """

    def __init__(
        self, options: Options, user_code: UserCode, asked: Callable[[Any, Request], HttpRequest]
    ) -> None:
        self._options = options
        self._user_code = user_code
        self._asked = asked
        self._threads: asyncio.Semaphore | None = None
        self._hub_is: tuple[Any, Any] = (None, None)  # a handler, and the hub that it is

    async def refusal(self, websocket: Any, request: Request) -> HttpResponse | None:
        """Return what a handshake gets in place of the 101; None where it may go on."""
        # A browser sends cookies whatever page asks it to, so only Origins that are named count.
        trusts_page = self._options.kwargs.get("origins") is not None
        verdict: Any = None
        hub = self._hub
        if hub is not None:
            with self._user_code.recording("authenticated", websocket):
                asked = self._asked(websocket, request)
                verdict = await hub.authenticated(asked, trusts_page=trusts_page)
        elif self._options.auth is not None:
            verdict = await self._judged(self._options.auth, websocket, request, trusts_page)
        if isinstance(verdict, Denial):
            verdict = verdict.response()
        if isinstance(verdict, HttpResponse):
            return verdict
        if verdict is not None:
            websocket.identity = verdict
        return None

    @property
    def _hub(self) -> Any:
        handler = self._options.handler
        if self._hub_is[0] is not handler:  # looking at it takes a while
            self._hub_is = handler, _hub_of(handler)
        return self._hub_is[1]

    async def _judged(
        self, auth: Auth, websocket: Any, request: Request, trusts_page: bool
    ) -> Identity | Denial:
        try:
            credentials = Credentials.of(
                request.path, request.headers, address_of(websocket), trusts_page=trusts_page
            )
        except BadCredentials as exc:
            return denial_of(exc, None)
        with self._user_code.recording("auth", websocket):
            return await judged(functools.partial(self._ask, auth), credentials)

    async def _ask(self, auth: Auth, credentials: Credentials) -> Any:
        if is_async(auth):
            return await auth(credentials)
        if self._threads is None:
            self._threads = asyncio.Semaphore(MAX_THREADS)
        async with self._threads:
            answer = await asyncio.to_thread(called, auth, credentials)
        return await answer if asyncio.iscoroutine(answer) else answer


def auth_for(handler: Handler | Application, auth: Auth | None) -> Auth | None:
    """Return what is asked before the handler is called; a hub asks itself, and takes it over.

    Raises:
        TypeError: it can't be called with credentials, or an application is no hub's.
    """
    if auth is None:
        return None
    check_takes(auth, 1, "auth as a function of one argument, the credentials")
    hub = _hub_of(getattr(handler, "hub", handler))
    if hub is not None:
        hub.on("authenticate", auth)
        return None
    if is_application(handler):
        raise TypeError(
            f"auth={function_name(auth)} is for handlers, hubs and hub.asgi(): another application "
            "finds out itself who asks, such as FastAPI by its dependencies"
        )
    return auth


def _hub_of(handler: Any) -> Any:
    method = getattr(handler, "authenticated", None)
    if not inspect.iscoroutinefunction(method):
        return None
    return handler if "trusts_page" in inspect.signature(method).parameters else None
