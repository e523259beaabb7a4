"""A recorded connection under whatever protocol: bytes, handing over, and a debt of reading."""

from __future__ import annotations

import asyncio
import contextlib

from tests.hub.rig import until
from tests.network.rig import End, run
from wslab.network import stream as stream_module
from wslab.network.memory import MemoryNetwork
from wslab.network.networks import ServerNetwork
from wslab.network.stream import Stream
from wslab.wire.tape.tape import Tape


@contextlib.asynccontextmanager
async def _connected(protocol, tape=None):
    """Give the stream of a connection in memory, the client's end, and what is told of it."""
    told = []
    loop = asyncio.get_running_loop()
    with MemoryNetwork():
        server = await loop.create_server(
            lambda: Stream(
                lambda _stream: protocol,
                lambda stream: told.append(("made", stream)),
                lambda stream: told.append(("lost", stream)),
                lambda stream, data: told.append(("unasked", data)),
                tape,
                ServerNetwork(tuple),
            ),
            "127.0.0.1",
            0,
        )
        _, client = await loop.create_connection(End, *server.sockets[0].getsockname()[:2])
        await protocol.made.wait()
        yield told[0][1], client, told
        client.transport.abort()
        await until(lambda: told[-1][0] == "lost")
        server.close()


def test_what_passes_is_counted_recorded_and_not_changed():
    async def main():
        protocol, tape = End(), Tape()
        async with _connected(protocol, tape) as (stream, client, told):
            client.transport.write(b"GET / HTTP/1.1\r\n\r\n")
            await until(lambda: protocol.heard == [b"GET / HTTP/1.1\r\n\r\n"])
            stream.requests += 1
            protocol.transport.writelines([b"HTTP/1.1 200 OK\r\n", b"content-length: 0\r\n\r\n"])
            await until(lambda: client.heard == [b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"])
            assert (stream.traffic.received_bytes, stream.traffic.sent_bytes) == (18, 38)
            client.transport.close()
            await until(lambda: ("lost", stream) in told)
            assert protocol.heard[-2:] == ["eof", "lost"]
            assert [type(event).__name__ for event in tape.events] == [
                "OpenedEvent", "RequestEvent", "ResponseEvent", "EndedEvent"
            ]  # fmt: skip

    run(main)


def test_another_protocol_goes_on_where_one_hands_over():
    async def main():
        first, second = End(), End()
        async with _connected(first) as (stream, client, told):
            second.connection_made(first.transport)
            first.transport.set_protocol(second)
            client.transport.write(b"y")
            await until(lambda: second.heard == [b"y"])
            assert first.heard == []
            client.transport.abort()
            await until(lambda: told[-1] == ("lost", stream))
            assert second.heard == [b"y", "eof", "lost"]

    run(main)


def test_an_answer_that_nobody_was_asked_for_is_told():
    async def main():
        protocol = End()
        async with _connected(protocol) as (stream, _client, told):
            protocol.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            stream.requests = 1
            protocol.transport.write(b"more")
            assert told[1:] == [("unasked", b"HTTP/1.1 400 Bad Request\r\n\r\n")]

    run(main)


class _Pongs(End):
    """Answers all that comes with as much, at once."""

    def data_received(self, data):
        self.transport.write(data)


def test_a_client_that_pings_and_does_not_read_is_not_read_and_in_the_end_cut_off(monkeypatch):
    monkeypatch.setattr(stream_module, "MAX_HELD_S", 0.05)

    async def main():
        protocol = _Pongs()
        async with _connected(protocol) as (stream, client, told):
            client.transport.pause_reading()
            for _ in range(40):
                client.transport.write(bytes(2**14))
                await asyncio.sleep(0)
            await until(lambda: not stream.transport.is_reading())
            protocol.transport.resume_reading()  # nor does its protocol change that
            assert not stream.transport.is_reading()
            waiting = stream.transport.get_write_buffer_size()
            assert waiting < 2**18 + stream_module.MAX_OWED_BYTES + 2 * 2**16
            await until(lambda: ("lost", stream) in told)

    run(main)


def test_it_is_read_on_when_it_reads():
    async def main():
        protocol = _Pongs()
        async with _connected(protocol) as (stream, client, _told):
            client.transport.pause_reading()
            client.transport.write(bytes(2**20))
            await until(lambda: not stream.transport.is_reading())
            client.transport.resume_reading()
            await until(lambda: sum(len(x) for x in client.heard if type(x) is bytes) == 2**20)
            assert stream.transport.is_reading()

    run(main)


def test_a_protocol_that_pauses_reading_is_obeyed():
    async def main():
        protocol = End()
        async with _connected(protocol) as (stream, _client, _told):
            protocol.transport.pause_reading()
            stream.pause_writing()
            stream.resume_writing()
            assert not stream.transport.is_reading()
            protocol.transport.resume_reading()
            assert stream.transport.is_reading()
            assert protocol.heard == ["pause", "resume"]

    run(main)
