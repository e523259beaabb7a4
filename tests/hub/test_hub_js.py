"""hub.js in Node, against hubs: what it says, what it hears, and what breaks on the way."""

from __future__ import annotations

import asyncio
import contextlib
import time
from pathlib import Path

import pytest

import wslab
from tests.hub.bad_line import BadLine
from tests.hub.machines.relay import Relay
from tests.hub.node_client import node
from tests.hub.rig import aio, listening, one, until
from tests.node import need

SCRIPT = Path(wslab.__file__).parent / "hub" / "hub.js"


@pytest.fixture(autouse=True)
def needs_node():
    need("ws")


QUICK = {"firstDelayMs": 5, "maxDelayMs": 50}


@contextlib.asynccontextmanager
async def page(url, **options):
    """Run a page of hub.js, and wait until it is welcome."""
    async with node("hub_js.mjs", SCRIPT) as client:
        client.do("connect", url, QUICK | options)
        yield client


def port_of(url):
    return int(url.rstrip("/").rpartition(":")[2])


def hub_of(**options):
    hub = wslab.Hub(limits=wslab.Limits(grace_s=0), **options)
    heard = []

    @hub.on("say")
    async def say(client, data):
        heard.append(data)
        return data

    @hub.on("wait")
    async def wait(client, data):
        await asyncio.sleep(3600)

    return hub, heard


@pytest.mark.parametrize("history", [0, 100])
@aio
async def test_events_answers_and_bytes_go_both_ways(history):
    hub, heard = hub_of(history=history)
    async with listening(hub) as url, page(url) as client:
        await client.told_of("welcome", {"resumed": False, "gap": None})
        data = {"text": "añ 漢 \U0001f600", "bytes": [{"hex": "00ff"}, {"hex": ""}], "none": None}
        client.do("call", 1, "say", data)
        assert await client.told_of("answer", 1) == ["answer", 1, data]
        assert heard == [{**data, "bytes": [b"\x00\xff", b""]}]
        client.do("emit", "say")
        await until(lambda: heard[1:] == [None])
        client.do("call", 2, "boom", None)
        assert (await client.told_of("failed", 2))[2] == "unknown-event"
        client.do("emit", "boom")
        await client.told_of("error", {"code": "unknown-event", "event": "boom"})
        hub.emit("news", {"a": b"\x01", "b": 2})
        told = await client.told_of("event", "news")
        assert told[2] == {"a": {"hex": "01"}, "b": 2}
        hub.broadcast("as it is")
        await client.told_of("message", "as it is")
        hub.broadcast(b"\x07")
        await client.told_of("message", {"hex": "07"})


@aio
async def test_what_the_hub_asks_is_answered():
    hub, _ = hub_of()
    async with listening(hub) as url, page(url) as client:
        await client.told_of("welcome")
        assert await one(hub).call("double", 21, timeout=5) == 42
        with pytest.raises(wslab.CallFailed, match="it fails here") as failed:
            await one(hub).call("fail", timeout=5)
        assert failed.value.code == "failed"
        await client.told_of("reported", "it fails here")
        # Nobody knows this event, but "*" is there for it, and answers nothing.
        assert await one(hub).call("whatever", timeout=5) is None


@pytest.mark.parametrize("history", [0, 1000])
@pytest.mark.websockets_only
@aio
async def test_what_was_said_while_away_comes_later_and_in_order(history):
    hub, heard = hub_of(history=history)
    async with listening(hub) as url, page(url) as client:
        await client.told_of("welcome")
        one(hub).websocket.transport.abort()
        await client.told_of("connection", {"state": "waiting", "code": 1006})
        for nth in range(5):
            client.do("emit", "say", nth)
        client.do("call", 1, "say", 5)
        await client.told_of("answer", 1, 5)
        assert heard == list(range(6))
        client.do("settle")
        await client.told_of("settled")


@pytest.mark.websockets_only
@aio
async def test_a_call_that_was_under_way_is_lost_without_a_session_and_answered_with_one():
    hub, _ = hub_of()
    async with listening(hub) as url, page(url) as client:
        await client.told_of("welcome")
        client.do("call", 1, "wait")
        await until(lambda: one(hub) and one(hub)._connection.reader.received)
        one(hub).websocket.transport.abort()
        assert (await client.told_of("failed", 1))[2] == "lost"

    hub, heard = hub_of(history=10)
    has_come, go_on = asyncio.Event(), asyncio.Event()

    @hub.on("slow")
    async def slow(client, data):
        heard.append(data)
        has_come.set()
        await go_on.wait()
        return "done"

    async with listening(hub) as url, page(url) as client:
        await client.told_of("welcome")
        client.do("call", 1, "slow", 7)
        await has_come.wait()
        one(hub).websocket.transport.abort()
        await client.told_of("welcome", {"resumed": True})
        go_on.set()
        await client.told_of("answer", 1, "done")
        assert heard == [7]


@aio
async def test_a_call_that_nobody_answers_ends_in_time():
    hub, _ = hub_of(history=10)
    async with listening(hub) as url, page(url) as client:
        await client.told_of("welcome")
        client.do("call", 1, "wait", None, {"timeoutMs": 50})
        assert (await client.told_of("failed", 1))[2] == "timeout"
        one(hub).disconnect(1012, "again")
        await client.told_of("connection", {"state": "waiting"})
    async with page("ws://127.0.0.1:9/") as client:  # nobody listens there
        client.do("call", 1, "say", 1, {"timeoutMs": 50})
        told = await client.told_of("failed", 1)
        assert told[2] == "timeout"
        assert "taken back" in told[3]
        client.do("look")
        assert (await client.told_of("look"))[2] == 0


@aio
async def test_what_waits_is_bounded_in_bytes_and_more_is_refused():
    async with page("ws://127.0.0.1:9/", maxBytes=10_000) as client:
        for _ in range(4):
            client.do("emit", "say", "x" * 4000)
        told = await client.told_of("thrown", "full")
        assert "at most 10000 bytes" in told[2]
        client.do("call", 1, "say", {"bytes": {"hex": "00" * 4000}})
        assert (await client.told_of("failed", 1))[2] == "full"
        client.do("look")
        state, buffered = (await client.told_of("look"))[1:]
        assert state in ("connecting", "waiting")
        assert 8000 < buffered <= 10_000
    async with page("ws://127.0.0.1:9/", maxBytes=100) as client:
        client.do("emit", "say", "x" * 4000)  # alone it goes, however large: else it never could
        client.do("look")
        assert 4000 < (await client.told_of("look"))[2] < 4200
        assert not client.all("thrown")


@aio
async def test_it_comes_back_when_it_was_told_to():
    hub, _ = hub_of(history=10)
    async with listening(hub) as url, page(url, maxDelayMs=5000) as client:
        await client.told_of("welcome")
        assert await hub.drain(0, come_back_s=0.3) == 1
        hub.is_draining = False
        told = await client.told_of("connection", {"state": "waiting", "code": 1012})
        assert 300 <= told[1]["delayMs"] <= 305
        await client.told_of("welcome", {"resumed": True})
        one(hub).disconnect(1012, "come back in 3600 s")
        told = await client.told_of("connection", {"why": "come back in 3600 s"})
        assert told[1]["delayMs"] == 5000  # never longer than by itself


@pytest.mark.parametrize(
    ("code", "is_final"), [(1000, True), (4001, True), (1008, True), (1012, False), (1013, False)]
)
@aio
async def test_a_close_on_purpose_is_final(code, is_final):
    hub, _ = hub_of(history=10)
    async with listening(hub) as url, page(url) as client:
        await client.told_of("welcome")
        client.do("call", 1, "wait")
        await until(lambda: one(hub)._connection.reader.received)
        one(hub).disconnect(code, "why")
        if not is_final:
            await client.told_of("connection", {"state": "waiting", "code": code, "why": "why"})
            await client.told_of("welcome")
            return
        await client.told_of("connection", {"state": "closed", "code": code, "why": "why"})
        assert (await client.told_of("failed", 1))[2] == "closed"
        client.do("emit", "say", 1)
        await client.told_of("thrown", "closed")
        client.do("look")
        assert await client.told_of("look") == ["look", "closed", 0]


@aio
async def test_who_is_refused_stays_away_and_is_told_why():
    hub, _ = hub_of(history=10)

    @hub.on("connect")
    async def connect(client):
        raise wslab.Refused("members only")

    async with listening(hub) as url, page(url) as client:
        await client.told_of("error", {"code": "refused", "message": "members only"})
        await client.told_of("connection", {"state": "closed", "code": 1008})
    assert len(hub.clients) == 0


@aio
async def test_closing_says_goodbye_and_the_session_is_forgotten():
    hub, _ = hub_of(history=10)
    async with listening(hub) as url, page(url) as client:
        await client.told_of("welcome")
        client.do("close")
        await client.told_of("connection", {"state": "closed", "code": 1000})
        await until(lambda: not hub.clients)
        assert len(hub._context.backplane.sessions) == 0


@pytest.mark.websockets_only
@aio
async def test_a_server_that_is_no_hub_is_found_out():
    async def echo(websocket):
        await websocket.send("hello")
        async for message in websocket:
            await websocket.send(message)

    async def mute(websocket):
        await websocket.wait_closed()

    async with listening(echo) as url, page(url) as client:
        told = await client.told_of("connection", {"state": "closed"})
        assert told[1]["why"] == "expected a hub, which says welcome first, got hello"
    async with listening(mute) as url, page(url, openMs=50) as client:
        told = await client.told_of("connection", {"state": "waiting"})
        assert told[1]["why"] == "no welcome within 50 ms"


@pytest.mark.parametrize("only_to_page", [True, False])
@aio
async def test_a_connection_that_went_silent_is_given_up_and_nothing_is_lost(only_to_page):
    hub, heard = hub_of(history=1000)
    async with listening(hub) as url, BadLine(port_of(url), 1, 0) as line:
        async with page(f"ws://127.0.0.1:{line.port}/", silenceMs=200) as client:
            await client.told_of("welcome")
            line.swallow(only_to_page=only_to_page)
            client.do("call", 1, "say", "into the void")
            told = await client.told_of("connection", {"state": "waiting"})
            assert told[1]["why"] == "silence"
            await client.told_of("welcome", {"resumed": True})
            await client.told_of("answer", 1, "into the void")
            line.cut()
    assert heard == ["into the void"]


@aio
async def test_an_idle_connection_is_not_a_silent_one():
    hub, heard = hub_of(history=1000)
    async with listening(hub) as url, page(url, silenceMs=200) as client:
        await client.told_of("welcome")
        for nth in range(4):
            await asyncio.sleep(0.23)  # longer than the silence that is borne
            client.do("emit", "say", nth)
            client.do("settle")
            await client.told_of("settled")
        assert len(client.all("welcome")) == 1
    assert heard == [0, 1, 2, 3]


@pytest.mark.websockets_only
@aio
async def test_an_answer_goes_to_the_connection_that_asked_and_to_no_other():
    hub, _ = hub_of()
    async with listening(hub) as url, page(url) as client:
        await client.told_of("welcome")
        first = asyncio.create_task(one(hub).call("hold", "first", timeout=5))
        await client.told_of("held", "first")
        one(hub).websocket.transport.abort()
        with pytest.raises(wslab.ClientGone):
            await first
        await client.told_of("welcome")
        second = asyncio.create_task(one(hub).call("hold", "second", timeout=5))
        await client.told_of("held", "second")
        client.do("release")  # the first, which has the same number
        client.do("release")
        assert await second == "second"


@pytest.mark.parametrize("history", [0, 10])
@aio
async def test_a_hub_that_has_forgotten_the_session_says_so_and_gets_what_was_kept(history):
    hub, heard = hub_of(history=10)
    after, heard_after = hub_of(history=history)
    async with listening(hub) as url, BadLine(port_of(url), 1, 0) as line:
        async with page(f"ws://127.0.0.1:{line.port}/") as client:
            await client.told_of("welcome")
            client.do("call", 1, "say", "before")
            await client.told_of("answer", 1)
            line.swallow()
            client.do("emit", "say", "under way")
            client.do("call", 2, "say", "asked")
            client.do("look")
            await client.told_of("look")
            async with listening(after) as url:
                line.target = port_of(url)
                line.cut()
                await client.told_of("welcome", {"resumed": False, "gap": "session unknown"})
                await client.told_of("answer", 2, "asked")
                client.do("emit", "say", "then")
                client.do("settle")
                await client.told_of("settled")
                await until(lambda: len(heard_after) == 3)
    assert (heard, heard_after) == (["before"], ["under way", "asked", "then"])


@pytest.mark.parametrize("data", [{"hex": ""}, {"$binary": 0}, {"a": {"$binary": 0}}])
@aio
async def test_a_key_that_means_bytes_is_sent_where_there_are_none(data):
    hub, _ = hub_of()
    async with listening(hub) as url, page(url) as client:
        client.do("call", 1, "say", data)
        assert (await client.told_of("answer", 1))[2] == data
        client.do("emit", "say", {"a": {"hex": "00"}, "$binary": 0})
        await client.told_of("thrown", "TypeError")
        client.do("emit", "x" * 129)
        await client.told_of("thrown", "TypeError")
        client.do("emit", "say", [{"hex": "00"}] * 65)
        await client.told_of("thrown", "TypeError")


# A line that breaks again and again.


@pytest.mark.parametrize("seed", range(4))
@aio
async def test_nothing_is_lost_and_nothing_comes_twice_over_a_line_that_breaks(seed):
    hub, heard = hub_of(history=10_000)
    count = 300

    @hub.on("connect")
    async def connect(client):
        client.join("room")

    async with (
        listening(hub) as url,
        BadLine(port_of(url), seed, 3000) as line,
        page(f"ws://127.0.0.1:{line.port}/") as client,
    ):
        await client.told_of("welcome")
        for nth in range(count):
            data = nth if nth % 3 else {"nth": nth, "bytes": {"hex": "ab" * (nth % 50)}}
            if nth % 4:
                client.do("emit", "say", data)
            else:
                client.do("call", nth, "say", data)
            news = nth if nth % 3 else [nth, bytes(nth % 50)]
            hub.emit("news", news, to="room" if nth % 2 else None)
            if nth % 10 == 0:
                await asyncio.sleep(0.01)
        line.mean_bytes = 0  # from now on a connection holds
        line.cut()
        client.do("call", "last", "say", "last")
        await client.told_of("answer", "last")
        hub.emit("news", "last")
        await client.told_of("event", "news", "last")
        client.do("settle")
        await client.told_of("settled")
        said = [each if type(each) is not dict else each["nth"] for each in heard]
        assert said == [*range(count), "last"]
        told = [each if type(each) is not list else each[0] for _, each in client.all("event")]
        assert told == [*range(count), "last"]
        answers = {mark: data for mark, data in client.all("answer") if mark != "last"}
        assert len(client.all("answer")) == len(answers) + 1 == len(range(0, count, 4)) + 1
        assert line.breaks > 1
        assert {data["gap"] for [data] in client.all("welcome")} == {None}


def known(**options):
    """Return a hub that knows "good" and "short", who has to renew it soon."""
    hub, _ = hub_of(**options)
    sources = []

    @hub.on("authenticate")
    async def authenticate(credentials):
        sources.append(credentials.source)
        ends = {"good": 3600.0, "short": 0.3}.get(credentials.token)
        return ends and wslab.Identity("alice", time.time() + ends)

    return hub, sources


@aio
async def test_a_token_is_said_first_and_stands_in_no_url():
    hub, sources = known(history=10)
    async with listening(hub) as url, page(url, token="good") as client:
        told = await client.told_of("welcome", {"user": "alice"})
        assert told[1]["expires_at"] > time.time()
        assert sources == ["packet"]
        assert "good" not in one(hub).path
        client.do("call", 1, "authenticate", {"token": "good"})
        assert (await client.told_of("answer", 1))[2]["user_id"] == "alice"
        client.do("call", 2, "authenticate", {"token": "bad"})
        assert (await client.told_of("failed", 2))[2] == "unauthorized"


@aio
async def test_a_token_that_is_not_taken_ends_it():
    hub, _ = known()
    async with listening(hub) as url:
        for options in ({"token": "bad"}, {"tokens": ["bad", "good"]}):
            async with page(url, **options) as client:
                await client.told_of("error", {"code": "unauthorized"})
                told = await client.told_of("connection", {"state": "closed", "code": 4401})
                assert told[1]["why"].startswith("the token in the packet is not one")


@aio
async def test_a_function_is_asked_again_where_it_failed_and_where_it_has_expired():
    hub, sources = known(history=10)
    async with listening(hub) as url, page(url, tokens=[None, "short", "good"]) as client:
        await client.told_of("reported", "no token today")
        await client.told_of("connection", {"state": "waiting", "why": "there is no token"})
        await client.told_of("welcome", {"resumed": False})
        await client.told_of("connection", {"state": "waiting", "code": 4401})
        await client.told_of("welcome", {"resumed": True})
        assert sources == ["packet"] * 2


@aio
async def test_a_gap_is_told_once():
    hub, _ = hub_of(history=2)
    async with (
        listening(hub) as at,
        Relay(lambda: port_of(at)) as door,
        page(f"ws://127.0.0.1:{door.port}/") as client,
    ):
        await client.told_of("welcome", {"gap": None})
        door.is_refusing = True
        door.cut()
        await until(lambda: not hub.clients)
        for n in range(9):
            hub.emit("tick", n)
        door.is_refusing = False
        await client.told_of("welcome", {"gap": "too old"})
        door.cut()
        await client.told_of("welcome", {"resumed": True, "gap": None})
