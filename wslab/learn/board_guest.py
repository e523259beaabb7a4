"""Guest: a page of lesson 16's whiteboard, played by its check over a real socket, frame by frame.

Its rule: it keeps the page's rules, and its picture is made of what its own wire has carried, so
that a stroke that is missing, comes twice or is nobody's shows where it happened. It writes the
Hub's packets by hand, so that it can break off, come back, and say a thing again. What a board has
to do is for the lesson's checks to say.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .exercises import Miss
from .testbench import BenchClient, TestBench, nonce

__all__ = ["COLORS", "FIT", "FRESH", "MAX_COORDINATE", "MAX_POINTS", "Books", "Guest", "Stroke"]

COLORS = ("ink", "red", "blue")
MAX_POINTS = 100
MAX_COORDINATE = 1000

Points = tuple[tuple[int, int], ...]

_PICTURE = (
    "`picture` is the list of all strokes, oldest first, each as it was drawn; a page puts it in "
    "place of what it has"
)
_AS_DRAWN = "what goes out has the `points` and the `color` of what came in"
FRESH = (
    "whiteboard() is called for each check anew: make what the board remembers inside of it, "
    "beside the Hub"
)
FIT = (
    "the picture and the strokes after it must fit together: put a stroke into your list and emit "
    "it in one `async def`, with no `await` between the two, and send the picture in `connect`"
)


@dataclass(frozen=True)
class Stroke:
    """What a guest has drawn; no two have the same points."""

    number: int
    by: str  # the guest's name
    color: str
    points: Points

    @property
    def data(self) -> dict[str, Any]:
        """What a page says of it."""
        return {"color": self.color, "points": [list(point) for point in self.points]}

    def __str__(self) -> str:
        return f"{self.by}'s stroke {self.number}, which begins {list(self.points[0])}"


class Books:
    """All strokes of one check, by their points."""

    def __init__(self) -> None:
        self.strokes: dict[Points, Stroke] = {}
        self._counts: dict[str, int] = {}

    def draw(self, by: str) -> Stroke:
        """Make up a stroke."""
        points: Points = ()
        while not points or points in self.strokes:
            points = tuple(
                (random.randint(0, MAX_COORDINATE), random.randint(0, MAX_COORDINATE))
                for _ in range(random.randint(4, 12))
            )
        self._counts[by] = self._counts.get(by, 0) + 1
        stroke = Stroke(self._counts[by], by, random.choice(COLORS), points)
        self.strokes[points] = stroke
        return stroke

    def find(self, data: Any) -> Stroke | None:
        """Return the stroke that a board has sent; None where nobody has drawn such a one."""
        if not isinstance(data, dict):
            return None
        try:
            points = tuple((x, y) for x, y in data["points"])
            stroke = self.strokes.get(points)
        except (KeyError, TypeError, ValueError):
            return None
        return stroke if stroke is not None and data.get("color") == stroke.color else None


class Guest:
    """One page, from its first connection to its last.

    Attributes:
        picture: what it shows: strokes by others, and its own once they are answered, in order.
        shown: the same as the board has sent it, by the stroke.
        people: the latest list of who is here, or None.
        pictures: how often a whole picture came.
        errors: what the board has told it, in words.
        user: by which the board knows it.
    """

    def __init__(self, bench: TestBench, books: Books, name: str, *, called: str = "") -> None:
        self.name = name
        self.picture: list[Stroke] = []
        self.shown: dict[Stroke, dict[str, Any]] = {}
        self.people: Any = None
        self.pictures = 0
        self.errors: list[str] = []
        self.user = ""
        self._bench = bench
        self._books = books
        self._called = called or name
        self._token = nonce(12)
        self._offset: int | None = None
        self._seen = -1  # what came over earlier connections
        self._has_session = False
        self._sent: list[tuple[str, int]] = []  # packet n, and its answer's number, at n - 1
        self._received = 0  # up to which the board has them
        self._asked = 0
        self._drawn: dict[int, Stroke] = {}  # by the number of their answer
        self._answers: dict[int, dict[str, Any]] = {}
        self.client: BenchClient
        self.enter()

    # Connections.

    def enter(self) -> None:
        """Connect; after a break say again what has no receipt, as hub.js does."""
        path = f"/?name={self._called}&session={self._token}"
        if self._offset is not None:
            path += f"&offset={self._offset}"
        self._seen = self._offset if self._offset is not None else -1
        label = f"{self.name} {nonce(2)}"
        self.client = self._bench.connect(path, name=label, ping_interval=None)
        while not self._take(self._recv("the Hub's welcome", "return the Hub itself")):
            pass
        if self._has_session:
            for nth, (text, asked) in enumerate(self._sent):
                if nth >= self._received or (asked and asked not in self._answers):
                    self.client.send(text)

    @property
    def cable(self) -> Any:
        """The network at the board's end of its connection."""
        end = self.client.of_the_server
        return next(one.network for one in self._bench.server.connections if one.websocket is end)

    def come_back(self) -> None:
        """End the connection with no goodbye, and enter again."""
        self.client.cut()
        self.enter()

    # What it says.

    def say(self, event: str, data: Any = None, *, asks: bool = False) -> int:
        """Send an event; return the number of its answer."""
        return self.say_text(event, json.dumps(data), asks=asks)

    def say_text(self, event: str, data: str, *, asks: bool = False) -> int:
        """Send an event whose data is this JSON text, whatever it may be."""
        self._asked += 1
        number = f',"id":{self._asked}' if asks else ""
        text = f'{{"event":"{event}","data":{data}{number},"n":{len(self._sent) + 1}}}'
        self._sent.append((text, self._asked if asks else 0))
        self.client.send(text)
        return self._asked

    def ask(self, event: str, data: Any, expected: str, hint: str = "") -> dict[str, Any]:
        """Send an event and wait for its answer: a packet with ``data`` or ``error``."""
        return self.answer(self.say(event, data, asks=True), expected, hint)

    def answer(self, number: int, expected: str, hint: str = "") -> dict[str, Any]:
        """Wait for the answer of that number."""
        self.until(lambda: number in self._answers, expected, hint)
        return self._answers[number]

    def sketch(self, count: int = 1) -> list[Stroke]:
        """Draw strokes, one after the other, and wait for nothing."""
        strokes = [self._books.draw(self.name) for _ in range(count)]
        for stroke in strokes:
            self._drawn[self.say("stroke", stroke.data, asks=True)] = stroke
        return strokes

    def draw(self, hint: str = "") -> Stroke:
        """Draw a stroke, and wait until the board has answered."""
        (stroke,) = self.sketch()
        answer = self.answer(self._asked, f"an answer to {stroke}", hint)
        if "error" in answer:
            seen = f"the error {json.dumps(answer['error']):.120}"
            raise self.miss(f"{stroke} to be taken", seen, hint)
        return stroke

    # What it hears.

    def until(self, is_so: Callable[[], bool], expected: str, hint: str = "") -> None:
        """Read until something is so.

        Raises:
            Miss: it is not in time, or something came that may not.
        """
        while not is_so():
            self._take(self._recv(expected, hint))

    def see(self, strokes: list[Stroke], hint: str = "") -> None:
        """Read until its picture has these."""
        for stroke in strokes:
            expected = f"{stroke}, on {self.name}'s wire"
            self.until(lambda stroke=stroke: stroke in self.shown, expected, hint)  # type: ignore[misc]

    def expect(self, strokes: list[Stroke], when: str, hint: str = "") -> None:
        """Read until its picture has just these, in the order in which each guest drew them."""
        wanted = set(strokes)
        expected = f"{when}, {len(strokes)} strokes in {self.name}'s picture"
        self.until(lambda: set(self.shown) == wanted, expected, hint)
        last: dict[str, int] = {}
        for stroke in self.picture:
            if stroke.number < last.get(stroke.by, 0):
                seen = f"{stroke} after stroke {last[stroke.by]}"
                raise self.miss(f"{when}, each guest's strokes in order", seen, _PICTURE)
            last[stroke.by] = stroke.number

    def _recv(self, expected: str, hint: str) -> str | bytes:
        try:
            return self.client.recv(expected, hint)
        except Miss as miss:
            told = f"the board told {self.name}: {self.errors[-1]}; " if self.errors else ""
            shown = f"{self.name}'s picture has {len(self.picture)} strokes; "
            miss.seen = f"{told}{shown}{miss.seen}"
            raise

    def miss(self, expected: str, seen: str, hint: str = "") -> Miss:
        """Word a Miss of this guest's."""
        return Miss(expected, f"{seen}, on {self.name}'s wire", hint)

    def _take(self, message: str | bytes) -> bool:
        """Do what a page does with a message; return whether it was the welcome."""
        try:
            packet = json.loads(message)
        except ValueError:
            packet = None
        if not isinstance(packet, dict):
            raise self.miss("the Hub's packets", f"{message!r:.60}", "return the Hub itself")
        if "answer" in packet:
            self._answer(packet)
        self._received = max(self._received, packet.get("received", 0))
        offset = packet.get("offset")
        if offset is not None:
            if offset <= self._seen:
                return False
            self._offset = offset
        event: Any = packet.get("event")
        data: Any = packet.get("data")
        if event == "welcome":
            self._welcome(data)
        elif event == "stroke":
            self._stroke(data)
        elif event == "picture":
            self._picture(data)
        elif event == "gone":
            self._gone(data)
        elif event == "people":
            self.people = data
        elif event == "error":
            self.errors.append(str(data.get("message")))
        return bool(event == "welcome")

    def _welcome(self, data: dict[str, Any]) -> None:
        self._has_session = data["session"] is not None
        self.user = data["user"] if data.get("user") else data["id"]
        if not data["resumed"]:
            self._sent, self._received = [], 0
            self._offset, self._seen = data["offset"], -1
        self._received = max(self._received, data.get("received") or 0)

    def _known(self, data: Any, where: str) -> Stroke:
        stroke = self._books.find(data)
        if stroke is None:
            hint = _AS_DRAWN if self._books.strokes else FRESH
            seen = f"{json.dumps(data):.80}"
            raise self.miss(f"strokes that were drawn, in {where}", seen, hint)
        return stroke

    def _answer(self, packet: dict[str, Any]) -> None:
        self._answers[packet["answer"]] = packet
        stroke = self._drawn.get(packet["answer"])
        if stroke is not None and "error" not in packet and stroke not in self.shown:
            self.picture.append(stroke)  # unless a whole picture has brought it already
            self.shown[stroke] = {"id": packet.get("data"), **stroke.data}

    def _stroke(self, data: Any) -> None:
        stroke = self._known(data, "`stroke`")
        if stroke.by == self.name:
            raise self.miss(
                "a stroke to all others", f"{stroke} came back to who drew it", "`skip=client`"
            )
        if stroke in self.shown:
            raise self.miss("each stroke once", f"{stroke} twice", FIT)
        self.picture.append(stroke)
        self.shown[stroke] = data

    def _picture(self, data: Any) -> None:
        if not isinstance(data, list):
            raise self.miss("a list in `picture`", f"{json.dumps(data):.60}", _PICTURE)
        self.pictures += 1
        self.picture = [self._known(each, "`picture`") for each in data]
        self.shown = dict(zip(self.picture, data, strict=True))
        if len(self.shown) < len(self.picture):
            twice = next(one for one in self.picture if self.picture.count(one) > 1)
            raise self.miss("each stroke once in `picture`", f"{twice} twice", _PICTURE)

    def _gone(self, data: Any) -> None:
        if not isinstance(data, list):
            hint = "`gone` carries a list of numbers, also where it is one"
            raise self.miss("a list in `gone`", f"{json.dumps(data):.60}", hint)
        self.picture = [one for one in self.picture if self.shown[one].get("id") not in data]
        self.shown = {one: self.shown[one] for one in self.picture}
