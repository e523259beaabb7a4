"""CloseEvidence: what the events of one connection tell about its end.

Its rule: who closed it, who was silent for how long, and which known limit fits; never more than
the record holds. It takes events one by one and keeps a few numbers of them, however many come.
What only a running client knows (what blocked its loop, what was not sent) is `client`'s.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from .close_words import KEEPALIVE, broke_off, capitalised, closed_by, unanswered_by
from .events import (
    CloseEvent,
    DroppedEvent,
    EndedEvent,
    Event,
    FaultEvent,
    FrameEvent,
    MessageEvent,
    OverEvent,
    PongEvent,
    RequestEvent,
    ResponseEvent,
)
from .frames.violations import Fault
from .sender import SENDERS, Sender

__all__ = ["CloseEvidence", "why_ended"]

_MAX_PINGS = 16  # unanswered ones that are kept for each side
_SILENCE_S = 5.0  # shorter ones say nothing
_PROXIES = (  # how long a connection may be idle, in seconds, and where that is the default
    (55.0, "Heroku's router"),
    (60.0, "nginx (proxy_read_timeout) and of AWS's Application Load Balancer"),
    (240.0, "Azure's Load Balancer"),
    (350.0, "AWS's Network Load Balancer"),
)
_KEEPALIVE_S = 20.0  # ping_interval and ping_timeout of websockets and of uvicorn
_CLOSE_S = 10.0  # close_timeout of websockets
_MAX_SIZE_BYTES = 2**20  # max_size of websockets
_HEARTBEAT = ("2", "3")  # Engine.IO's ping and pong


class CloseEvidence:
    """What is known of one connection while its events come in."""

    def __init__(self) -> None:
        self._names: dict[Sender, str] = {}
        self._request: RequestEvent | None = None
        self._response: ResponseEvent | None = None
        self._fault: FaultEvent | None = None
        self._ended: EndedEvent | None = None
        self._over_s: float | None = None
        self._closes: list[CloseEvent] = []
        self._last_s: dict[Sender, float] = {}
        self._sizes: dict[Sender, int] = {}  # of the last message or frame, in bytes
        self._pings: dict[Sender, deque[tuple[bytes, float]]] = {
            sender: deque(maxlen=_MAX_PINGS) for sender in SENDERS
        }
        self._beat_s: float | None = None  # the server's heartbeat that was not answered
        self._is_cut = False

    def see(self, event: Event) -> None:
        """Take the next event of the connection."""
        if isinstance(event, FrameEvent):
            self._see_frame(event)
        elif isinstance(event, MessageEvent):
            self._see_message(event)
        elif isinstance(event, PongEvent):
            pings = self._pings[_other(event.sender)]
            while pings and pings.popleft()[0] != event.payload:
                pass
        elif isinstance(event, CloseEvent):
            if len(self._closes) < 2:
                self._closes.append(event)
        elif isinstance(event, FaultEvent):
            if isinstance(event.fault, Fault):  # a Problem may be the reader's own
                self._fault = self._fault or event
        elif isinstance(event, EndedEvent):
            self._ended = event
        elif isinstance(event, OverEvent):
            self._over_s = event.at_s
        elif isinstance(event, RequestEvent):
            self._request = event
        elif isinstance(event, ResponseEvent):
            self._response = event
            self._last_s = dict.fromkeys(SENDERS, event.at_s)
        elif isinstance(event, DroppedEvent):
            self._is_cut = True

    def _see_frame(self, event: FrameEvent) -> None:
        if event.opcode == 8:
            return
        self._last_s[event.sender] = event.at_s
        if event.opcode < 8:
            self._sizes[event.sender] = event.frame.payload_size_bytes
        elif event.opcode == 9:
            self._pings[event.sender].append((event.payload, event.at_s))

    def _see_message(self, event: MessageEvent) -> None:
        data = event.data
        if event.fragments > 1:
            self._sizes[event.sender] = len(data.encode() if isinstance(data, str) else data)
        if data in _HEARTBEAT and self._is_engineio:
            self._beat_s = event.at_s if event.sender == "server" else None

    @property
    def _is_engineio(self) -> bool:
        return self._request is not None and "EIO=4" in self._request.request.target

    # What follows from it.

    def told(self, client: str = "the client") -> str:
        """Say why the connection ended, or that it has not.

        Args:
            client: how that side is called inside a sentence; the other is "the server".
        """
        self._names = {"client": client, "server": "the server"}
        return " ".join(self._sentences())

    def _sentences(self) -> Iterable[str]:
        response = self._response
        if response is None and not self._last_s:
            yield "No handshake is on this record."
            return
        if response is not None and response.response.status != 101:
            yield (
                f"It never became a WebSocket: the server answered {response.response.status} "
                f"{response.response.reason}."
            )
            return
        if self._ended is None and not self._closes and self._over_s is None:
            yield "Its end is not on this record."
            yield from self._last()
            return
        yield from self._who()
        yield from self._fault_before()
        yield from self._size()
        yield from self._pongs()
        yield from self._silence()
        if response is not None:
            yield f"It had been open for {_seconds(self._end_s - response.at_s)}."
        if self._is_cut:
            yield "Some of it is no longer on the tape, and not counted here."

    @property
    def _end_s(self) -> float:
        """When it began to end: the first close frame, or else the end of TCP."""
        if self._closes:
            return self._closes[0].at_s
        at_s = self._ended.at_s if self._ended is not None else self._over_s
        assert at_s is not None
        return at_s

    def _last(self) -> Iterable[str]:
        if self._last_s:
            sender = max(SENDERS, key=lambda each: self._last_s.get(each, 0.0))
            yield f"The last that is there came from {self._names[sender]}."

    def _who(self) -> Iterable[str]:
        if not self._closes and self._ended is None:
            yield (
                "It ended, and the record does not say how: the program that wrote it puts down "
                "no pings and no close frames."
            )
            return
        if not self._closes:
            yield broke_off()
            return
        close = self._closes[0]
        who, other = self._names[close.sender], self._names[_other(close.sender)]
        yield closed_by(who, other, 1005 if close.code is None else close.code, close.reason)
        if self._ended is not None and not self._ended.is_clean and len(self._closes) < 2:
            yield unanswered_by(other)
            waited_s = self._ended.at_s - close.at_s
            if _is_about(waited_s, _CLOSE_S):
                yield f"TCP ended {_seconds(waited_s)} later, as with websockets' close_timeout."

    def _fault_before(self) -> Iterable[str]:
        if self._fault is None:
            return
        who, fault = self._names[self._fault.sender], self._fault.fault
        said = fault.message.partition(" The receiver fails")[0]
        if fault.rule == "truncated-frame":
            yield f"The last frame of {who} was cut in the middle. {said}"
        else:
            yield f"{capitalised(who)} had broken a rule. {said}"

    def _size(self) -> Iterable[str]:
        if not self._closes or self._closes[0].code != 1009:
            return
        other = _other(self._closes[0].sender)
        size_bytes = self._sizes.get(other)
        if size_bytes is None:
            return
        more = ""
        if size_bytes > _MAX_SIZE_BYTES:
            more = (
                f" That is more than {_MAX_SIZE_BYTES:,}, which is what websockets takes unless "
                "max_size=... says otherwise."
            )
        yield (
            f"The last that {self._names[other]} had sent was a message of {size_bytes:,} "
            f"bytes.{more}"
        )

    def _pongs(self) -> Iterable[str]:
        for sender, pings in self._pings.items():
            if not pings:
                continue
            since_s = self._end_s - pings[0][1]
            if since_s < 1.0 or (self._closes and self._closes[0].sender != sender):
                continue
            who, other = self._names[sender], self._names[_other(sender)]
            sent, first = "a ping", ""
            if len(pings) > 1:
                sent, first = f"{len(pings)} pings", "the first "
            fits = ""
            if _is_about(since_s, _KEEPALIVE_S) and not self._says_keepalive:
                fits = (
                    " That fits a keepalive that waits 20 s for a pong, as websockets and uvicorn "
                    "do (ping_timeout)."
                )
            yield (
                f"{capitalised(who)} had sent {sent} that {other} never answered, "
                f"{first}{_seconds(since_s)} before.{fits}"
            )
        if self._beat_s is not None and self._end_s - self._beat_s >= 1.0:
            since_s = self._end_s - self._beat_s
            yield (
                f"{capitalised(self._names['client'])} had not answered Engine.IO's heartbeat, "
                f"sent {_seconds(since_s)} before"
                + (", which fits its pingTimeout of 20 s." if _is_about(since_s, 20.0) else ".")
            )

    @property
    def _says_keepalive(self) -> bool:
        return bool(self._closes) and self._closes[0].reason == KEEPALIVE

    def _silence(self) -> Iterable[str]:
        silent_s = {sender: self._end_s - at_s for sender, at_s in self._last_s.items()}
        both_s = min(silent_s.values(), default=0.0)
        if len(silent_s) == 2 and both_s >= _SILENCE_S:
            what = "a message" if self._over_s is not None else "anything"
            yield f"Neither side had sent {what} for {_seconds(both_s)} before."
            if self._closes:
                return
            for limit_s, whose in _PROXIES:
                if _is_about(both_s, limit_s):
                    fits = "fits" if self._ended is not None else "would fit"
                    yield (
                        f"That {fits} the idle timeout of a proxy: {limit_s:g} s are the default "
                        f"of {whose}. Pings that come more often keep such a connection open."
                    )
            return
        for sender, seconds in silent_s.items():
            if seconds >= 2 * _SILENCE_S and not self._pings[_other(sender)]:
                who, other = self._names[sender], self._names[_other(sender)]
                yield (
                    f"{capitalised(who)} had sent nothing for {_seconds(seconds)}, while "
                    f"{other} still did."
                )


def why_ended(events: Iterable[Event], client: str = "the client") -> str:
    """Say why a connection ended, as far as its events tell.

    Args:
        events: of one connection, in order.
        client: how that side is called inside a sentence.
    """
    evidence = CloseEvidence()
    for event in events:
        evidence.see(event)
    return evidence.told(client)


def _other(sender: Sender) -> Sender:
    return "server" if sender == "client" else "client"


def _is_about(seconds: float, limit_s: float) -> bool:
    """Whether a time fits a limit: a timer is late rather than early, and so is a record."""
    return -0.5 <= seconds - limit_s <= max(1.5, 0.03 * limit_s)


def _seconds(seconds: float) -> str:
    return f"{seconds:.1f} s"
