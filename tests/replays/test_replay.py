"""A program that people would write, recorded once and replayed: clean, and with planted faults."""

from __future__ import annotations

import collections
import json
import random
from collections.abc import Callable

import pytest
from websockets.exceptions import ConnectionClosed

import wslab
from tests.replays.rig import add_connection, kinds, taped
from tests.wire.files.test_chrome_har import CHROMES
from wslab.network.memory import MemoryNetwork
from wslab.wire.tape.tape import Tape

WORDS = [f"word {n}" for n in range(60)]
BOUND = {"bind": ["id"], "ignore": ["time"]}


class Chat:
    """A server that gives out ids, acknowledges, and says things by itself.

    Args:
        seed: of the ids and times, which are others in each run.
        change: may change, leave out, add or swap what is said.
    """

    def __init__(self, seed: int, change: Callable[[list[str]], list[str]] = list) -> None:
        self._random = random.Random(seed)
        self._change = change

    def _said(self, **what: object) -> str:
        return json.dumps({**what, "time": self._random.random()})

    async def __call__(self, websocket):
        out = [self._said(event="welcome", id=f"guest-{self._random.random()}")]
        async for message in websocket:
            asked = json.loads(message)
            out.append(self._said(event="ack", id=asked["id"], n=len(asked["text"])))
            if asked["text"].endswith("5"):
                out.append(self._said(event="five!", id=asked["id"]))
            if asked["text"] == WORDS[-1]:
                break
        for each in self._change(out):
            await websocket.send(each)
        await websocket.close(4000, "that was all")


def talk(url: str, seed: int, change: Callable[[list[str]], list[str]] = list) -> None:
    """Be a client of Chat: say all words, each with an id of this run, and hear all answers."""
    rng = random.Random(seed)
    messages = [json.dumps({"id": f"id-{rng.random()}", "text": word}) for word in WORDS]
    with wslab.connect(url) as client:
        for message in change(messages):
            client.send(message)
        with pytest.raises(ConnectionClosed):
            while True:
                client.recv(timeout=10)


@pytest.fixture(scope="module")
def record() -> Tape:
    with MemoryNetwork(seed=1), wslab.serve(Chat(1)) as server:
        talk(server.url, 1)
        return server.tape


@pytest.mark.parametrize("hundred", range(10))
def test_a_hundred_clean_replays(record, hundred):
    """Ten each: what is invented would show; ids and times are others, and so are all delays."""
    for seed in range(10 * hundred, 10 * hundred + 10):
        with MemoryNetwork(seed=seed, jitter_s=0.003, max_chunk_bytes=200):
            if seed % 2:
                with wslab.replay(record, **BOUND) as replay:
                    talk(replay.url, seed)
                    assert not replay.wait(10), f"seed {seed}"
            else:
                replay = wslab.replay(record, Chat(seed), side="client", **BOUND)
            assert not replay.differences, f"seed {seed}"


# What is done to the messages from a place on: twenty times, four apart.
PLANTED = ["changed", "missing", "extra", "order", "changed"] * 4


def plant(messages: list[str]) -> list[str]:
    """Plant twenty differences in a list of messages, apart from one another."""
    messages = list(messages)
    for n, kind in reversed(list(enumerate(PLANTED))):
        place = 3 * n
        if kind == "changed":
            messages[place] = (
                messages[place]
                .replace('"text": "', '"text": "not ')
                .replace('"event": "', '"event": "not ')
            )
        elif kind == "missing":
            del messages[place]
        elif kind == "extra":
            messages.insert(place, '{"id": "x", "text": "extra", "event": "extra"}')
        else:
            messages[place : place + 2] = reversed(messages[place : place + 2])
    return messages


@pytest.mark.parametrize("seed", range(5))
class TestTwentyPlantedDifferences:
    def test_of_a_client(self, record, seed):
        with MemoryNetwork(seed=seed, jitter_s=0.003, max_chunk_bytes=200):
            with wslab.replay(record, **BOUND) as replay:
                talk(replay.url, seed, plant)
                found = replay.wait(10)
        assert collections.Counter(kinds(found)) == collections.Counter(PLANTED)

    def test_of_a_server(self, record, seed):
        with MemoryNetwork(seed=seed, jitter_s=0.003, max_chunk_bytes=200):
            replay = wslab.replay(record, Chat(seed, plant), side="client", **BOUND)
        assert collections.Counter(kinds(replay.differences)) == collections.Counter(PLANTED)


class TestFiles:
    """The same from files: our own of both kinds, and Chrome's."""

    @pytest.mark.parametrize("kind", ["har", "pcapng"])
    @pytest.mark.usefixtures("memory_network")
    def test_our_own_on_both_sides(self, record, tmp_path, kind):
        path = tmp_path / f"chat.{kind}"
        {"har": record.to_har, "pcapng": record.to_pcapng}[kind](path)
        with wslab.replay(path, **BOUND) as replay:
            talk(replay.url, 7)
            assert not replay.wait(10)
        assert not wslab.replay(str(path), Chat(8), side="client", **BOUND).differences
        found = wslab.replay(path, Chat(8, plant), side="client", **BOUND).differences
        assert len(found) == 20

    @pytest.mark.usefixtures("memory_network")
    def test_chromes_on_both_sides(self, tmp_path):
        path = tmp_path / "chrome.har"
        path.write_text(json.dumps(CHROMES), encoding="utf-8")
        with wslab.replay(path) as replay:
            assert replay.url.endswith("/chat?x=1")
            with wslab.connect(replay.url) as client:
                client.send("héllo")
                assert client.recv(timeout=5) == b"\xff\x00"
            assert not replay.wait(5)

        async def answers(websocket):
            assert await websocket.recv() == "héllo"
            await websocket.send(b"\xff\x00")
            await websocket.wait_closed()

        assert not wslab.replay(path, answers, side="client").differences


@pytest.mark.usefixtures("memory_network")
class TestTheHandle:
    def test_what_it_says(self):
        record = taped(("client", "a"))
        with wslab.replay(record, name="mine") as replay:
            [running] = wslab.running()
            assert (running.kind, running.name) == ("server", "mine")
            assert repr(replay) == (
                f"<Replay of 1 connection of made, server's side at {replay.url}, no differences>"
            )
            assert replay.record is record
            assert replay.tape is replay.server.tape
        assert repr(replay) == "<Replay of 1 connection of made, server's side, 1 difference>"
        assert not wslab.running()

    def test_notes(self):
        record = taped(("client", "close", 1006, ""))
        with wslab.replay(record) as replay:
            assert any("1006" in note for note in replay.notes)

    def test_what_a_server_or_a_client_has_recorded(self):
        async def hello(websocket):
            await websocket.send("hello")

        with wslab.serve(hello) as server, wslab.connect(server) as client:
            assert client.recv(timeout=5) == "hello"
        for recorded in (server, client):
            with wslab.replay(recorded) as replay, wslab.connect(replay.url) as again:
                assert again.recv(timeout=5) == "hello"

    def test_several_connections_as_a_client(self):
        record = taped(("client", "a"), ("client", "close", 1000))
        add_connection(record, [("client", "b"), ("client", "close", 1000)], name="two", at_s=1.0)
        heard = []

        async def listens(websocket):
            heard.extend([message async for message in websocket])

        for connection in (None, "two"):
            wslab.replay(record, listens, side="client", connection=connection)
        assert heard == ["a", "b"]


@pytest.mark.parametrize(
    ("keywords", "error", "said"),
    [
        ({"side": "both"}, ValueError, "expected side="),
        ({"side": "client"}, TypeError, "needs a target"),
        ({"target": "ws://x"}, TypeError, "expected no target"),
        ({"timeout_s": 0}, ValueError, "more than 0 seconds"),
        ({"timing": "slow"}, ValueError, "expected timing="),
        ({"match": "fuzzy"}, ValueError, "expected match="),
        ({"connection": 5}, LookupError, "expected connection="),
        ({"page": True}, TypeError, "expected no page="),
        ({"side": "client", "target": "ws://x", "reconnect": True}, TypeError, "no reconnect="),
        ({"compresion": None}, TypeError, "compression"),
    ],
)
def test_wrong_keywords(keywords, error, said):
    with pytest.raises(error, match=said):
        wslab.replay(taped(("client", "a")), **keywords)
    assert not wslab.running()
