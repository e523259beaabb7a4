from __future__ import annotations

import pytest

import wslab
from tests.replays.rig import add_connection, taped
from wslab.widgets.replays.lines import MAX_MESSAGES, Talk, lines_of, said, talks_of

pytestmark = pytest.mark.usefixtures("memory_network")


def lines(replay: wslab.Replay, number: int = 0) -> list[tuple]:
    """Return the lines of a run: number, what is recorded, what came, kinds of differences."""
    run = replay.runs[number]
    recorded = talks_of(replay.record)[run.script.id]
    live = talks_of(replay.tape).get(run.connection_id, Talk())
    return [
        (line.number, line.recorded, line.live, *(each.kind for each in line.differences))
        for line in lines_of(replay, run, recorded, live)
    ]


def replayed(record, *messages: str, code: int = 1000, heard: int = 0) -> wslab.Replay:
    with wslab.replay(record) as replay, wslab.connect(replay.url) as alice:
        for message in messages:
            alice.send(message)
        for _ in range(heard):
            alice.recv(timeout=5)
        alice.close(code)
        replay.wait(5)
    return replay


class TestLines:
    def test_the_same(self):
        record = taped(("client", "a"), ("server", "b"), ("client", "close", 1000))
        assert lines(replayed(record, "a", heard=1)) == [
            (0, "GET / → 101", "GET / → 101"),
            (1, "a", "a"),
            (2, "b", "b"),
            (0, "close 1000 by the client", "close 1000 by the client"),
        ]

    def test_every_kind(self):
        record = taped(*[("client", each) for each in "abcdefgh"], ("client", "close", 1000))
        assert lines(replayed(record, "x", "a", "b", "d", "y", "g", "f", "h", code=4000)) == [
            (0, "GET / → 101", "GET / → 101"),
            (0, None, "x", "extra"),
            (1, "a", "a"),
            (2, "b", "b"),
            (3, "c", None, "missing"),
            (4, "d", "d"),
            (5, "e", "y", "changed"),
            (6, "f", "f"),
            (7, "g", None, "order"),
            (8, "h", "h"),
            (0, "close 1000 by the client", "close 4000 by the client", "close"),
        ]

    def test_what_one_says_anew_is_what_was_played(self):
        record = taped(("client", '{"id":"old"}'), ("server", '{"id":"old"}'))
        with wslab.replay(record, bind=["id"]) as replay, wslab.connect(replay.url) as alice:
            alice.send('{"id":"new"}')
            alice.recv(timeout=5)
            assert lines(replay)[1:] == [
                (1, '{"id":"old"}', '{"id":"new"}'),
                (2, '{"id":"old"}', '{"id":"new"}'),
            ]

    def test_another_handshake_and_a_refusal(self):
        record = taped(path="/chat", answer=b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n")
        with wslab.replay(record) as replay:
            with pytest.raises(wslab.HandshakeRefused):
                wslab.connect(replay.url.replace("/chat", "/other"))
            assert lines(replay)[0] == (0, "GET /chat → 403", "", "handshake")

    def test_the_second_connection(self):
        record = taped(("server", "a"))
        add_connection(record, [("server", "b")], name="two", at_s=1.0)
        with wslab.replay(record) as replay:
            for _ in range(2):
                with wslab.connect(replay.url) as alice:
                    alice.recv(timeout=5)
            assert lines(replay, 1)[1] == (1, "b", "b")

    def test_a_clients_side(self):
        async def loud(websocket):
            async for message in websocket:
                await websocket.send(message.upper())

        record = taped(("client", "a"), ("server", "a"))
        replay = wslab.replay(record, loud, side="client")
        assert lines(replay)[1:] == [
            (1, "a", "a"),
            (2, "a", "A", "changed"),
            (0, "not on the record", "close 1000 by the client"),
        ]

    def test_without_a_tape(self):
        with wslab.replay(taped(("client", "a")), record=False) as replay:
            with wslab.connect(replay.url) as alice:
                alice.send("b")
            replay.wait(5)
            assert lines(replay)[1:] == [(1, "a", None, "changed")]


def test_what_is_held_of_a_tape():
    talk = talks_of(taped(*[("client", "x" * 1000)] * (MAX_MESSAGES + 3)))["one-id"]
    assert (len(talk.messages), talk.more) == (MAX_MESSAGES, 3)
    assert max(len(text) for _, _, text in talk.messages) < 300
    assert talks_of(None) == {}


def test_what_is_said():
    assert said("a\nb\u202e") == said("a\nb\u202e").strip()
    assert said("a\nb").isprintable()
    assert said(b"\x00\xff") == "b'\\x00\\xff'"
    assert said("x" * 300).endswith(" ...")


def test_a_broken_end():
    talk = talks_of(taped(("client", "a"), ended=True))["one-id"]
    assert talk.end == "broke off without a close frame"
    talk = talks_of(taped(("client", "close"), ended=True))["one-id"]
    assert talk.end == "close without a code by the client"
