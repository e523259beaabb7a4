"""Browser: a real WebSocket of the page that shows this notebook, driven and watched from Python.

    browser = wslab.Browser(server, protocols=["chat"])
    browser                                     # show it: that is the page's code running
    browser.connect()                           # const socket = new WebSocket(url, ["chat"]);
    browser.send("hello")                       # socket.send("hello");
    browser.send(b"\\x01\\x02", when_open=True)   # socket.addEventListener("open", () => ...)
    browser.close(4000, "bye")                  # socket.close(4000, "bye");
    browser.ready_state                         # "CONNECTING", "OPEN", ...; None: no socket yet
    browser.protocol, .extensions, .url, .buffered_amount, .binary_type
    browser.events, .received, .exceptions      # what happened, as the page told it
    browser.on_message(f); browser.on_event(f)  # f(message), f(event): on any thread, in order
    browser[1].send("two"); len(browser)        # of wslab.Browser(server, count=3)
    browser.route, .waiting, .errors            # how it gets there; commands; what callbacks raised
    browser.stop()                              # close its sockets (1000) and let it go

Its rule: no call waits for the page, and none returns what the page will say. A command is put in
line and runs in the page as soon as there is one; what comes of it, exceptions too, arrives later
as an event. While a cell runs, events may wait until it has ended: look in the next cell.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Any, Self, TypeVar

from ...errors import BadURL
from ...failures import FailureLog
from ...notebook import cells
from . import static_html
from .page_sockets import PageSockets
from .record import BrowserEvent
from .routes import ROUTES, Routes
from .socket import Socket
from .widget import BrowserView

__all__ = ["Browser", "BrowserEvent", "Socket"]

MAX_COUNT = 32

C = TypeVar("C", bound=Callable[..., Any])
_numbers = itertools.count(1)


class Browser(Socket):
    """A real WebSocket in the page that shows this notebook; show it to make it run.

    Its socket lives where the widget is shown. It closes when the last view of it is closed, when
    the page is left and when the cell runs again; a page that comes back opens again what it had
    open. All methods work from any thread and return at once. ``connect``, ``send``, ``close``,
    ``ready_state`` and all that concerns one socket are those of ``browser[0]``: a Browser is its
    first socket, mostly the only one, and what it has beside that is about all of them.

    Args:
        target: a Server, or any ``ws://`` or ``wss://`` URL.
        protocols: subprotocols to offer, best first.
        autoconnect: connect as soon as a page shows it.
        count: how many sockets, at most 32.
        name: how views call it; "browser 1", "browser 2", ... by default.
        route: how to get there: "direct", "tunnel", "proxy" or "comm"; None takes the first that
            works. "comm" opens a socket in the kernel, not in the page.

    Raises:
        BadURL: the target is neither a Server nor a str.
        ValueError: a count or a route that there is not.
    """

    def __init__(
        self,
        target: Any,
        protocols: str | Iterable[str] = (),
        autoconnect: bool = True,
        count: int = 1,
        name: str | None = None,
        *,
        route: str | None = None,
    ) -> None:
        if not isinstance(target, str) and not isinstance(getattr(target, "url", None), str):
            raise BadURL(
                f"expected a Server or a ws:// URL, got {type(target).__name__} {target!r:.60}"
            )
        if not isinstance(count, int) or not 1 <= count <= MAX_COUNT:
            raise ValueError(f"expected a count from 1 to {MAX_COUNT}, got {count!r}")
        if route is not None and route not in ROUTES:
            raise ValueError(
                f"expected a route of {', '.join(map(repr, ROUTES))} or None, got {route!r}"
            )
        self.name = name or f"browser {next(_numbers)}"
        self.protocols = (protocols,) if isinstance(protocols, str) else tuple(protocols)
        routes = Routes(target, forced=route)
        super().__init__(PageSockets(self.name, routes, self.protocols, count), 0)
        self.replaced = False
        self._view: BrowserView | None = None
        self._sockets = tuple(Socket(self.page_sockets, index) for index in range(count))
        claim = cells.claim("browser")
        if autoconnect:
            for socket in self._sockets:
                socket.connect()
        claim.adopt(self)

    # Several sockets.

    def __len__(self) -> int:
        return len(self._sockets)

    def __getitem__(self, index: int) -> Socket:
        return self._sockets[index]

    def __iter__(self) -> Iterator[Socket]:
        return iter(self._sockets)

    def __bool__(self) -> bool:
        return True

    # All of them.

    @property
    def events(self) -> tuple[BrowserEvent, ...]:
        """What happened to all sockets, oldest first: the latest 2,000, or 4 MiB of them."""
        return self.page_sockets.record.events

    @property
    def dropped(self) -> int:
        """Events that are not in ``events``: older ones, and what the page could not hand over."""
        record = self.page_sockets.record
        return record.dropped + record.dropped_in_page

    @property
    def exceptions(self) -> tuple[BrowserEvent, ...]:
        """What the browser threw: ``.name``, ``.text`` and the line (``.js``) of each."""
        return tuple(event for event in self.events if event.type == "exception")

    @property
    def errors(self) -> FailureLog:
        """What callbacks let through: the latest 50."""
        return self.page_sockets.callbacks.errors

    @property
    def errors_seen(self) -> int:
        """How many exceptions callbacks have let through; see ``errors``."""
        return self.errors.seen

    @property
    def waiting(self) -> int:
        """Commands that wait for a page to show this browser."""
        return len(self.page_sockets.commands)

    @property
    def is_shown(self) -> bool:
        """Whether a page shows it, so that commands run."""
        return self.page_sockets.is_shown

    @property
    def route(self) -> str | None:
        """How the page gets to the server: "direct", "tunnel", "proxy", "comm"; None: not known."""
        return self.page_sockets.routes.taken

    def on_event(self, callback: C) -> C:
        """Call ``callback(event)`` for each event of every socket from now on.

        Callbacks are called one after the other, in order, on whatever thread Jupyter hears the
        page on; mostly not while a cell runs. What one raises is put into ``errors`` and shown in
        the widget; what it prints appears nowhere. Where callbacks are slower than events come,
        10,000 of them wait, or 8 MiB; older ones are passed over, a note says how many, and
        ``passed_over`` counts them. Running the registering cell again replaces its callbacks.
        Can decorate a function.

        Raises:
            TypeError: not callable, or an ``async def``, which nobody would await here.
        """
        return self.page_sockets.callbacks.add(callback, None)

    def off(self, callback: Callable[..., Any]) -> None:
        """Call it no longer; idempotent."""
        self.page_sockets.callbacks.remove(callback)

    @property
    def passed_over(self) -> int:
        """Events that callbacks never heard of, for they are too slow."""
        return self.page_sockets.callbacks.passed_over

    @property
    def ended(self) -> str:
        """Why it has ended; "" while it has not."""
        return self.page_sockets.ended

    def stop(self) -> None:
        """Let the sockets be closed with 1000 and end: nothing runs after it; idempotent."""
        self.begin_close()

    def begin_close(self, *, replaced: bool = False) -> Future[None]:
        """End without waiting for any page; the future is done already."""
        why = "its cell ran again, and a new one took its place" if replaced else "stopped"
        if self.page_sockets.end(why):
            self.replaced = replaced
            cells.forget(self)
            if self._view is not None:
                with contextlib.suppress(Exception):  # the page is told, if there is one
                    self._view.end()
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    # How it shows itself.

    @property
    def view(self) -> BrowserView:
        """The widget; made when it is asked for first."""
        with self.page_sockets.lock:
            if self._view is None:
                self._view = BrowserView(self.page_sockets)
            return self._view

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return self.view._repr_mimebundle_(**kwargs)

    def __str__(self) -> str:
        return static_html.text(self.page_sockets)

    def __repr__(self) -> str:
        return repr(self.page_sockets)
