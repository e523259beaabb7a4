from __future__ import annotations

import socket

import pytest
from websockets.exceptions import ConnectionClosed

import wslab
from tests.peers import dial, frame, raw_client, read_frame, read_head, refused, request
from tests.replays.rig import ANSWER, add_connection, kinds, taped
from wslab.errors import HandshakeRefused
from wslab.replays import server_side
from wslab.replays.differences import MAX_DIFFERENCES
from wslab.wire.tape.tape import Tape

IN_MEMORY = pytest.mark.usefixtures("memory_network")


def texts(replay: wslab.Replay) -> list[str]:
    return [str(each.text) for each in replay.differences]


@IN_MEMORY
class TestPlaying:
    def test_messages_in_order(self):
        record = taped(
            ("server", "welcome"), ("client", "a"), ("server", b"\x01"), ("client", "close", 1000)
        )
        with wslab.replay(record) as replay:
            with wslab.connect(replay.url) as alice:
                assert alice.recv(timeout=5) == "welcome"
                assert alice.waiting == 0
                alice.send("a")
                assert alice.recv(timeout=5) == b"\x01"
            assert not replay.wait(5)
            assert replay.is_played

    def test_its_own_close_frame(self):
        record = taped(("client", "a"), ("server", "close", 4001, "enough"))
        with wslab.replay(record) as replay:
            alice = wslab.connect(replay.url)
            alice.send("a")
            with pytest.raises(ConnectionClosed):
                alice.recv(timeout=5)
            assert (alice.close_code, alice.close_reason) == (4001, "enough")
            assert not replay.wait(5)

    def test_what_comes_before_its_close_frame_is_compared(self):
        record = taped(("client", "a"), ("server", "close", 1000))
        with wslab.replay(record) as replay:
            alice = wslab.connect(replay.url)

            async def both() -> None:
                await alice.websocket.send("a")
                await alice.websocket.send("b")

            wslab.run(both())
            with pytest.raises(ConnectionClosed):
                alice.recv(timeout=5)
            assert kinds(replay.wait(5)) == ["extra"]

    def test_a_connection_that_broke_off(self):
        with wslab.replay(taped(("client", "a"), ("server", "b"), ended=True)) as replay:
            alice = wslab.connect(replay.url)
            alice.send("a")
            assert alice.recv(timeout=5) == "b"
            with pytest.raises(ConnectionClosed):
                alice.recv(timeout=5)
            assert alice.close_code == 1006
            assert not replay.wait(5)

    def test_a_ping(self):
        with wslab.replay(taped(("server", "ping", b"still there?"), ("server", "a"))) as replay:
            with wslab.connect(replay.url) as alice:
                assert alice.recv(timeout=5) == "a"
                frames = [each.payload for each in alice.tape.frames if each.label == "ping"]
                assert frames == [b"still there?"]

    def test_the_subprotocol(self):
        answer = ANSWER % b"Sec-WebSocket-Protocol: b\r\n"
        record = taped(headers=["Sec-WebSocket-Protocol: a, b"], answer=answer)
        with wslab.replay(record, connection=0) as replay:
            with wslab.connect(replay.url, subprotocols=["a", "b"]) as alice:
                assert alice.subprotocol == "b"
            assert not replay.differences
            with wslab.connect(replay.url, subprotocols=["a"]) as alice:
                assert alice.subprotocol is None
            assert texts(replay) == ["expected the subprotocols a, b, got a"]

    def test_another_path(self):
        with wslab.replay(taped(path="/chat?x=1")) as replay:
            assert replay.url.endswith("/chat?x=1")
            with wslab.connect(replay.url.replace("/chat?x=1", "/other?x=1")):
                pass
            assert texts(replay) == ["expected a request for /chat, got /other"]

    def test_a_refusal(self):
        record = taped(
            answer=b"HTTP/1.1 403 Forbidden\r\nX-Why: not you\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3\r\nno\n\r\n0\r\n\r\n"
        )
        add_connection(record, [("server", "hello")], name="again", at_s=1.0)
        with wslab.replay(record) as replay:
            with pytest.raises(HandshakeRefused) as caught:
                wslab.connect(replay.url)
            assert caught.value.status == 403
            assert ("X-Why", "not you") in caught.value.headers
            with wslab.connect(replay.url) as alice:
                assert alice.recv(timeout=5) == "hello"
            assert not replay.wait(5)


@IN_MEMORY
class TestSeveralConnections:
    def test_each_newcomer_plays_the_next(self):
        record = taped(("server", "first"))
        add_connection(record, [("server", "second")], name="two", at_s=1.0)
        with wslab.replay(record) as replay:
            for word in ("first", "second"):
                assert not replay.is_played
                with wslab.connect(replay.url) as alice:
                    assert alice.recv(timeout=5) == word
            assert not replay.wait(5)
            with pytest.raises(HandshakeRefused, match="has played every connection"):
                wslab.connect(replay.url)
            assert texts(replay) == ["expected no further connection, got a request for /"]

    def test_one_is_played_to_everybody(self):
        record = taped(("client", '{"id":"old"}'), ("server", '{"id":"old"}'))
        with wslab.replay(record, connection="one", bind=["id"]) as replay:
            for n in range(3):
                with wslab.connect(replay.url) as alice:
                    alice.send(f'{{"id":"new {n}"}}')
                    assert alice.recv(timeout=5) == f'{{"id":"new {n}"}}'
            assert not replay.wait(5)

    def test_what_is_bound_holds_for_the_next_connection(self):
        record = taped(("client", '{"token":"old"}'), ("server", "ok"))
        add_connection(record, [("server", '{"token":"old"}')], name="two", at_s=1.0)
        with wslab.replay(record, bind=["token"]) as replay:
            with wslab.connect(replay.url) as alice:
                alice.send('{"token":"new"}')
                assert alice.recv(timeout=5) == "ok"
            with wslab.connect(replay.url) as alice:
                assert alice.recv(timeout=5) == '{"token":"new"}'

    def test_nobody_comes(self):
        record = taped()
        add_connection(record, [], name="two", at_s=1.0)
        replay = wslab.replay(record)
        with wslab.connect(replay.url):
            pass
        with pytest.raises(TimeoutError, match="1 connection of the record, for which nobody"):
            replay.wait(0.1)
        replay.stop()
        replay.stop()
        assert texts(replay) == ["expected a request for /, got nobody"]
        assert replay.differences[0].connection == "two"


@IN_MEMORY
class TestDifferences:
    def test_while_it_runs_and_when_it_is_stopped(self):
        record = taped(("client", "a"), ("server", "b"), ("client", "c"))
        with wslab.replay(record) as replay:
            alice = wslab.connect(replay.url)
            alice.send("x")
            assert alice.recv(timeout=5) == "b"
            with pytest.raises(TimeoutError, match="a connection that is not over"):
                replay.wait(0.1)
        assert kinds(replay.differences) == ["changed", "missing"]
        alice.close()

    def test_silence_has_a_bound(self):
        record = taped(*[("client", "a")] * 5, ("server", "close", 4000))
        with wslab.replay(record, timeout_s=0.05) as replay:
            alice = wslab.connect(replay.url)
            with pytest.raises(ConnectionClosed):
                alice.recv(timeout=5)
            assert alice.close_code == 4000
            assert kinds(replay.wait(5)) == ["missing"] * 5

    @pytest.mark.parametrize("timeout_s", [None, float("inf")])
    def test_silence_without_a_bound(self, timeout_s):
        with wslab.replay(taped(("client", "a"), ("server", "b")), timeout_s=timeout_s) as replay:
            with wslab.connect(replay.url) as alice:
                alice.send("a")
                assert alice.recv(timeout=5) == "b"
            assert not replay.wait(5)

    def test_a_function_that_raises(self):
        def no(expected, seen):
            raise ValueError("cannot compare")

        with wslab.replay(taped(("client", "a")), match=no) as replay:
            alice = wslab.connect(replay.url)
            alice.send("a")
            with pytest.raises(ConnectionClosed):
                alice.recv(timeout=5)
            assert kinds(replay.wait(5)) == ["error", "missing"]
            assert "cannot compare" in str(replay.differences[0])
            assert "cannot compare" in str(replay.errors[0])

    def test_a_message_that_breaks_a_rule(self):
        with wslab.replay(taped(("client", "a")), max_size=10) as replay:
            alice = wslab.connect(replay.url)
            alice.send("x" * 100)
            with pytest.raises(ConnectionClosed):
                alice.recv(timeout=5)
            found = replay.wait(5)
            assert kinds(found) == ["error", "missing"]
            assert "1009" in str(found[0])

    def test_a_client_that_never_stops(self):
        """What it sends beyond the record is counted, and little of it is kept."""
        with wslab.replay(taped(("client", "a")), record=False) as replay:
            with wslab.connect(replay.url, record=False) as alice:
                alice.send("a")
                big = "x" * 2**14
                for _ in range(MAX_DIFFERENCES + 500):
                    alice.send(big)
            found = replay.wait(20)
            replay.stop()
            assert (len(found), found.dropped) == (MAX_DIFFERENCES, 500)
            assert sum(len(each.seen) for each in found) <= MAX_DIFFERENCES * 4096


class TestRawPeers:
    def test_one_that_hangs_up(self):
        with wslab.replay(taped(("client", "a"), ("server", "b"), ("client", "c"))) as replay:
            sock = raw_client(replay.server.port)
            sock.sendall(frame(1, b"a"))
            assert read_frame(sock) == (0x81, b"b")
            sock.close()
            assert kinds(replay.wait(5)) == ["missing"]  # the record does not say how it ended

    def test_one_that_answers_no_pings(self, monkeypatch):
        monkeypatch.setattr(server_side, "CATCH_S", 0.05)
        with wslab.replay(taped(("server", "b"), ("server", "close", 4000))) as replay:
            with raw_client(replay.server.port) as sock:
                assert read_frame(sock) == (0x81, b"b")
                assert read_frame(sock)[0] == 0x89
                assert read_frame(sock) == (0x88, (4000).to_bytes(2, "big"))
                sock.sendall(frame(8, (4000).to_bytes(2, "big")))
            assert not replay.wait(5)

    def test_one_that_does_not_read(self):
        record = Tape(max_bytes=2**26)
        add_connection(record, [("server", b"x" * 2**20)] * 20)
        with wslab.replay(record, timeout_s=0.2, record=False) as replay:
            sock = socket.create_connection(("127.0.0.1", replay.server.port))
            with sock:
                sock.sendall(request(replay.server.port))
                assert read_head(sock).startswith(b"HTTP/1.1 101")
                [found] = replay.wait(10)
                assert found.text == "expected a client that reads, got none within 0.2 s"

    def test_a_request_that_is_no_handshake_costs_no_script(self):
        with wslab.replay(taped(("client", "a"), ("server", "b"))) as replay:
            assert refused(replay.server.port, "Sec-WebSocket-Version: 12")[0] in (400, 426)
            with dial(replay.server.port, request(replay.server.port, key="no")) as sock:
                assert b" 400 " in read_head(sock)
            with wslab.connect(replay.url) as alice:
                alice.send("a")
                assert alice.recv(timeout=5) == "b"
            assert not replay.wait(5)

    def test_plain_http(self):
        with wslab.replay(taped()) as replay:
            with dial(replay.server.port, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") as sock:
                assert b" 426 " in read_head(sock)
            assert not replay.differences
            assert not replay.is_played
