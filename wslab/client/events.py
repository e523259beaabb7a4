"""Events of a client: what it says to a Hub and hears from it, for a plain thread.

Whoever uses none of it pays nothing for it. Its rule: what it returned from is on its way, in
order, and every wait has a bound or ends with the connection. Handlers, numbers and what is kept
over a reconnection are for `hub.client` and `hub.protocol`.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from ..calls.waiting import result_of
from .ending import Ending
from .lifecycle import Lifecycle
from .messages import Messages
from .self_wait import SelfWaitGuard
from .urls import session_in

__all__ = ["Events"]


class Events:
    """What one client emits, calls and handles; what each call means is written at the Client.

    Args:
        life: of the client.
        messages: by which it waits for a message to go out.
        ending: how it says that it has ended.
        guard: what refuses a call that would wait for itself.
    """

    def __init__(
        self, life: Lifecycle, messages: Messages, ending: Ending, guard: SelfWaitGuard
    ) -> None:
        self._life = life
        self._messages = messages
        self._ending = ending
        self._guard = guard

    # Who it is.

    @property
    def dispatcher(self) -> Any:
        """The EventDispatcher; None where there has been nothing to talk about."""
        return self._life.incoming.dispatcher

    @property
    def hub_id(self) -> str | None:
        """The id by which the Hub knows it."""
        dispatcher = self.dispatcher
        if dispatcher is not None and dispatcher.session.hub_id is not None:
            return str(dispatcher.session.hub_id)
        return self._welcome().get("id")

    @property
    def user_id(self) -> str | None:
        """Who it is to a Hub's other clients."""
        dispatcher = self.dispatcher
        if dispatcher is not None and dispatcher.session.user_id is not None:
            return str(dispatcher.session.user_id)
        return self._welcome().get("user") or self.hub_id

    @property
    def session(self) -> str | None:
        """The secret by which a Hub with a history knows it again."""
        dispatcher = self.dispatcher
        if dispatcher is not None and dispatcher.session.mode == "session":
            return str(dispatcher.session.token)
        session = self._welcome().get("session")
        return session_in(self._life.url) if session is True else session

    def _welcome(self) -> Mapping[str, Any]:
        """Return what the hub said first, or nothing."""
        first = self._life.incoming.log.first()
        if not isinstance(first, str) or '"welcome"' not in first[:100]:
            return {}
        from ..hub.protocol.client_events import Welcomed
        from ..hub.protocol.client_session import events_of

        [event] = events_of([first])
        return event.data if isinstance(event, Welcomed) else {}

    # Saying something.

    def emit(self, event: str, data: Any, timeout: float | None) -> None:
        """Send an event; see :meth:`Client.emit`."""
        dispatcher = self._dispatcher_for("emit()")
        try:
            gone = dispatcher.sender.emit(event, data, timeout)
        except TimeoutError as exc:
            raise self._no_room(event, timeout, exc) from None
        except dispatcher.sender.Ended:
            self._ending.raise_closed()
        if gone is not None:
            self._messages.wait_gone(gone, timeout)

    def call(self, event: str, data: Any, timeout: float | None) -> Any:
        """Send an event and return the answer; see :meth:`Client.call`."""
        dispatcher = self._dispatcher_for("call()")
        began_s = time.monotonic()
        try:
            number, answer = dispatcher.sender.call(event, data, timeout)
        except TimeoutError as exc:
            raise self._no_room(event, timeout, exc) from None
        except dispatcher.sender.Ended:
            self._ending.raise_closed()
        try:
            waited_s = time.monotonic() - began_s
            return result_of(answer, None if timeout is None else timeout - waited_s)
        except dispatcher.sender.Ended as exc:
            self._raise_lost(event, exc)
        except TimeoutError:
            was_sent = not dispatcher.sender.withdraw(number)
            raise TimeoutError(
                f"{self._life.name!r} got no answer to {event!r} within {timeout:g} s; "
                + ("" if was_sent else "it was not sent, and has been taken back; ")
                + self._standing()
            ) from None
        except BaseException:
            dispatcher.sender.withdraw(number)
            raise

    def _dispatcher_for(self, what: str) -> Any:
        # A server on the kernel's loop could not answer while this very cell waits for it.
        self._guard.refuse_to_wait(what, has_bound=what != "call()")
        self._ending.refuse_what_is_over()
        life = self._life
        if life.is_over or (life.reconnector is None and not life.is_open):
            self._ending.raise_closed()
        return life.dispatcher()

    def _no_room(self, event: str, timeout: float | None, exc: TimeoutError) -> TimeoutError:
        return TimeoutError(
            f"{event!r} was not taken within {timeout:g} s: {exc}; {self._standing()}"
        )

    def _standing(self) -> str:
        """Say in words how the connection stands, and what holds answers back."""
        queue = self._life.incoming.queue
        held = self.dispatcher.queue.held_back() if self.dispatcher is not None else ""
        if queue.is_full or queue.is_at_limit:
            held += (
                f"; {len(queue):,} messages wait that no recv() took, and hold back what comes "
                "after them"
            )
        return f"the connection is {self._life.status}{held}{self._ending.held()}"

    def _raise_lost(self, event: str, exc: BaseException) -> NoReturn:
        """Raise what ended the connection while a call waited for its answer."""
        life = self._life
        if life.reconnector is None or life.broken is None or life.end is not None:
            self._ending.raise_closed()
        lost = self._ending.explained(life.broken)
        lost.add_note(
            f"{event!r} had been sent; whether it was handled nobody knows, since this server "
            "keeps no session (a Hub does with history=...)"
        )
        raise lost from exc

    # Handling.

    def check(self, event: str) -> None:
        """Refuse what cannot be the name of an event that comes."""
        self._life.dispatcher().handlers.check(event)

    def on(self, event: str, handler: Callable[..., Any]) -> None:
        """Let a function handle an event, also those that wait for recv() already."""
        life, dispatcher = self._life, self._life.dispatcher()
        dispatcher.handlers.on(event, handler)
        claim = functools.partial(
            life.incoming.queue.sift, functools.partial(dispatcher.claim, event)
        )
        if threading.get_ident() == life.runner.thread_id:
            claim()
        else:
            life.runner.call(claim, timeout=5.0)

    def off(self, event: str) -> None:
        """Take a handler out; see :meth:`Client.off`."""
        if self.dispatcher is None or not self.dispatcher.handlers.off(event):
            raise LookupError(f"{self._life.name!r} has no handler of {event!r}")
