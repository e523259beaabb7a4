"""The check of lesson 07, a safe sender, and what its cells look at: what became of each send().

Its rule: the server's wire decides. Random messages, a random number of them, must come as text
frames in order, and then close 4000, whatever state the socket was in when the sender was called.
For the check a stand-in plays the page: a real Browser whose page is played here, by the browser's
rules and with a real socket of the kernel's. `in_page` does the same in the learner's own page.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from ...server.handler import handler_name
from ...server.serve import serve
from ...server.server import Server
from ...widgets.browser.browser import Browser, BrowserEvent
from ...wire.events import FrameEvent
from ...wire.tape.tape import Tape
from ..exercises import Miss, NotYet, exercise
from ..learner_loop import bounded
from ..page_stand_in import CALL_S, ROUND_S, PageStandIn
from ..testbench import TestBench, describe, nonce

__all__ = ["ENDS", "ends", "in_page", "so_far"]

ARRIVES, LATER, THROWS, LOST = ENDS = (
    "it arrives",
    "it waits, and arrives later",
    "an exception",
    "nothing: no exception, and it never arrives",
)
"""What can become of a message that is given to ``send()``."""

COUNT = (4, 9)  # messages of a round: random, in this range
DOOR_S = 0.1  # how long the stand-in stays CONNECTING after the sender has returned
PAGE_DOOR_S = 1.0  # the same in the page, where it is there to be seen
STEPS = 4  # of the stand-in, after which a function that heard of an event has been obeyed

_OPEN_FIRST = (
    "a send while CONNECTING throws, and the message is gone: send when the open event comes"
)
_OPEN_ALREADY = (
    "where the socket is OPEN already, no open event comes any more: look at ready_state, too"
)
_LISTEN = (
    "page.on_event(function) calls your function with each event: send in it where the event's "
    'type is "open"'
)
_CLOSE_LAST = (
    "close() stands behind the last send, in the same function: what is sent after it is lost, and "
    "while CONNECTING it gives the whole connection up"
)
_ONE_EACH = "one frame for each message: send them one by one, not joined into one"
_ONCE = (
    "an open event and ready_state may both tell you that it is open, and other events come, too: "
    "make sure that your messages go out once"
)
_ATTACHED = (
    "a function that stays with the page hears the next open event as well: when its work is done, "
    "take it out with page.off(function)"
)
_RETURN = (
    "return at once, and let a function that you give to page.on_event do the rest: what happens "
    "in the page is not heard here before your code has ended"
)


def ends(page: Any, server: Server) -> dict[str, str]:
    """Return what became of the latest ``send()`` in each state, by the page and by the wire.

    Args:
        page: a Browser.
        server: where it connects to.

    Returns:
        One of ENDS for each state in which something was sent, as far as it is known.
    """
    messages = server.tape.messages if server.tape is not None else ()
    arrived = [one.data for one in messages if one.sender == "client"]
    events = page.events
    found: dict[str, str] = {}
    for event, after in itertools.zip_longest(events, events[1:]):
        is_send = event.type == "call" and ".send(" in event.js and event.data is not None
        if not is_send or event.ready_state is None or "addEventListener" in event.js:
            continue
        if after is not None and after.type == "exception" and after.js == event.js:
            found[event.ready_state] = THROWS
        elif event.data in arrived:
            found[event.ready_state] = ARRIVES
        elif event.ready_state != "OPEN" or page.ready_state == "CLOSED":
            found[event.ready_state] = LOST
    return found


def so_far(page: Any, how: str = "no page has made a socket") -> str:
    """Say how far a page's socket is, and what to do while it is not CLOSED.

    Args:
        page: a Browser.
        how: what to say where there is no socket yet.
    """
    if page.ready_state == "CLOSED":
        return "readyState: CLOSED"
    state = page.ready_state or f"none yet: {how}"
    return f"readyState: {state} - not over yet. Run this cell again."


# The exercise.


@exercise(
    "07 safe sender",
    hints=(
        "There are two cases. Where `page.ready_state` is OPEN, the messages can go at once. In "
        "every other case they go when the open event comes, and only then. In both, close(4000) "
        "stands right behind the last send. And what is left when the page connects again?",
        'Write an inner function `go(event)` that does nothing unless `event.type` is "open". '
        "Then it takes itself out, with `page.off(go)`, sends all messages and closes. Call "
        '`page.on_event(go)`. Where `page.ready_state` is "OPEN", send and close at once instead.',
    ),
    solution="solutions/07_browser.py",
)
def safe_sender(send_safely: Any, trial: InPage | None = None) -> str:
    """Call the sender before there is a socket, while CONNECTING, and when OPEN: look at the wire.

    Args:
        send_safely: the learner's.
        trial: what ``in_page`` returned, for the real page's part.
    """
    if not callable(send_safely):
        raise Miss(
            "`def send_safely(page, messages)`",
            f"{type(send_safely).__name__} {send_safely!r:.60}",
            "give the function itself, without calling it",
        )
    total = sum(_round(send_safely, when) for when in (None, "CONNECTING", "OPEN"))
    _round(send_safely, "CONNECTING", is_last=True)
    said = (
        f"a stand-in for a page sent {total} random messages in three rounds (no socket yet, "
        "CONNECTING, OPEN): on each wire all of them in order, then close 4000"
    )
    return said if trial is None else f"{said}. {trial.verdict(send_safely)}"


def _round(send_safely: Callable[..., Any], when: str | None, *, is_last: bool = False) -> int:
    door = threading.Event()

    async def process_request(_connection: Any, _request: Any) -> None:
        await asyncio.to_thread(door.wait, ROUND_S)

    messages = _messages()
    with TestBench(_listen, process_request=process_request) as bench:
        page = Browser(bench.server.url, name="a stand-in")
        stand_in = PageStandIn(page)
        try:
            if when == "OPEN":
                door.set()
                stand_in.step_until(lambda: page.ready_state == "OPEN")
            elif when == "CONNECTING":
                stand_in.step()
            _call(send_safely, page, messages)
            stand_in.step_until(lambda: False, DOOR_S)  # whoever sends on any event does so now
            door.set()
            stand_in.step_until(lambda: page.ready_state == "CLOSED", ROUND_S)
            _judge(bench.tape, messages, page, when)
            if is_last:
                _once_more(stand_in, bench, len(messages))
        finally:
            door.set()
            stand_in.close()
            page.stop()
    return len(messages)


def _once_more(stand_in: PageStandIn, bench: TestBench, count: int) -> None:
    """Let the page connect again: the sender was called once, and has nothing more to say."""
    page, fence = stand_in.page, nonce()
    page.connect()
    stand_in.step()  # CONNECTING from now on
    stand_in.step_until(lambda: page.ready_state != "CONNECTING")
    for _ in range(STEPS):  # what is said for an event is done in the next step
        stand_in.step()
    stand_in.say(fence)

    def later() -> list[FrameEvent]:
        return _from_client(bench.tape)[count + 1 :]

    bench.until(
        lambda: any(frame.text == fence or frame.opcode == 8 for frame in later()),
        "a page that connects once more",
        lambda: f"the socket is {page.ready_state}",
        _ATTACHED,
    )
    more = [frame for frame in later() if frame.text != fence]
    if more:
        said = "; ".join(describe(frame, more[0].at_s) for frame in more[:4])
        raise Miss(
            "nothing when the page connects once more: send_safely was called once",
            f"on the wire, on the second connection: {said}",
            _ATTACHED,
        )


def _from_client(tape: Tape) -> list[FrameEvent]:
    """Return the client's text, binary and close frames, in order."""
    return [
        event
        for event in tape.events
        if isinstance(event, FrameEvent) and event.sender == "client" and event.opcode in (1, 2, 8)
    ]


def _messages() -> list[str]:
    return [nonce() for _ in range(random.randint(*COUNT))]


async def _listen(websocket: Any) -> None:
    async for _ in websocket:
        pass


def _call(send_safely: Callable[..., Any], page: Browser, messages: list[str]) -> None:
    expected = f"{handler_name(send_safely)}(page, messages) to return at once"
    began_s = time.monotonic()
    try:
        bounded(send_safely, page, list(messages), timeout_s=CALL_S, expected=expected)
    except Miss as miss:
        miss.hint = _RETURN
        raise
    except TimeoutError as exc:
        if time.monotonic() - began_s < CALL_S - 0.1:  # the learner's own
            raise
        seen = f"an `async def` that still waits after {CALL_S:g} s"
        raise Miss("a plain `def` that returns at once", seen, _RETURN) from exc


def _judge(tape: Tape, messages: Sequence[str], page: Browser, when: str | None) -> None:
    """Raise a Miss unless the client's frames are the messages, in order, and a close 4000."""
    frames = _from_client(tape)
    data = [frame.text if frame.opcode == 1 else frame.payload for frame in frames[:-1]]
    is_one = len({frame.connection_id for frame in frames}) == 1
    if is_one and data == list(messages) and _close_code(frames[-1]) == 4000:
        return
    for error in page.errors:
        if error.kind.rpartition(".")[2] in ("NotYet", "NotImplementedError"):
            raise NotYet
    state = "there is no socket yet" if when is None else f"the socket is {when}"
    miss = Miss(
        f"called while {state}: {len(messages)} text frames, the messages in order, "
        "then close 4000",
        _seen(frames, tape, page),
        _hint(frames, messages, page, when),
    )
    if page.errors:
        miss.details = page.errors[0].traceback
        miss.seen += f". Your callback raised {page.errors[0]}"
        miss.hint = "fix what your callback raised first"
    raise miss


def _seen(frames: Sequence[FrameEvent], tape: Tape, page: Browser) -> str:
    began_s = min((event.at_s for event in tape.events), default=0.0)
    said = [describe(frame, began_s) for frame in frames]
    if len(said) > 5:
        said[2:-2] = [f"{len(said) - 4} more"]
    seen = "on the wire: " + ("; ".join(said) or "no frame at all")
    if page.exceptions:
        names = ", ".join(sorted({event.name for event in page.exceptions}))
        seen += f". The page threw {len(page.exceptions)} exceptions: {names}"
    if not any(frame.opcode == 8 for frame in frames):
        seen += f". In the end the socket was {page.ready_state or 'not made'}"
    return seen


def _hint(
    frames: Sequence[FrameEvent], messages: Sequence[str], page: Browser, when: str | None
) -> str:
    data = [frame.text if frame.opcode == 1 else None for frame in frames if frame.opcode != 8]
    closes = [_close_code(frame) for frame in frames if frame.opcode == 8]
    opened = any(event.type == "open" for event in page.events)
    if any(event.name == "InvalidStateError" for event in page.exceptions):
        return _OPEN_FIRST
    if not frames and not opened:
        return _CLOSE_LAST
    if not frames:
        return _OPEN_ALREADY if when == "OPEN" else _LISTEN
    if None in data:
        return "send each message as it is: a str goes out as a text frame"
    if len(data) > len(messages):
        return _ONCE
    if any(sum(message in str(one) for message in messages) > 1 for one in data):
        return _ONE_EACH
    if sorted(map(str, data)) == sorted(messages) and data != list(messages):
        return "send in the order of the list"
    if len(data) < len(messages) and closes:
        return _CLOSE_LAST
    if data == list(messages):
        return "page.close(4000) is what the wire should end with" + (
            "" if closes else ", right behind the last send"
        )
    return "send each message once, just as it is in the list"


def _close_code(frame: FrameEvent) -> int | None:
    is_close = frame.opcode == 8 and len(frame.payload) >= 2
    return int.from_bytes(frame.payload[:2], "big") if is_close else None


# In the page.


class InPage:
    """The same on real sockets of the page that shows it; made by :func:`in_page`."""

    def __init__(self, send_safely: Callable[..., Any]) -> None:
        self.send_safely = send_safely
        self.not_run = ""  # why it does not run in the page
        self._rounds: list[tuple[str | None, Browser, Server, list[str]]] = []
        try:
            safe_sender(send_safely)  # what runs away does so at the stand-in
            early = self._make(None, "called before it is open")
            _call(send_safely, early, self._rounds[0][3])
        except NotImplementedError:
            self.not_run = "not yet: write the cell above, run it, then run this one"
            return
        except Exception:
            self.not_run = "not in your page yet: first fix what the next cell finds"
            return
        late = self._make("OPEN", "called when it is open")

        def begin(event: BrowserEvent) -> None:
            if event.type == "open":
                late.off(begin)
                _call(send_safely, late, self._rounds[1][3])

        late.on_event(begin)

    def _make(self, when: str | None, name: str) -> Browser:
        async def process_request(_connection: Any, _request: Any) -> None:
            await asyncio.sleep(PAGE_DOOR_S if when is None else 0.0)

        server = serve(_listen, name=name, process_request=process_request)
        page = Browser(server, name=name)
        self._rounds.append((when, page, server, _messages()))
        return page

    def verdict(self, send_safely: Any) -> str:
        """Say in a sentence what the page did.

        Raises:
            Miss: the wire of one of the page's sockets says otherwise.
        """
        again = "run this cell again"
        if self.send_safely is not send_safely:
            return f"The page ran an older version: run the cell that shows it, then {again}"
        if self.not_run:
            return f"Your page was not tried: run the cell that shows it, then {again}"
        if not all(page.events for _, page, _, _ in self._rounds):
            return f"No page has looked yet: when its sockets are CLOSED, {again}"
        for when, page, server, messages in self._rounds:
            assert server.tape is not None
            if page.ready_state == "CLOSED":
                _judge(server.tape, messages, page, when)
        if not all(page.ready_state == "CLOSED" for _, page, _, _ in self._rounds):
            return f"The page is not done yet: when its sockets are CLOSED, {again}"
        total = sum(len(messages) for *_, messages in self._rounds)
        routes = ", ".join(sorted({page.route or "?" for _, page, _, _ in self._rounds}))
        return (
            f"And so did your own page with {total} others, on two real sockets (route: {routes})"
        )

    def _ipython_display_(self) -> None:
        from IPython.display import display

        if self.not_run:
            plain = {"text/plain": self.not_run}
            display(plain, raw=True)  # type: ignore[no-untyped-call, unused-ignore]
        for _, page, _, _ in self._rounds:
            display(page)  # type: ignore[no-untyped-call, unused-ignore]

    def __repr__(self) -> str:
        if self.not_run:
            return self.not_run
        return "\n".join(repr(page) for _, page, _, _ in self._rounds)


def in_page(send_safely: Callable[..., Any]) -> InPage:
    """Let the sender drive two real sockets of the page that shows what this returns.

    One is not open yet when the sender is called, the other is. Nothing waits for the page: the
    check looks later at what it did.

    Args:
        send_safely: the learner's ``send_safely(page, messages)``.
    """
    return InPage(send_safely)
