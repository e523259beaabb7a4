from __future__ import annotations

import pytest

import wslab
from tests.peers import until
from tests.replays.rig import taped
from wslab.widgets.inspector.feed import Feed
from wslab.widgets.inspector.remarks import Remarks

pytestmark = pytest.mark.usefixtures("memory_network")


def rows(feed: Feed) -> list[str]:
    """Return what new rows say: messages, differences and the end."""
    found = []
    while new := feed.poll():
        found += [
            row.json["label"]
            for row in new
            if row.json["what"] in ("differs", "ended", "response") or row.json.get("message")
        ]
    return found


def feed_of(replay: wslab.Replay) -> Feed:
    return Feed([replay.tape], remarks=Remarks({0: replay}))


def say(url: str, *messages: str, code: int = 1000) -> None:
    with wslab.connect(url, name="alice") as alice:
        for message in messages:
            alice.send(message)
        alice.close(code)


RECORD = [*[("client", each) for each in "abcdef"], ("client", "close", 1000)]


def test_each_stands_behind_what_it_is_about():
    with wslab.replay(taped(*RECORD)) as replay:
        say(replay.url, *"abxdyef", code=4000)
        replay.wait(5)
        assert rows(feed_of(replay)) == [
            "101 Switching Protocols",
            *"abx",
            "≠ changed: expected 'c', got 'x'",
            *"dy",
            "+ extra: expected nothing, got 'y'",
            *"ef",
            "closed by alice: 4000 private use",
            "≠ close: expected close 1000, got close 4000",
        ]


def test_what_is_missing_stands_behind_what_came_before_it():
    with wslab.replay(taped(*RECORD)) as replay:
        say(replay.url, *"bcdf")
        replay.wait(5)
        assert [each[:23] for each in rows(feed_of(replay))] == [
            "101 Switching Protocols",
            "− missing: expected 'a'",
            "b",
            "c",
            "d",
            "− missing: expected 'e'",
            "f",
            "closed by alice: 1000 n",
        ]


def test_what_is_found_later_stands_at_the_end_once():
    with wslab.replay(taped(*RECORD)) as replay:
        feed = feed_of(replay)
        said: list[str] = []

        def until_said(text: str) -> None:
            until(lambda: said.extend(rows(feed)) or any(text in each for each in said))

        with wslab.connect(replay.url) as alice:
            alice.send("x")
            until_said("x")
            alice.send("b")
            alice.send("c")
            until_said("≠ changed")
            assert said[1:] == ["x", "b", "c", "≠ changed: expected 'a', got 'x'"]
        replay.wait(5)
        until_said("ended before")
        assert len([each for each in said if "changed" in each]) == 1
        assert len([each for each in said if "− missing" in each]) == 3
        assert rows(feed) == []


def test_a_row():
    with wslab.replay(taped(("client", '{"a": 1}'))) as replay:
        say(replay.url, '{"a": 2}')
        replay.wait(5)
        feed = feed_of(replay)
        while feed.poll():
            pass
        [row] = [row.json for row in feed.rows if row.json["what"] == "differs"]
        assert row["label"] == "≠ changed: a: 1 → 2"
        assert row["why"].startswith("changed: one, message 1, at 0.100 s, from the client: expe")
        assert (row["by"], row["lane"]) == ("client", 1)


def test_another_handshake_stands_behind_the_answer():
    with wslab.replay(taped(path="/chat")) as replay:
        say(replay.url.replace("/chat", "/other"))
        said = rows(feed_of(replay))
        assert said[:2] == [
            "101 Switching Protocols",
            "≠ handshake: expected a request for /chat, got /other",
        ]


def test_an_inspector_of_a_replay():
    async def loud(websocket):
        async for message in websocket:
            await websocket.send(message.upper())

    replay = wslab.replay(taped(("client", "a"), ("server", "a")), loud, side="client")
    said = str(wslab.Inspector(replay).forms()["text/plain"])
    assert "≠ changed: expected 'a', got 'A'" in said
    html = wslab.Inspector(replay).forms()["text/html"]
    assert "≠ changed" in html


def test_nobody_needs_a_replay():
    assert Remarks({}).late(0) == []
