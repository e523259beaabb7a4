"""What a Client says to a Hub and hears from it: ``emit``, ``call`` and ``on``.

The part of a Client that speaks of events instead of messages; whoever uses none of it pays
nothing for it. Its rule: what it returned from is on its way, in order, and every wait has a bound
or ends with the connection. Handlers, numbers and what is kept over a reconnection are for
`hub.client` and `hub.protocol`.
"""

from __future__ import annotations

import abc
import concurrent.futures
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar, overload

from ..waiting import result_of
from .urls import session_in

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Emitter"]

F = TypeVar("F", bound=Callable[..., Any])


class Emitter(abc.ABC):
    """Events for a Client; what it needs of a connection is named here and defined there."""

    name: str
    url: str
    _talk: Any = None  # a EventDispatcher, once there is something to talk about

    # What a Client has.

    @abc.abstractmethod
    def _talking(self, what: str) -> Any:
        """Return the talk for a call that waits; refuse it where it cannot wait."""

    @abc.abstractmethod
    def _claim(self, event: str, func: Callable[..., Any] | None) -> None:
        """Let events go to handlers from now on."""

    @abc.abstractmethod
    def _wait_gone(self, gone: concurrent.futures.Future[None], timeout: float | None) -> None:
        """Wait until a message has gone out."""

    @abc.abstractmethod
    def _raise_closed(self) -> NoReturn:
        """Raise what websockets raised when the connection ended."""

    @abc.abstractmethod
    def _standing(self) -> str:
        """Say in words how the connection stands, and what holds answers back."""

    @abc.abstractmethod
    def _welcome(self) -> Mapping[str, Any]:
        """Return what the hub said first, or nothing."""

    # What there is to see.

    @property
    def hub_id(self) -> str | None:
        """The id by which the Hub knows this client (there: ``client.id``); None without a Hub."""
        talk = self._talk
        if talk is not None and talk.session.hub_id is not None:
            return str(talk.session.hub_id)
        return self._welcome().get("id")

    @property
    def user_id(self) -> str | None:
        """Who it is to a Hub's other clients, also after it came back; None without a Hub."""
        talk = self._talk
        if talk is not None and talk.session.user_id is not None:
            return str(talk.session.user_id)
        return self._welcome().get("user") or self.hub_id

    @property
    def session(self) -> str | None:
        """The secret by which a Hub with a history knows this client again, or None."""
        talk = self._talk
        if talk is not None and talk.session.mode == "session":
            return str(talk.session.token)
        session = self._welcome().get("session")
        return session_in(self.url) if session is True else session

    @property
    def gap(self) -> str | None:
        """Why events are missing after a reconnection, or None where nothing is.

        ``"too old"``: more was missed than the Hub keeps. ``"session unknown"``: the Hub was
        restarted, or has forgotten this client: what it had been sent, and had not confirmed, was
        sent again and may have been handled twice.
        """
        return self._talk.gap if self._talk is not None else None

    @property
    def dropped(self) -> int:
        """Events that the Hub did not send, since this client took them too slowly."""
        return self._talk.dropped if self._talk is not None else 0

    @property
    def unhandled(self) -> int:
        """Events that came after the first :meth:`on` and for which there was no handler."""
        return self._talk.unhandled if self._talk is not None else 0

    @property
    def errors(self) -> tuple[Any, ...]:
        """What went wrong with events: handlers that raised and errors that the Hub reported.

        The latest 100. Each has ``at`` (epoch seconds), ``event``, ``code``, ``message`` and, where
        a function of yours raised, the exception's ``kind`` and ``traceback`` as text.
        """
        return tuple(self._talk.errors) if self._talk is not None else ()

    @property
    def errors_seen(self) -> int:
        """How many of them there have been."""
        return self._talk.errors.seen if self._talk is not None else 0

    # Talking.

    def emit(self, event: str, data: Any = None, *, timeout: float | None = None) -> None:
        """Send an event to a Hub; its handler of that name gets the data.

        Who else is to hear of it is the Hub's affair; use `call` for an answer.

        That it returned does not mean that it was handled: it is on its way, in order. A client
        that reconnects keeps what it emits while there is no connection, 1,000 events or 4 MiB at
        the most, and sends it when there is one again. To a Hub with a history each arrives once.

        Args:
            event: its name, such as ``"chat"``.
            data: what JSON can hold (text, numbers, lists, dicts, None), and bytes within it.
            timeout: seconds to wait where there is no room for it; None waits until there is.

        Raises:
            TypeError, ValueError: JSON cannot hold the data, or an event cannot have that name.
            TimeoutError: there was no room for it in time.
            ConnectionClosed: the connection is closed; ``why_closed`` says why.
        """
        talk = self._talking("emit()")
        try:
            gone = talk.emit(event, data, timeout)
        except TimeoutError as exc:
            raise TimeoutError(
                f"{event!r} was not taken within {timeout:g} s: {exc}; {self._standing()}"
            ) from None
        except talk.Ended:
            self._raise_closed()
        if gone is not None:
            self._wait_gone(gone, timeout)

    def call(self, event: str, data: Any = None, timeout: float | None = 5.0) -> Any:
        """Send an event to a Hub and return what its handler answers.

        A client that reconnects asks again when it is back. A Hub with a history runs the handler
        once all the same; with any other server, a call that had been sent ends with the
        connection, since nobody knows whether it was handled.

        Args:
            event: its name.
            data: as for :meth:`emit`.
            timeout: seconds to wait for the answer; None waits until it comes or the connection
                ends.

        Raises:
            CallFailed: the Hub answered with an error; ``code`` is its word for it, such as
                ``"unknown-event"``, ``"refused"`` or ``"failed"``.
            TimeoutError: no answer came in time; it says what held it back, as far as is known.
            ConnectionClosed: the connection ended first.
            TypeError, ValueError: as for :meth:`emit`.
        """
        talk = self._talking("call()")
        began_s = time.monotonic()
        try:
            number, answer = talk.call(event, data, timeout)
        except TimeoutError as exc:
            raise TimeoutError(
                f"{event!r} was not taken within {timeout:g} s: {exc}; {self._standing()}"
            ) from None
        except talk.Ended:
            self._raise_closed()
        try:
            waited_s = time.monotonic() - began_s
            return result_of(answer, None if timeout is None else timeout - waited_s)
        except talk.Ended as exc:
            self._raise_lost(event, exc)
        except TimeoutError:
            was_sent = not talk.withdraw(number)
            raise TimeoutError(
                f"{self.name!r} got no answer to {event!r} within {timeout:g} s; "
                + ("" if was_sent else "it was not sent, and has been taken back; ")
                + self._standing()
            ) from None
        except BaseException:
            talk.withdraw(number)
            raise

    @abc.abstractmethod
    def _raise_lost(self, event: str, exc: BaseException) -> NoReturn:
        """Raise what ended the connection while a call waited for its answer."""

    @overload
    def on(self, event: str) -> Callable[[F], F]: ...

    @overload
    def on(self, event: str, handler: F) -> F: ...

    def on(self, event: str, handler: F | None = None) -> F | Callable[[F], F]:
        """Let a function handle an event of the Hub; also a decorator: ``@alice.on("chat")``.

        The function gets the event's data; where the Hub has called, what it returns (or raises) is
        the answer. An event has one handler, and registering again replaces it, as a cell does that
        runs again; one of another name warns that it takes the place. They run one at a time, in
        the order of the events: an async one on the lab's loop, a plain one on a thread, where it
        may block. What one raises is kept in :attr:`errors`.

        With the first handler, events stop coming with ``recv()``; raw messages go on to. Events of
        this name that wait for ``recv()`` are handled now. The Hub's own events are ``"welcome"``,
        ``"error"`` (code, message, event) and ``"dropped"`` (count).

        Args:
            event: its name; ``"*"`` for all that have no handler of their own.
            handler: a function of one argument, the data; for ``"*"`` of two, the event's name and
                its data. Left out, this returns a decorator.

        Raises:
            TypeError, ValueError: no event can have that name, or the handler cannot be called.
        """
        if handler is None:
            self._claim(event, None)

            def register(func: F) -> F:
                self._claim(event, func)
                return func

            return register
        self._claim(event, handler)
        return handler

    def off(self, event: str) -> None:
        """Take the handler of an event out; what comes of it then is counted in ``unhandled``.

        Raises:
            LookupError: there is none.
        """
        if self._talk is None or not self._talk.off(event):
            raise LookupError(f"{self.name!r} has no handler of {event!r}")
