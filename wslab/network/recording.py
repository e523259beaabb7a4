"""What wslab puts under a websockets connection, at the transport.

The only place where the bytes are the bytes: what ``data_received`` is handed and what
``transport.write`` is given. Its rule: it adds to a connection and changes nothing of it, neither
an argument nor a byte nor an order nor how long it lives. What the bytes mean is for ``wire`` to
say, when somebody looks; here they are only counted and put on a tape, where there is one.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from websockets.protocol import State

from ..websockets_compat import sending
from ..websockets_compat.endings import reads_no_further
from ..websockets_compat.pongs import PongDebt, is_asked_for
from ..websockets_compat.turns import Turns
from ..wire.tape.tape import Tape
from .recorded_transport import RecordedTransport
from .traffic import Traffic, forget, introduce

if TYPE_CHECKING:
    from ..wire.sender import Sender
    from .line import Line
    from .line_conditions import LineConditions
    from .networks import Networks

__all__ = ["FailedConnection", "begin_record", "new_tape", "recorded"]


class FailedConnection(asyncio.Protocol):
    """Stands in for a connection that could not be made: an event loop must be given something."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Hang up."""
        cast("asyncio.Transport", transport).abort()


@functools.lru_cache(maxsize=32)
def _recorded_kind(kind: Any) -> type:
    # With one base and nothing more it is laid out in memory as its base is, so that a connection
    # that a user's factory has made can become one of it.
    class Recorded(kind):  # type: ignore[misc]
        traffic: Traffic
        line_conditions: LineConditions | None
        _networks: Networks
        _is_new = True  # until the first byte may come
        _under: RecordedTransport  # which websockets sees
        _made: Any
        _lost: Any
        _side: Sender
        pong_debt: PongDebt
        turns: Turns
        _tape: Tape | None
        _record_came: Callable[[bytes], None] | None
        # So that who hands messages over may go around send().
        sends_plainly = sending.sends_plainly(kind)
        if sends_plainly:
            send = sending.send

        def connection_made(self, transport: asyncio.Transport) -> None:
            self.traffic = traffic = Traffic(self.id.hex[:6])
            self._made(self, transport)
            self._record_came, record_went = begin_record(
                traffic, transport, side=self._side, tape=self._tape
            )
            self._under = RecordedTransport(transport, traffic, record_went)
            super().connection_made(self._under)
            self.turns = Turns(self, super().data_received)
            self.pong_debt = PongDebt(self)
            self._networks.made(self)
            self._is_new = False

        @property
        def network(self) -> LineConditions:
            return self._networks.of(self)

        def put_line(self, make: Callable[..., Line]) -> Line | None:
            under = self._under
            if under.is_closing():
                return None
            line = make(under._transport, self, is_new=self._is_new, is_full=self.paused)
            under.put(line)
            return line

        def take_line_out(self, below: Any) -> None:
            self._under.put(below)

        def connection_lost(self, exc: Exception | None) -> None:
            if self.connection_lost_waiter.done():
                return  # it was told before its transport came to it: `end_cancelled`
            try:
                super().connection_lost(exc)
            finally:
                forget(self.traffic)
                if self.traffic.track is not None:
                    self.traffic.track.end()
                self._lost(self)
                self._networks.lost(self)
                # They lead back here by way of their owner: a cycle that only the garbage
                # collector would end.
                self._made = self._lost = None
                if "pong_debt" in self.__dict__:
                    self.pong_debt.end()
                if "turns" in self.__dict__:
                    self.turns.end()

        def data_received(self, data: bytes) -> None:
            self.traffic.received_bytes += len(data)
            if self._record_came is not None:
                self._record_came(data)
            self.turns.data_received(data)
            if (
                self.protocol.state is not State.OPEN
                and self._record_came is not None
                and self.traffic.track is not None
                and reads_no_further(self)
            ):
                # websockets reads no further, after a fault or a close frame. What a peer sends on
                # costs it nothing; nor shall it cost the record.
                self._record_came = self.traffic.track.unread

        def eof_received(self) -> Any:
            self.turns.finish()
            return super().eof_received()

        def process_event(self, event: Any) -> None:
            opcode = getattr(event, "opcode", -1)  # the first event is the HTTP head: it has none
            if 0 <= opcode < 8 and event.fin:
                self.traffic.received += 1
            elif opcode == 0xA and is_asked_for(self, event):
                # One that nobody asked for tells nothing of a ping (RFC 6455 §5.5.3).
                self.traffic.last_pong_s = time.monotonic()
            super().process_event(event)
            if opcode == 9:
                self.pong_debt.see(event)

        def resume_writing(self) -> None:
            super().resume_writing()
            self.pong_debt.paid()

    # It goes by its base's name, since that is what users, their logs and their errors know.
    Recorded.__name__, Recorded.__qualname__ = kind.__name__, kind.__qualname__
    Recorded.__module__ = kind.__module__
    return Recorded


def begin_record(
    traffic: Traffic, transport: asyncio.Transport, *, side: Sender, tape: Tape | None
) -> tuple[Callable[[bytes], None] | None, Callable[[bytes], None] | None]:
    """Begin a connection's record, and return what records what came and what went.

    Args:
        traffic: what is counted of it; it gets its address and its track.
        transport: the connection's.
        side: which end of it this is.
        tape: what to record on; None keeps no byte.
    """
    ends = [transport.get_extra_info(name) for name in ("peername", "sockname")]
    client, server = ends if side == "server" else reversed(ends)
    if isinstance(client, tuple):
        traffic.address = (client[0], client[1])
    came = went = None
    if tape is not None:
        traffic.track = track = tape.open(
            traffic.id,
            side=side,
            label=traffic.label,
            client_address=_shown(client),
            server_address=_shown(server),
            is_secure=transport.get_extra_info("sslcontext") is not None,
        )
        came, went = track.client, track.server
        if side != "server":
            came, went = went, came
    introduce(traffic)
    return came, went


def _shown(address: Any) -> str:
    if isinstance(address, tuple):
        return f"[{address[0]}]:{address[1]}" if ":" in address[0] else f"{address[0]}:{address[1]}"
    return str(address or "")


def new_tape(record: bool | int, *, name: str) -> Tape | None:
    """Return the tape that ``record`` asks for: True, a bound in bytes, or None for False.

    Raises:
        TypeError, ValueError: it is none of these.
    """
    if record is False:
        return None
    if record is True:
        return Tape(name=name)
    if not isinstance(record, int):
        raise TypeError(
            f"expected record=True, False or a number of bytes, got {type(record).__name__}"
        )
    return Tape(max_bytes=record, name=name)


def recorded(
    base: Callable[..., Any],
    made: Callable[[Any, asyncio.Transport], None],
    lost: Callable[[Any], None],
    *,
    side: Sender,
    tape: Tape | None,
    networks: Networks,
) -> Callable[..., Any]:
    """Return a ``create_connection`` for websockets that records what goes through the transport.

    Args:
        base: the connection class, or a factory of connections, that is built upon.
        made: called on the loop with each new connection (it has its ``traffic`` now) and its
            transport, before any byte.
        lost: called on the loop with each connection that is gone.
        side: which end of the connection this is.
        tape: what to record on; None counts, and keeps no byte.
        networks: say which network each connection has under it.
    """
    known: Any = _recorded_kind(cast("Any", base)) if isinstance(base, type) else None

    def factory(*args: Any, **kwargs: Any) -> Any:
        if known is not None:
            connection = known(*args, **kwargs)
        else:
            connection = base(*args, **kwargs)
            if isinstance(connection, FailedConnection):
                return connection
            # A factory's connections are of a class that is known only now.
            kind: Any = type(connection)
            connection.__class__ = _recorded_kind(kind)
        connection._made, connection._lost = made, lost
        connection._side, connection._tape = side, tape
        connection._networks, connection.line_conditions = networks, None
        return connection

    return factory
