from __future__ import annotations

import pytest

import wslab
from tests.peers import free_port
from tests.replays.rig import ANSWER, kinds, taped
from wslab.errors import NobodyListening

pytestmark = pytest.mark.usefixtures("memory_network")


def texts(replay: wslab.Replay) -> list[str]:
    return [str(each.text) for each in replay.differences]


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


ECHOED = (("client", "a"), ("server", "a"), ("client", b"b"), ("server", b"b"))


class TestTargets:
    def test_a_handler(self):
        replay = wslab.replay(taped(*ECHOED, ("client", "close", 1000)), echo, side="client")
        assert not replay.differences
        assert replay.is_played
        assert replay.url.startswith("ws://127.0.0.1:")
        assert replay.server is None
        assert [each.data for each in replay.tape.messages] == ["a", "a", b"b", b"b"]
        assert not wslab.running()
        assert not replay.wait()
        replay.stop()

    def test_a_server_and_its_url(self):
        with wslab.serve(echo) as server:
            for target in (server, server.url):
                assert not wslab.replay(taped(*ECHOED), target, side="client").differences
            assert server.is_serving

    def test_the_path_of_the_record(self):
        async def path(websocket):
            await websocket.send(websocket.request.path)

        record = taped(("server", "/chat?x=1"), ("server", "close", 1000), path="/chat?x=1")
        assert not wslab.replay(record, path, side="client").differences

    def test_without_a_bound(self):
        for timeout_s in (None, float("inf")):
            replay = wslab.replay(taped(*ECHOED), echo, side="client", timeout_s=timeout_s)
            assert not replay.differences

    def test_nobody_listens(self):
        with pytest.raises(NobodyListening):
            wslab.replay(taped(), f"ws://127.0.0.1:{free_port()}", side="client")


class TestDifferences:
    def test_a_handler_that_answers_otherwise(self):
        async def loud(websocket):
            async for message in websocket:
                await websocket.send(message.upper())

        replay = wslab.replay(taped(*ECHOED), loud, side="client")
        assert texts(replay) == ["expected 'a', got 'A'", "expected b'b', got b'B'"]
        assert repr(replay) == "<Replay of 1 connection of made, client's side, 2 differences>"

    def test_one_that_says_more_at_the_end(self):
        async def more(websocket):
            async for message in websocket:
                await websocket.send(message)
                if message == b"b":
                    await websocket.send("more")

        record = taped(*ECHOED, ("client", "close", 1000))
        for _ in range(10):
            replay = wslab.replay(record, more, side="client")
            assert texts(replay) == ["expected nothing, got 'more'"]

    def test_one_that_raises(self):
        async def fails(websocket):
            raise ValueError("no")

        replay = wslab.replay(taped(*ECHOED), fails, side="client")
        assert kinds(replay.differences) == ["missing", "missing", "close"]
        assert "got close 1011" in texts(replay)[2]
        assert "ValueError: no" in str(replay.errors[0])

    def test_one_that_says_nothing(self):
        async def silent(websocket):
            await websocket.wait_closed()

        replay = wslab.replay(taped(*ECHOED), silent, side="client", timeout_s=0.05)
        assert kinds(replay.differences) == ["missing", "missing"]

    def test_one_that_closes_otherwise(self):
        async def closes(websocket):
            await websocket.recv()
            await websocket.close(4000)

        record = taped(("client", "a"), ("server", "close", 4001))
        replay = wslab.replay(record, closes, side="client")
        assert texts(replay) == ["expected close 4001, got close 4000"]

    def test_one_that_breaks_off(self):
        async def aborts(websocket):
            await websocket.recv()
            websocket.transport.abort()

        assert not wslab.replay(
            taped(("client", "a"), ended=True), aborts, side="client"
        ).differences


class TestOpening:
    def test_the_subprotocol(self):
        answer = ANSWER % b"Sec-WebSocket-Protocol: b\r\n"
        record = taped(headers=["Sec-WebSocket-Protocol: a, b"], answer=answer)
        with wslab.serve(echo, subprotocols=["b"]) as server:
            assert not wslab.replay(record, server, side="client").differences
        with wslab.serve(echo, subprotocols=["a"]) as server:
            replay = wslab.replay(record, server, side="client")
            assert texts(replay) == ["expected the subprotocol b, got a"]

    def test_a_refusal(self):
        record = taped(answer=b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

        def answering(status: int):
            return wslab.serve(echo, process_request=lambda ws, _: ws.respond(status, ""))

        with answering(403) as server:
            assert not wslab.replay(record, server, side="client").differences
        with answering(401) as server:
            replay = wslab.replay(record, server, side="client")
            assert texts(replay) == ["expected the answer 403 Forbidden, got status 401"]
        replay = wslab.replay(record, echo, side="client")
        assert texts(replay) == [
            "expected the answer 403 Forbidden, got status 101, an open connection"
        ]
        with answering(403) as server:
            replay = wslab.replay(taped(*ECHOED), server, side="client")
            assert texts(replay) == ["expected the answer 101 Switching Protocols, got status 403"]


def test_breaking_off_and_pings():
    heard = []

    async def listens(websocket):
        try:
            async for message in websocket:
                heard.append(message)
        finally:
            heard.append(websocket.close_code)

    record = taped(("client", "ping", b"x"), ("client", "a"), ended=True)
    assert not wslab.replay(record, listens, side="client").differences
    assert heard == ["a", 1006]


def test_a_function_that_raises():
    def no(expected, seen):
        raise ValueError("cannot compare")

    with pytest.raises(ValueError, match="cannot compare"):
        wslab.replay(taped(*ECHOED), echo, side="client", match=no)
    assert not wslab.running()
