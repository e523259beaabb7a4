"""Script: what one connection of a record did, as steps for a player.

Its rule: a step is what a program meant: a message, a ping, a close. How a message was cut into
frames, masked or compressed is left out, and so are pongs and the answer to a close frame, which
libraries send by themselves. What is not whole on the record is refused, never played in part.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ..wire.connection.messages import TOO_LONG
from ..wire.events import (
    BodyEvent,
    CloseEvent,
    DroppedEvent,
    EndedEvent,
    Event,
    FaultEvent,
    FrameEvent,
    MessageEvent,
    OpenedEvent,
    RequestEvent,
    ResponseEvent,
)
from ..wire.frames.opcodes import Opcode
from ..wire.http.field_values import parse_token_list
from ..wire.http.heads import Request, Response
from ..wire.sender import Sender
from ..wire.tape.tape import Tape

__all__ = ["MAX_BYTES", "Script", "Step", "chosen", "load_record", "scripts_of"]

MAX_BYTES = 64 * 2**20  # of the messages of all connections of a record, inflated
_MAX_NOTES = 20
# What a close frame may carry (RFC 6455 §7.4): others a library refuses to send.
_CODES = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})

Kind = Literal["message", "ping", "close", "end"]


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that one side did.

    Attributes:
        kind: "message", "ping", "close", or "end" where TCP ended without a close frame.
        sender: who did it; None for "end": a record does not tell who hung up.
        at_s: when, in seconds of the record.
        number: of a message: which of the connection's it is, both sides' counted from 1; of
            others the number of the message before.
        data: of a message or a ping.
        code, reason: of a close frame; 1005 stands for none.
    """

    kind: Kind
    sender: Sender | None
    at_s: float
    number: int
    data: str | bytes = b""
    code: int = 1005
    reason: str = ""


@dataclass(slots=True, eq=False)
class Script:
    """One WebSocket connection of a record, or an attempt at one that was refused.

    Attributes:
        id, label: as the record has them.
        request, response: the handshake's heads, with their secrets where the record has them.
        began_s: when the answer came, in seconds of the record.
        steps: in the order in which they were recorded.
        end: how it ended: the "close" or "end" step, also last in ``steps``; None where the record
            does not say.
        body: of a refusal.
        notes: what the record has and a replay leaves out.
    """

    id: str
    label: str | None
    request: Request
    response: Response
    began_s: float
    steps: list[Step] = field(default_factory=list)
    end: Step | None = None
    body: bytes = b""
    notes: list[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """What to call it: its label, or its id."""
        return self.label or self.id

    @property
    def is_refusal(self) -> bool:
        """Whether the server answered with another status than 101."""
        return self.response.status != 101

    @property
    def path(self) -> str:
        """The path that was asked for, without its query."""
        return self.request.target.partition("?")[0] or "/"

    @property
    def offered(self) -> list[str]:
        """The subprotocols that the client offered, in its order."""
        values = self.request.get_all("Sec-WebSocket-Protocol")
        return [name for value in values for name in parse_token_list(value)]

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the server chose."""
        return None if self.is_refusal else self.response.get("Sec-WebSocket-Protocol")

    @property
    def largest_bytes(self) -> int:
        """The size of the largest message, in bytes at the most."""
        return max((_size(step.data) for step in self.steps if step.kind == "message"), default=0)


def load_record(record: Any) -> Tape:
    """Return the tape that a record is on.

    Args:
        record: a Tape, something with a ``tape`` (a Server, a Client), or the path of a file.

    Raises:
        BadFile, OSError: see :meth:`Tape.load`.
        TypeError: it is none of these.
        ValueError: it was made with ``record=False``.
    """
    if isinstance(record, Tape):
        return record
    if isinstance(record, str | os.PathLike):
        tape = Tape.load(record)
        tape.name = tape.name or Path(record).stem
        return tape
    if not hasattr(record, "tape"):
        raise TypeError(
            "expected a Tape, or the path of a .har or .pcapng file, got "
            f"{type(record).__name__} {record!r:.60}"
        )
    if not isinstance(record.tape, Tape):
        raise ValueError(f"expected {record!r:.60} to have a tape, but it was made without one")
    return record.tape


def scripts_of(tape: Tape) -> list[Script]:
    """Return the WebSocket connections of a tape, in the order in which they opened.

    Raises:
        ValueError: there is none, one is not whole, or they take more than ``MAX_BYTES``.
    """
    readers: dict[str, _Reader] = {}
    total_bytes = 0
    for event in tape.iter_events(reveal=True):
        reader = readers.get(event.connection_id)
        if reader is None:
            reader = readers[event.connection_id] = _Reader(event.connection_id)
        total_bytes += reader.read(event)
        if total_bytes > MAX_BYTES:
            raise ValueError(
                f"expected a record of at most {MAX_BYTES:,} bytes of messages to play, got more: "
                "record a shorter session"
            )
    found = [reader.script for reader in readers.values() if reader.script is not None]
    for reader in readers.values():
        if reader.is_cut and (reader.script is not None or not reader.is_http):
            raise ValueError(
                f"expected a record that has all of connection {reader.id!r}, but {reader.is_cut}: "
                "record it with a larger bound, such as serve(handler, record=256 * 2**20)"
            )
    if not found:
        raise ValueError(
            f"expected a record with a WebSocket connection, got {tape!r}: it has none that was "
            "answered"
        )
    return found


def chosen(scripts: Sequence[Script], connection: int | str | None) -> list[Script]:
    """Return the scripts to play: all of them, or the one that is asked for.

    Args:
        scripts: of a record.
        connection: its place in them (0 is the first, -1 the last), its id or its label.

    Raises:
        LookupError: there is no such one; says which there are.
    """
    if connection is None:
        return list(scripts)
    if isinstance(connection, int):
        if -len(scripts) <= connection < len(scripts):
            return [scripts[connection]]
    else:
        for script in scripts:
            if connection in (script.id, script.label):
                return [script]
    names = ", ".join(f"{n}: {script.name!r}" for n, script in enumerate(scripts[:10]))
    more = f" and {len(scripts) - 10} more" if len(scripts) > 10 else ""
    raise LookupError(
        f"expected connection= to be one of the record's WebSocket connections ({names}{more}), "
        f"got {connection!r}"
    )


class _Reader:
    """Reads one connection's events.

    Attributes:
        script: what has been read; None before a WebSocket was asked for and answered.
        is_cut: why it is not whole; "" where it is.
        is_http: whether a plain request was on it.
    """

    def __init__(self, connection_id: str) -> None:
        self.id = connection_id
        self.script: Script | None = None
        self.is_cut = ""
        self.is_http = False
        self._label: str | None = None
        self._number = 0

    def read(self, event: Event) -> int:
        """Take the next event; return how many bytes it adds."""
        script = self.script
        if isinstance(event, OpenedEvent):
            self._label = event.label
        elif isinstance(event, RequestEvent):
            self.is_http = self.is_http or not event.request.asks_for_websocket
        elif isinstance(event, ResponseEvent):
            request = event.request
            if request is not None and request.asks_for_websocket:
                self.script = Script(self.id, self._label, request, event.response, event.at_s)
                self.script.body = event.response.body
        elif isinstance(event, DroppedEvent) and not event.is_unread:
            self.is_cut = f"{event.size_bytes:,} bytes of it were dropped"
        elif script is None:
            return 0
        elif isinstance(event, BodyEvent):
            if event.sender == "server":
                script.body += event.data
                return len(event.data)
        elif isinstance(event, MessageEvent):
            self._number += 1
            self._add("message", event, data=event.data)
            return _size(event.data)
        elif isinstance(event, FrameEvent):
            if event.opcode == Opcode.PING:
                self._add("ping", event, data=event.payload)
                return len(event.payload)
        elif isinstance(event, CloseEvent):
            if not event.is_answer:
                self._close(script, event)
        elif isinstance(event, EndedEvent):
            if script.end is None and not script.is_refusal:
                script.end = Step("end", None, event.at_s, self._number)
                script.steps.append(script.end)
        elif isinstance(event, FaultEvent):
            self._fault(script, event)
        return 0

    def _add(self, kind: Kind, event: Event, **values: Any) -> None:
        assert self.script is not None
        step = Step(kind, event.sender, event.at_s, self._number, **values)
        self.script.steps.append(step)

    def _close(self, script: Script, event: CloseEvent) -> None:
        code = 1005 if event.code is None else event.code
        if code == 1005 or code in _CODES or 3000 <= code <= 4999:
            self._add("close", event, code=code, reason=event.reason)
        else:
            _note(script, f"a close frame with code {code}, which may not be sent (RFC 6455 §7.4)")
            self._add("close", event)
        script.end = script.steps[-1]

    def _fault(self, script: Script, event: FaultEvent) -> None:
        if event.fault == TOO_LONG:
            self.is_cut = f"message {self._number + 1} is too long to be kept whole"
        else:
            _note(script, f"{event.sender} broke a rule: {event.fault.rule}")


def _note(script: Script, text: str) -> None:
    if len(script.notes) < _MAX_NOTES:
        script.notes.append(f"{script.name}: {text}; it is not played")


def _size(data: str | bytes) -> int:
    return len(data) if isinstance(data, bytes) else len(data.encode("utf-8", "surrogatepass"))


def messages_of(steps: Iterable[Step], sender: Sender) -> list[Step]:
    """Return the messages of one side, without what it sent when the other had said goodbye."""
    found = []
    for step in steps:
        if step.kind == "close":
            break
        if step.kind == "message" and step.sender == sender:
            found.append(step)
    return found
