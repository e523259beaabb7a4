"""EchoTimeline: each dot is a round trip, a held loop a hole and a burst; nothing stays open."""

from __future__ import annotations

import asyncio
import re
import time

import pytest
import websockets

import wslab
from tests.peers import free_port
from wslab.errors import BadURL, NobodyListening
from wslab.widgets.timelines import echo_timeline as lanes_module
from wslab.widgets.timelines.echo_timeline import Echo, EchoTimeline, Lane

pytestmark = pytest.mark.usefixtures("memory_network")


@pytest.fixture(autouse=True)
def closed():
    yield
    wslab.shutdown()


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


async def held(hold_s: float = 0.5, every_s: float = 0.02) -> EchoTimeline:
    """Hold the test's own loop while a server on it, and one on the lab's, are asked."""
    on_lab = await asyncio.to_thread(wslab.serve, echo)
    async with (
        websockets.serve(echo, "127.0.0.1", 0) as here,
        EchoTimeline({"lab": on_lab, "here": here}, every_s=every_s) as lanes,
    ):
        await asyncio.sleep(0.1)
        with lanes.span("held"):
            time.sleep(hold_s)  # noqa: ASYNC251
        await asyncio.sleep(0.1)
    return lanes


def test_a_held_loop_answers_nobody_and_the_other_one_does():
    lanes = asyncio.run(held())
    count = lanes.during("held")
    assert count["here"] == 0
    assert count["lab"] > 5
    lab, here = lanes.lanes
    assert (lab.name, here.name) == ("lab", "here")
    [span] = lanes.spans
    assert span.ended_s - span.began_s >= 0.5
    late = [echo for echo in here.echoes if span.began_s < echo.sent_s < span.ended_s]
    assert len(late) > 5  # the clients went on asking
    assert all(echo.came_s > span.ended_s for echo in late)
    assert here.worst_s > 0.4
    assert all(echo.came_s is not None for lane in lanes.lanes for echo in lane.echoes)


def test_every_dot_is_a_message_and_its_echo_on_the_tape():
    lanes = asyncio.run(held(0.05))
    asked = [message for message in lanes.tape.messages if message.sender == "client"]
    came = [message for message in lanes.tape.messages if message.sender == "server"]
    echoes = [echo for lane in lanes.lanes for echo in lane.echoes]
    assert sorted(echo.sent_s for echo in echoes) == [message.at_s for message in asked]
    assert sorted(echo.came_s for echo in echoes) == [message.at_s for message in came]
    assert lanes._repr_html_().count("<circle") == len(echoes)


def test_a_held_lab_is_seen_too_since_the_clients_are_on_neither_loop():
    async def measure():
        server = await asyncio.to_thread(wslab.serve, echo)
        async with EchoTimeline({"lab": server}, every_s=0.02) as lanes:
            with lanes.span("held"):
                await asyncio.to_thread(wslab.run, time.sleep, 0.3)
        return lanes

    lanes = asyncio.run(measure())
    sent = [echo.sent_s for echo in lanes.lanes[0].echoes]
    assert len(sent) > 5
    assert lanes.lanes[0].worst_s > 0.2


def test_it_closes_with_1001_and_leaves_nothing():
    codes = []

    async def noting(websocket):
        await echo(websocket)
        codes.append(websocket.close_code)

    async def measure():
        async with (
            websockets.serve(noting, "127.0.0.1", 0) as server,
            EchoTimeline({"one": server}),
        ):
            pass

    asyncio.run(measure())
    assert codes == [1001]


def test_what_fails_inside_gets_through_and_all_is_closed():
    async def measure():
        async with websockets.serve(echo, "127.0.0.1", 0) as server:
            async with EchoTimeline({"one": server}):
                raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        asyncio.run(measure())


def test_nobody_listening_is_said_and_the_others_are_closed():
    async def measure():
        async with websockets.serve(echo, "127.0.0.1", 0) as server:
            async with EchoTimeline({"one": server, "two": f"ws://127.0.0.1:{free_port()}/"}):
                raise AssertionError("entered")

    with pytest.raises(NobodyListening):
        asyncio.run(measure())


def test_a_server_that_answers_nothing_is_said_so(monkeypatch):
    monkeypatch.setattr(lanes_module, "LAST_ECHO_S", 0.2)

    async def mute(websocket):
        async for _ in websocket:
            pass

    async def measure():
        async with websockets.serve(mute, "127.0.0.1", 0) as server:
            async with EchoTimeline({"mute": server}, every_s=0.01) as lanes:
                await asyncio.sleep(0.1)
        return lanes

    lanes = asyncio.run(measure())
    assert lanes.lanes[0].worst_s == float("inf")
    assert re.search(r"mute: 0 echoes; \d+ never came", str(lanes))
    assert "<circle" not in lanes._repr_html_()


def test_a_server_that_leaves_ends_its_lane():
    async def one_answer(websocket):
        await websocket.send(await websocket.recv())

    async def measure():
        async with websockets.serve(one_answer, "127.0.0.1", 0) as server:
            async with EchoTimeline({"short": server}, every_s=0.01) as lanes:
                while lanes._clients[0].close_code is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        return lanes

    [lane] = asyncio.run(measure()).lanes
    assert [echo.came_s is not None for echo in lane.echoes].count(True) == 1


@pytest.mark.parametrize("wrong", [42, None, asyncio.Event()])
def test_a_target_that_is_no_server_is_refused(wrong):
    with pytest.raises(TypeError, match=r"expected a Server, a ws:// URL or a server of"):
        EchoTimeline({"x": wrong})


def test_arguments_are_checked():
    with pytest.raises(ValueError, match="at least one server"):
        EchoTimeline({})
    with pytest.raises(ValueError, match="above 0"):
        EchoTimeline({"x": "ws://127.0.0.1:1/"}, every_s=0)
    with pytest.raises(BadURL):
        asyncio.run(EchoTimeline({"x": "http://127.0.0.1:1/"}).__aenter__())


def test_they_are_used_once():
    async def measure():
        async with websockets.serve(echo, "127.0.0.1", 0) as server:
            lanes = EchoTimeline({"one": server})
            async with lanes:
                pass
            with pytest.raises(RuntimeError, match="make new ones"):
                await lanes.__aenter__()

    asyncio.run(measure())


def test_a_span_that_is_not_there():
    lanes = asyncio.run(held(0.0))
    with pytest.raises(KeyError, match="'elsewhere'; known here: 'held'"):
        lanes.during("elsewhere")


# How it looks; from made-up times.


@pytest.fixture
def drawn(monkeypatch) -> EchoTimeline:
    """Show two lanes over two seconds: one answers always, the other not in the second between."""
    lanes = EchoTimeline({"a <loop>": "ws://127.0.0.1:1/", "other": "ws://127.0.0.1:2/"})
    steady = tuple(Echo(n / 10, n / 10 + 0.01) for n in range(20))
    late = tuple(Echo(n / 10, 1.5 if 5 <= n < 15 else n / 10 + 0.01) for n in range(20))
    monkeypatch.setattr(
        EchoTimeline, "lanes", property(lambda _: (Lane("a <loop>", steady), Lane("other", late)))
    )
    lanes._spans.append(lanes_module.Span("sleep & wait", 0.49, 1.5))
    return lanes


def test_as_text(drawn):
    lines = str(drawn).splitlines()
    assert lines[0] == (
        "echoes on 2 lanes in 1.9 s; each character is 0.1 s and says how many came"
    )
    assert lines[1] == "  a <loop>  11111111111111111111"
    assert lines[2] == "  other     11111..........+1111"
    assert lines[3].endswith("^^^^^^^^^^ sleep & wait")
    assert lines[4] == (
        "  a <loop>: 20 echoes, 10 of them during sleep & wait; the slowest took 10 ms"
    )
    assert lines[5] == "  other: 20 echoes, 10 of them during sleep & wait; the slowest took 1.00 s"


def test_as_html(drawn):
    page = drawn._repr_html_()
    assert page.count("<circle") == 40
    assert "a &lt;loop&gt;" in page
    assert "<loop>" not in page
    assert "sleep &amp; wait" in page
    assert page.count('role="img"') == 2
    assert "the same as text" in page
    assert "<script" not in page
    # Both lanes on one axis, and on one scale: dots at the same time stand above each other.
    first, second = re.findall(r"<svg[^>]*role=.*?</svg>", page)
    left = [re.findall(r'cx="([\d.]+)%"', lane) for lane in (first, second)]
    assert left[0][:5] == left[1][:5]
    tops = [min(float(y) for y in re.findall(r'cy="([\d.]+)"', lane)) for lane in (first, second)]
    assert tops[0] > 70  # quick: near the base line
    assert tops[1] == 10  # the slowest: at the thin line
    assert all(0 <= float(x) <= 100 for lane in left for x in lane)


def test_the_noise_of_a_free_loop_looks_small(drawn, monkeypatch):
    quick = Lane("quick", tuple(Echo(n / 10, n / 10 + 0.02) for n in range(20)))
    monkeypatch.setattr(EchoTimeline, "lanes", property(lambda _: (quick,)))
    page = drawn._repr_html_()
    assert "up to 250 ms at the thin line" in page
    assert min(float(y) for y in re.findall(r'cy="([\d.]+)"', page)) > 70


def test_before_anything_was_measured():
    lanes = EchoTimeline({"x": "ws://127.0.0.1:1/"})
    assert "No echo was asked for yet" in str(lanes)
    assert "No echo was asked for yet" in lanes._repr_html_()
