"""TappedConnection: one client's connection, the one to the server behind it, and what joins them.

Its rule: the server is spoken to when a request has been let in and not before; what the client
sends meanwhile waits, bounded. On the tape is what passed between the two, once: the request as the
server got it, and all that came after. The bytes themselves are looked at in `conversation`.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from ..loops import fork
from ..network.networks import ServerNetwork
from ..network.recording import begin_record
from ..network.traffic import Traffic, forget
from ..server.listen_address import in_url
from ..wire.http.building import build_response
from ..wire.http.heads import Request
from ..wire.tape.tape import Tape
from .conversation import Conversation, Unfit
from .leg import Leg

if TYPE_CHECKING:
    from ..network.line import Line
    from ..network.line_conditions import LineConditions

__all__ = ["Calls", "TappedConnection"]

EARLY_BYTES = 2**16  # of a client that has no server yet, or must wait for an answer
FAREWELL_S = 1.0  # for a client to read why it was turned away
HEAD_S = 10.0  # for a client to send the head of its first request


class Calls(NamedTuple):
    """What a connection asks of the tap that it belongs to.

    Attributes:
        let_in: returns the bytes that go on in a request's place, or raises Unfit.
        connect: makes the leg to the server, or raises Unfit.
        refused: told of each request that was turned away.
        lost: told when a connection is gone.
        has_room: whether one more connection may come.
        network: under the clients' legs.
    """

    let_in: Callable[[TappedConnection, Request], bytes]
    connect: Callable[[TappedConnection, Callable[[], Leg]], Awaitable[object]]
    refused: Callable[[TappedConnection, int, str], object]
    lost: Callable[[TappedConnection], object]
    has_room: Callable[[TappedConnection], bool]
    network: ServerNetwork


class TappedConnection:
    """One connection through a tap; all of it runs on the tap's loop.

    Args:
        calls: to the tap.
        tape: what to record on; None keeps no byte.

    Attributes:
        client: the leg to the client; a server's factory of protocols returns it.
        server: the leg to the server, once it is connected.
        traffic: what is counted of it.
        conversation: what its bytes say.
        loop: its loop.
        line_conditions: what is set for the client's leg; see `network`.
    """

    def __init__(self, calls: Calls, tape: Tape | None) -> None:
        self._calls, self._tape = calls, tape
        self.loop = asyncio.get_running_loop()
        self.line_conditions: LineConditions | None = None
        self.traffic = Traffic(uuid.uuid4().hex[:6])
        self.conversation = Conversation(lambda request: calls.let_in(self, request))
        self.client = Leg(self._made, self._from_client, self._client_ended)
        self.server: Leg | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._early = bytearray()  # let in, and no server to take it yet
        self._deadline: asyncio.TimerHandle | None = None
        self._is_over = self._is_behind = False
        self._is_new = True  # until the first byte may come
        self._record_client: Callable[[bytes], None] | None = None
        self._record_server: Callable[[bytes], None] | None = None

    @property
    def remote_address(self) -> Any:
        """The client's end of TCP."""
        transport = self.client.transport
        return transport.get_extra_info("peername") if transport is not None else None

    @property
    def network(self) -> LineConditions:
        """The network under the client's leg."""
        return self._calls.network.of(self)

    def put_line(self, make: Callable[..., Line]) -> Line | None:
        """Put a line under the client's leg; see `line_conditions`."""
        leg = self.client
        if leg.transport.is_closing():
            return None
        line = make(leg.transport, leg, is_new=self._is_new, is_full=leg.is_full)
        leg.transport = cast("asyncio.Transport", line)
        return line

    def take_line_out(self, below: Any) -> None:
        """Join the client's leg and its transport again; see `line_conditions`."""
        self.client.transport = below

    def close(self, within_s: float) -> None:
        """End it towards both sides, with what is under way; later than ``within_s`` at once."""
        for leg in (self.client, self.server):
            if leg is not None:
                leg.close(within_s=within_s)

    def abort(self) -> None:
        """End it at once."""
        for leg in (self.client, self.server):
            if leg is not None and leg.transport is not None:
                leg.transport.abort()

    # The client's side.

    def _made(self) -> None:
        transport = self.client.transport
        self._record_client, self._record_server = begin_record(
            self.traffic, transport, side="server", tape=self._tape
        )
        self.traffic.fileno = fork.close_in_child(transport)
        self._calls.network.made(self)
        self._is_new = False
        if not self._calls.has_room(self):
            self._refuse(Unfit(503, "This tap has as many connections as it may have.\n"))
            return
        self._deadline = self.loop.call_later(HEAD_S, self._too_late)

    def _too_late(self) -> None:
        if not self.traffic.received_bytes:  # a browser opens one in advance now and then
            self._is_over = True
            self.client.close(within_s=FAREWELL_S)
            return
        self._refuse(Unfit(408, f"The request's head did not end within {HEAD_S:g} s.\n"))

    def _from_client(self, data: bytes) -> None:
        self.traffic.received_bytes += len(data)
        if self._is_over:
            return
        conversation = self.conversation
        out = conversation.from_client(data)
        if conversation.is_carried and self.server is not None:
            self._to_server(out)
            self._count()
            return
        if self._deadline is not None and conversation.has_begun:
            self._deadline.cancel()
            self._deadline = None
        self._forward(out)

    def _forward(self, out: bytes) -> None:
        """Send what was let in, or keep it until there is a server to send it to."""
        if self.server is not None:
            self._to_server(out)
        elif out:
            self._early += out
            if self._connecting is None:
                self._connecting = self.loop.create_task(self._connect())
        if self.conversation.unfit is not None:
            self._refuse(self.conversation.unfit)
        elif len(self._early) + self.conversation.held_bytes > EARLY_BYTES:
            self.client.hold("early")
        else:
            self.client.let_go("early")
            if self.client.has_ended:
                self._client_ended()

    def _to_server(self, out: bytes) -> None:
        if out and self.server is not None:
            if self._record_client is not None:
                self._record_client(out)
            self.server.write(out)

    def _client_ended(self) -> None:
        if self.client.is_lost:
            self._lost()
        elif self.server is not None and not self._is_over:
            if not self.conversation.held_bytes:
                self.server.write_end()
            self._close_if_both_ended()
        elif self._is_over or self._connecting is None:  # turned away, or it has asked for nothing
            self.client.close(within_s=FAREWELL_S)

    def _lost(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
        fork.closed_in_child.discard(self.traffic.fileno)
        if self.server is None or self.server.is_lost:
            forget(self.traffic)
            self._calls.network.lost(self)
            if self.traffic.track is not None:
                self.traffic.track.end()
            self._calls.lost(self)

    # The server's side.

    async def _connect(self) -> None:
        try:
            await self._calls.connect(self, self._leg_to_server)
        except Unfit as unfit:
            if self._record_client is not None:
                self._record_client(bytes(self._early))
            self._early.clear()
            self._refuse(unfit)

    def _leg_to_server(self) -> Leg:
        leg = Leg(lambda: self._connected(leg), self._from_server, self._server_ended)
        return leg

    def _connected(self, leg: Leg) -> None:
        if self.client.is_lost or self._is_over:
            leg.transport.abort()
            return
        self.server = leg
        leg.join(self.client)
        early, self._early = bytes(self._early), bytearray()
        if self.traffic.track is not None:
            peer = leg.transport.get_extra_info("peername")
            if isinstance(peer, tuple):
                self.traffic.track.server_address = f"{in_url(peer[0])}:{peer[1]}"
            self.traffic.track.is_secure = not leg.has_halves
        self._forward(early)

    def _from_server(self, data: bytes) -> None:
        traffic = self.traffic
        traffic.sent_bytes += len(data)
        if self._is_over:
            return
        if self._record_server is not None:
            self._record_server(data)
        self.client.write(data)
        released = self.conversation.from_server(data)
        if released or self.conversation.unfit is not None:
            self._forward(released)
        self._count()

    def _server_ended(self) -> None:
        if self.server is None or self.server.is_lost:
            if self.server is not None and self.client.is_lost:
                self._lost()
            return
        self.client.write_end()
        self._close_if_both_ended()

    def _close_if_both_ended(self) -> None:
        if self.server is not None and self.client.has_ended and self.server.has_ended:
            self.server.close()
            self.client.close()

    # Neither.

    def _count(self) -> None:
        conversation, traffic = self.conversation, self.traffic
        traffic.received = conversation.counted[0].messages
        traffic.sent = conversation.counted[1].messages
        if conversation.is_behind and not self._is_behind:
            # A flood of tiny frames: others get their turns, and no more of it is read meanwhile.
            self._is_behind = True
            for leg in (self.client, self.server):
                if leg is not None:
                    leg.hold("count")
            self.loop.call_soon(self._count_on)

    def _count_on(self) -> None:
        if self.conversation.count_on():
            self.loop.call_soon(self._count_on)
            return
        self._is_behind = False
        self._count()
        for leg in (self.client, self.server):
            if leg is not None:
                leg.let_go("count")

    def _refuse(self, unfit: Unfit) -> None:
        """Answer in the server's place, and hang up."""
        if self._is_over:
            return
        self._is_over = True
        self.client.let_go("early")  # what still comes is dropped, so that it reads the answer
        if self._record_client is not None and unfit.read:
            self._record_client(unfit.read)
        answer = build_response(
            unfit.status,
            headers={"Content-Type": "text/plain; charset=utf-8"},
            body=unfit.reason.encode(),
        )
        self._calls.refused(self, unfit.status, unfit.reason)
        if self.server is not None:
            self.server.close(within_s=FAREWELL_S)
        if self.server is not None and self.conversation.awaits_answer:
            # An answer of the tap's would stand amid the server's.
            self.client.close(within_s=FAREWELL_S)
            return
        if self._record_server is not None:
            self._record_server(answer)
        self.client.write(answer)
        self.traffic.sent_bytes += len(answer)
        self.client.write_end()
        # Closing with bytes unread would reset the connection, and with it the answer.
        self._deadline = self.loop.call_later(FAREWELL_S, self.client.close)
