"""TCP and the network in memory show the same events: each script is played on both.

Hypothesis writes the scripts: of opens, sends, fragments, pings, aborts and closes for servers and
clients, whose tapes are compared; and, below them, of what two transports can do to each other.
"""

from __future__ import annotations

import collections
import logging
import re
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import wslab
from tests.network.rig import LOOPS, connected, run, turns
from tests.peers import until
from wslab.network.memory import MemoryNetwork

# --- tapes of servers and clients -----------------------------------------------------------------

SIDES = st.sampled_from(["client", "server"])
DATA = st.one_of(st.text(max_size=200), st.binary(max_size=70_000))
FRAGMENTS = st.one_of(
    st.lists(st.text(max_size=9), min_size=1, max_size=4),
    st.lists(st.binary(max_size=9), min_size=1, max_size=4),
)
CODES = st.sampled_from([1000, 1001, 1011, 3000, 4999])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("open")),
        st.tuples(st.just("send"), SIDES, st.one_of(DATA, FRAGMENTS)),
        st.tuples(st.just("ping"), SIDES, st.binary(max_size=125)),
        st.tuples(st.just("close"), SIDES, CODES, st.text(max_size=30)),
        st.tuples(st.just("abort"), SIDES),
    ),
    max_size=12,
)


def told(event) -> tuple[object, ...]:
    """An event without its times, its addresses and what is random in it."""
    what: tuple[object, ...] = ()
    match event.kind:
        case "opened":
            what = (event.side, event.label)
        case "frame":
            what = (event.number, event.opcode, event.fin, event.masked, event.payload)
        case "message":
            what = (event.data, event.fragments, event.wire_bytes)
        case "close":
            what = (event.code, event.reason, event.is_answer)
        case "fault":
            what = (str(event.fault),)
        case "ended":
            what = (event.is_clean,)
    return (event.kind, event.sender, *what)


def ended(tape) -> int:
    """How many connections a tape has seen to their end."""
    return sum(event.kind == "ended" for event in tape.events)


class Player:
    """Plays a script on one server and its clients, waiting after each step until it has come."""

    def __init__(self, server) -> None:
        self.server = server
        self.open: collections.deque[tuple[wslab.Client, Any]] = collections.deque()
        self.all: list[wslab.Client] = []

    def play(self, step: str, *what: object) -> None:
        if step == "open":
            self.open.append(self.connect())
            return
        pair = self.open.popleft() if self.open else self.connect()
        getattr(self, step)(*pair, *what)
        if step in ("send", "ping"):
            self.open.append(pair)

    def connect(self) -> tuple[wslab.Client, Any]:
        known = {connection.id for connection in self.server.connections}
        client = wslab.connect(self.server, name=f"client {len(self.all)}", ping_interval=None)
        [connection] = until(
            lambda: [each for each in self.server.connections if each.id not in known]
        )
        self.all.append(client)
        return client, connection

    def send(self, client, connection, side, message) -> None:
        if side == "client":
            before = connection.received
            client.send(message)
            until(lambda: connection.received > before)
        else:
            before = len(client.received)
            wslab.run(lambda: connection.websocket.send(message), timeout=5)
            until(lambda: len(client.received) > before)

    def ping(self, client, connection, side, data) -> None:
        websocket = client.websocket if side == "client" else connection.websocket

        async def answered() -> None:
            await (await websocket.ping(data))

        wslab.run(answered, timeout=5)

    def close(self, client, connection, side, code, reason) -> None:
        websocket = client.websocket if side == "client" else connection.websocket
        wslab.run(lambda: websocket.close(code, reason), timeout=5)
        self._gone(client, connection)

    def abort(self, client, connection, side) -> None:
        websocket = client.websocket if side == "client" else connection.websocket
        wslab.run(websocket.transport.abort, timeout=5)
        self._gone(client, connection)

    def _gone(self, client, connection) -> None:
        until(lambda: client.close_code is not None)
        until(lambda: all(each.id != connection.id for each in self.server.connections))


def history(steps) -> list[object]:
    """Play a script; what the tapes of both sides and the clients themselves tell of it."""

    async def listen(websocket):
        async for _ in websocket:
            pass

    with wslab.serve(listen, ping_interval=None) as server:
        player = Player(server)
        for step in steps:
            player.play(*step)
        for client, connection in tuple(player.open):
            player.close(client, connection, "client", 1000, "the end")
        until(lambda: ended(server.tape) == len(player.all))
        until(lambda: all(ended(client.tape) for client in player.all))
        return [
            [told(event) for event in server.tape.events],
            *([told(event) for event in client.tape.events] for client in player.all),
            *((client.close_code, client.close_reason, client.received) for client in player.all),
            *(re.sub(f"{server.port}|[0-9.]+ s before", "", c.why_closed) for c in player.all),
        ]


@given(STEPS)
@settings(max_examples=40)
def test_tapes_tell_the_same_of_tcp_and_of_memory(steps):
    over_tcp = history(steps)
    with MemoryNetwork(seed=1):
        in_memory = history(steps)
    assert in_memory == over_tcp


# --- what two transports tell their protocols ----------------------------------------------------

BYTES = st.binary(min_size=1, max_size=2_000)
VERBS = st.sampled_from(
    ["pause_reading", "resume_reading", "write_eof", "close", "abort", "keep_open"]
)
MOVES = st.lists(
    st.one_of(
        st.tuples(SIDES, st.just("write"), BYTES),
        st.tuples(SIDES, VERBS),
    ),
    max_size=15,
)


def heard(moves, loop_factory) -> tuple[list[object], list[object], list[str]]:
    """Play a script on two raw ends; what they heard, and which moves were refused."""

    async def main():
        client, server = await connected()
        ends, refused = {"client": client, "server": server}, []
        for side, verb, *what in moves:
            end = ends[side]
            # What uvloop does in its own way: it objects to what is lost, and tells of FIN again.
            if end.lost.is_set() or ("eof" in end.heard and verb == "resume_reading"):
                continue
            if verb == "keep_open":
                end.keeps_open = True
                continue
            try:
                getattr(end.transport, verb)(*what)
            except RuntimeError as exc:
                refused.append(str(exc))
            except OSError as exc:
                end.heard.append(type(exc).__name__)
            await turns(10)
        for end in (client, server):
            end.transport.abort()
            await end.lost.wait()
            await turns(10)
        return client.heard, server.heard, refused

    return run(main, loop_factory)


@pytest.mark.parametrize("loop_factory", LOOPS)
@given(MOVES)
@settings(max_examples=150)
def test_transports_tell_the_same_over_tcp_and_in_memory(loop_factory, moves):
    logging.getLogger("asyncio").disabled = True  # it counts writes to what is gone
    try:
        over_tcp = heard(moves, loop_factory)
        with MemoryNetwork():
            in_memory = heard(moves, loop_factory)
    finally:
        logging.getLogger("asyncio").disabled = False
    # Both loops shut down a socket that has been reset and then report it, each somewhere else.
    assume("OSError" not in over_tcp[0] + over_tcp[1])
    assert in_memory == over_tcp
