"""The players of a ChatPanel: clients of a hub, and what went and came, read from their tapes.

Its rule: a player does nothing that a program could not do with ``wslab.connect``. It has no
widget; what its buttons are called and what the packets mean to a reader is said in `chat`.
"""

from __future__ import annotations

import collections
import concurrent.futures
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from websockets.protocol import State

from ...client.client import Client
from ...client.connect import connect
from ...client.urls import with_query
from ...errors import BadPacket, BadURL
from ...hub import Hub
from ...hub.protocol import packets
from ...notebook import cells
from ...server.serve import serve
from ...server.server import Server
from ...wire.events import MessageEvent
from ..panels import model

__all__ = ["MAX_ROOMS", "Chat", "Line", "Player"]

MAX_PLAYERS = 6
KEEP_LINES = 200
MAX_ROOMS = 12
TAPE_BYTES = 256 * 1024
ANSWER_S = 3.0

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """One message that went or came, as a player sees it.

    Attributes:
        at: seconds since the epoch.
        direction: "sent", "received", or "note" for what is no message.
        event: the packet's event; "" where it was no packet.
        text: what is to be read.
        sender: who said it, as far as the hub tells.
        room: where, as far as the hub tells.
        raw: the beginning of the message itself.
    """

    at: float
    direction: str
    event: str
    text: str
    sender: str = ""
    room: str = ""
    raw: str = ""


class Player:
    """One client of the panel; its methods do what its buttons do.

    Attributes:
        name: what it is called.
        client: the handle that ``wslab.connect`` returned last; None before that.
        lines: what went and came, oldest first; the latest 200.
        lines_seen: how many there have been.
    """

    def __init__(self, chat: Chat, name: str) -> None:
        self._chat = chat
        self._reader: Any = None
        self._lock = threading.Lock()
        self.name = name
        self.client: Client | None = None
        self.lines: collections.deque[Line] = collections.deque(maxlen=KEEP_LINES)
        self.lines_seen = 0
        self.asked: dict[str, None] = {}  # rooms that it asked for, in order

    @property
    def is_open(self) -> bool:
        """Whether it is connected."""
        return self.client is not None and self.client.state is State.OPEN

    @property
    def rooms(self) -> tuple[str, ...]:
        """The rooms that it is in, as the hub says; of a hub elsewhere, those it asked for."""
        hub_client = self._hub_client
        if hub_client is None:
            return tuple(self.asked) if self._chat.hub is None else ()
        inside = hub_client.rooms
        return tuple(
            [room for room in self.asked if room in inside] + sorted(inside - self.asked.keys())
        )

    @property
    def _hub_client(self) -> Any:
        hub = self._chat.hub
        if hub is None or self.client is None or not self.is_open:
            return None
        return hub.clients.get(self.client.hub_id or "")

    # What its buttons do.

    def connect(self) -> None:
        """Open a new connection, unless there is one.

        Raises:
            ConnectFailed: nobody answers there; see ``wslab.connect``.
            RuntimeError: the panel has ended.
        """
        if self._chat.ended:
            raise RuntimeError(f"this panel has ended ({self._chat.ended}); run its cell again")
        with self._lock:
            if self.is_open:
                return
            self.drain()
            self.asked.clear()
            url = with_query(self._chat.url, [("name", self.name)])
            self.client = connect(url, name=self.name, keep=True, record=TAPE_BYTES)
            assert self.client.tape is not None
            self._reader = self.client.tape.reader()
        self._chat.watch()

    def disconnect(self) -> None:
        """Close the connection with 1000."""
        if self.client is not None:
            self.client.close(1000)

    def join(self, room: str) -> None:
        """Ask the hub to let it into a room, and wait until it has answered.

        Raises:
            CallFailed: the hub refused, or knows no such event.
            TimeoutError: it did not answer.
        """
        self._open_client().call(self._chat.events["join"], {"room": room}, timeout=ANSWER_S)
        self.asked[room] = None
        while len(self.asked) > MAX_ROOMS:
            del self.asked[next(iter(self.asked))]

    def leave(self, room: str) -> None:
        """Ask the hub to let it out of a room, and wait until it has answered; as :meth:`join`."""
        self._open_client().call(self._chat.events["leave"], {"room": room}, timeout=ANSWER_S)
        self.asked.pop(room, None)

    def say(self, text: str, to: str) -> None:
        """Say something in a room, whether it is in there or not.

        Args:
            text: what to say.
            to: the room's name.
        """
        data = {"room": to, "text": text}
        self._open_client().emit(self._chat.events["say"], data, timeout=ANSWER_S)

    def _open_client(self) -> Client:
        if self.client is None:
            raise RuntimeError(f"{self.name!r} is not connected yet: connect it first")
        return self.client

    # What went and came.

    def drain(self) -> None:
        """Read the tape on; from any thread."""
        handle, reader = self.client, self._reader
        if handle is None or reader is None:
            return
        # Nobody calls recv(): what waits for that is taken away, or the hub would be held up.
        with contextlib.suppress(Exception):
            while handle.waiting:
                handle.recv(0)
        began_at = handle.tape.began_at if handle.tape is not None else 0.0
        with self._chat.reading:
            for event in reader.poll():
                if isinstance(event, MessageEvent):
                    self._keep(_line(event, began_at))
                elif event.kind == "dropped":
                    self._keep(Line(time.time(), "note", "", f"passed over: {event}"))

    def _keep(self, line: Line) -> None:
        self.lines.append(line)
        self.lines_seen += 1

    def __repr__(self) -> str:
        state = self.client.state.name if self.client is not None else "not connected"
        return f"<Player {self.name!r}, {state}, in {', '.join(self.rooms) or 'no room'}>"


def _line(event: MessageEvent, began_at: float) -> Line:
    at, direction = began_at + event.at_s, "sent" if event.sender == "client" else "received"
    data = event.data
    if isinstance(data, bytes):
        return Line(at, direction, "", f"{model.size(len(data))} of binary", raw=data[:16].hex(" "))
    raw = model.one_line(data, 300)
    try:
        packet = packets.decode(data)
    except BadPacket:
        return Line(at, direction, "", model.one_line(data), raw=raw)
    said = packet.data
    if packet.error is not None:
        error = packet.error
        text = f"to {packet.answer}, {error.get('code')}: {error.get('message')}"
        return Line(at, direction, "error", model.one_line(text, 300), raw=raw)
    if packet.answer is not None:
        said = f": {json.dumps(said, ensure_ascii=False)}" if said is not None else ""
        return Line(at, direction, "answer", model.one_line(f"to {packet.answer}{said}"), raw=raw)
    if packet.event is None:
        return Line(at, direction, "", model.one_line(data), raw=raw)
    if direction == "received" and packet.event == "welcome" and isinstance(said, dict):
        text = f"your id here is {said.get('id')}"
    elif direction == "received" and packet.event == "error" and isinstance(said, dict):
        text = model.one_line(f"{said.get('code')}: {said.get('message')}", 300)
    elif direction == "received" and packet.event == "dropped" and isinstance(said, dict):
        text = f"{said.get('count')} events were left out: this client read too slowly"
    elif isinstance(said, dict) and ("text" in said or (direction == "sent" and "room" in said)):
        return Line(
            at,
            direction,
            packet.event,
            model.one_line(str(said.get("text", ""))),
            model.one_line(str(said.get("from") or ""), 40),
            model.one_line(str(said.get("room") or ""), 40),
            raw,
        )
    else:
        text = model.one_line(json.dumps(said, ensure_ascii=False)) if said is not None else ""
        if isinstance(said, str):
            text = model.one_line(said)
    return Line(at, direction, packet.event, text, raw=raw)


class Chat:
    """The players of one panel, where they connect to, and how they end."""

    def __init__(self, target: Any, names: Iterable[str], events: dict[str, str]) -> None:
        names = tuple(names)
        if not names or len(set(names)) != len(names):
            raise ValueError(f"expected names that differ, such as ('ana', 'ben'), got {names!r}")
        if len(names) > MAX_PLAYERS or not all(isinstance(n, str) and n for n in names):
            raise ValueError(f"expected 1 to {MAX_PLAYERS} names, each a text, got {names!r}")
        for event in events.values():
            packets.check_name(event)
        self.events = events
        self.ended = ""
        self.replaced = False
        self.own: Server | None = None  # where nobody served the hub yet
        self.watch: Callable[[], None] = lambda: None  # what comes is read from now on
        self.reading = threading.Lock()
        self.hub, self.url = self._found(target)
        self.players = {name: Player(self, name) for name in names}

    def _found(self, target: Any) -> tuple[Hub | None, str]:
        if isinstance(target, Hub):
            serving = [
                thing
                for thing in cells.things()
                if isinstance(thing, Server) and thing.handler is target and thing.is_serving
            ]
            if not serving:
                self.own = serve(target, keep=True)
                serving = [self.own]
            return target, serving[-1].url
        url = target if isinstance(target, str) else getattr(target, "url", None)
        if not isinstance(url, str):
            raise BadURL(
                f"expected a Hub, a Server or a ws:// URL, got {type(target).__name__} "
                f"{target!r:.60}"
            )
        if isinstance(target, str):
            target = next(
                (t for t in cells.things() if isinstance(t, Server) and t.url == url), None
            )
        hub = getattr(target, "handler", None)
        return (hub if isinstance(hub, Hub) else None), url

    @property
    def is_open(self) -> bool:
        """Whether any of them is connected."""
        return any(player.is_open for player in self.players.values())

    def drain(self) -> None:
        """Read on what went and came."""
        for player in self.players.values():
            player.drain()

    def begin_close(self, *, replaced: bool = False) -> concurrent.futures.Future[None]:
        """Close the clients without waiting; the future is done when they have closed."""
        if not self.ended:
            self.replaced = replaced
            self.ended = "its cell ran again, and a new one took its place" * replaced or "closed"
        cells.forget(self)
        clients = [player.client for player in self.players.values() if player.client is not None]
        closing = [one.begin_close(replaced=replaced) for one in clients]
        if self.own is not None:
            closing.append(self.own.begin_close(replaced=replaced))
        return _all_of(closing)


def _all_of(
    futures: list[concurrent.futures.Future[None]],
) -> concurrent.futures.Future[None]:
    done: concurrent.futures.Future[None] = concurrent.futures.Future()
    left = len(futures)
    lock = threading.Lock()

    def one_less(_future: Any) -> None:
        nonlocal left
        with lock:
            left -= 1
            is_last = left == 0
        if is_last:
            done.set_result(None)

    if not futures:
        done.set_result(None)
    for future in futures:
        future.add_done_callback(one_less)
    return done
