"""How a server runs what its user wrote: the handler, and the hooks of ``websockets.serve``.

Its rule: both run exactly as they would under websockets, which answers for them; what they let
through is recorded first, and what would end the process ends one connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from websockets.exceptions import InvalidHandshake

from ..errors import is_cancelled
from ..failures import Failure, FailureLog
from ..identity.credentials import Credentials
from ..loops.watchdog import timed
from ..websockets_compat.endings import is_end_of
from .connection import address_of
from .expiring import until_expired
from .handler import Application, Handler, awaited, handler_name

if TYPE_CHECKING:
    from .hosts import Hosts
    from .http_page import Page

__all__ = ["Auth", "Options", "UserCode"]

Auth = Callable[[Credentials], Any]


@dataclass(slots=True)
class Options:
    """What a server was asked for; read for each connection, so that a change holds for the next.

    ``hosts`` are the names that it answers by, beside its own; ``auth`` says who may come, where
    the handler is no hub, which does that itself; ``kwargs`` are all other keywords of ``serve``.
    """

    handler: Handler | Application
    name: str
    page: Page
    kwargs: dict[str, Any]
    hosts: Hosts = ()
    auth: Auth | None = None


class UserCode:
    """The handler and the hooks of one server, and the ``errors`` that they let through.

    Args:
        options: where the handler and the hooks are.
        report_blockage: told when the handler held the loop: when (``time.monotonic()``), for
            how many seconds, and who.
        on_exception: called with each exception itself, of which ``errors`` keeps only the text.

    Attributes:
        handled: connections that the handler was called with.
    """

    def __init__(
        self,
        options: Options,
        report_blockage: Callable[[float, float, str], object],
        on_exception: Callable[[BaseException], object] | None = None,
    ) -> None:
        self.errors = FailureLog()
        self.handled = 0
        self._on_exception = on_exception
        self._options = options
        self.report_blockage = report_blockage

    @property
    def _others(self) -> FailureLog:
        # A Hub keeps its handlers' exceptions from ending a connection, and has a log of them.
        found = getattr(self._options.handler, "errors", None)
        return found if isinstance(found, FailureLog) else FailureLog()

    def listen(self) -> None:
        """Record also what a Hub's handlers let through."""
        self._others.listen(self.errors.append)

    def unlisten(self) -> None:
        """Undo `listen`."""
        self._others.unlisten(self.errors.append)

    def record(self, exc: BaseException, websocket: Any, where: str = "") -> None:
        """Record an exception.

        Args:
            exc: what was let through.
            websocket: whose connection it was; None for nobody's.
            where: the hook; the handler by default.
        """
        if self._on_exception is not None:
            self._on_exception(exc)
        where = where or handler_name(self._options.handler)
        who = websocket.traffic.id if websocket is not None else ""
        address = address_of(websocket) if websocket is not None else None
        self.errors.append(Failure.of(exc, where=where, who=who, address=address))

    @contextlib.contextmanager
    def recording(self, where: str, websocket: Any) -> Iterator[None]:
        """Record what a hook raises, and let it on to websockets."""
        try:
            yield
        except InvalidHandshake:
            raise  # how a hook refuses a client: websockets answers for it
        except Exception as exc:
            self.record(exc, websocket, where)
            raise  # websockets answers 500
        except BaseException as exc:
            if is_cancelled(exc):
                raise
            # SystemExit in one hook must not end the loop for everybody.
            self.record(exc, websocket, where)
            raise RuntimeError(f"{where} raised {type(exc).__name__}") from exc

    async def ask(self, hook: str, websocket: Any, *args: Any) -> Any:
        """Return what the user's hook of this name says, or None where there is none."""
        theirs = self._options.kwargs.get(hook)
        if theirs is None:
            return None
        with self.recording(hook, websocket):
            answer = theirs(websocket, *args)
            return await answer if inspect.isawaitable(answer) else answer

    async def run_handler(self, websocket: Any) -> None:
        """Run the handler for one connection."""
        self.handled += 1
        handler: Any = self._options.handler
        name = self._options.name

        def report(began_s: float, took_s: float) -> None:
            who = f"the handler {handler_name(handler)}() of server {name!r}"
            self.report_blockage(began_s, took_s, who)

        try:
            awaitable = handler(websocket)
            if self._options.auth is not None and inspect.isawaitable(awaitable):
                awaitable = until_expired(websocket, awaitable)
            if not inspect.iscoroutine(awaitable):
                await awaited(awaitable, handler)
            else:
                await timed(awaitable, report)
        except asyncio.CancelledError as exc:
            if not is_cancelled(exc):  # it awaited something that was cancelled
                self.record(exc, websocket)
            raise
        except Exception as exc:
            # Its own connection has ended, which is how most handlers end; another's is a mistake.
            if is_end_of(websocket, exc):
                return
            self.record(exc, websocket)
            raise  # websockets closes with 1011
        except BaseException as exc:
            # SystemExit in one handler must not end the loop for everybody.
            self.record(exc, websocket)
            raise RuntimeError(f"the handler raised {type(exc).__name__}") from exc
