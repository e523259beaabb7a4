"""A session that is recorded once and played in each later run."""

from __future__ import annotations

import itertools

import pytest
import websockets

import wslab
from tests.testing.rig import run
from wslab.testing.bench import Bench
from wslab.testing.fixtures import Connect, Serve
from wslab.testing.records import Records
from wslab.wire.tape.tape import Tape


def counting():
    """Return a handler that answers each message with another number, over all connections."""
    numbers = itertools.count(1)

    async def count(websocket):
        async for message in websocket:
            await websocket.send(f"{message} {next(numbers)}")

    return count


class Run:
    """One test: what it records or plays, and what becomes of it."""

    def __init__(self, folder, mode="none"):
        self.bench = Bench(1, {})
        self.serve, self.connect = Serve(self.bench), Connect(self.bench)
        self.replay = Records(self.bench, folder, mode)

    def ask(self, url, *messages):
        client = self.connect(url)
        answers = []
        for message in messages:
            client.send(message)
            answers.append(client.recv(timeout=5))
        return answers

    def end(self):
        self.bench.close()
        return self.bench.take_failures()


def record(folder, *messages, mode="once", name="count"):
    one = Run(folder, mode)
    server = one.serve(counting())
    answers = one.ask(one.replay(name, server).url, *messages)
    assert one.end() == ""
    return answers


def test_what_was_recorded_is_played(tmp_path):
    assert record(tmp_path, "a", "b") == ["a 1", "b 2"]
    for mode in ("none", "once"):
        later = Run(tmp_path, mode)
        feed = later.replay("count", "ws://nobody.invalid/")
        assert later.ask(feed.url, "a", "b") == ["a 1", "b 2"]
        assert later.end() == ""
        assert not feed.differences


def test_once_keeps_a_record_and_all_makes_it_anew(tmp_path):
    record(tmp_path, "a")
    before = (tmp_path / "count.har").read_bytes()
    assert record(tmp_path, "a") == ["a 1"]
    assert (tmp_path / "count.har").read_bytes() == before
    record(tmp_path, "b", mode="all")
    assert Tape.load(tmp_path / "count.har").sent_by("client") == ["b"]


def test_a_test_that_differs_fails(tmp_path):
    record(tmp_path, "a", "b")
    later = Run(tmp_path)
    later.ask(later.replay("count").url, "a", "not b")
    text = later.end()
    assert text.startswith("the test differs from its record count.har")
    assert "changed: " in text
    assert "expected 'b', got 'not b'" in text


def test_a_test_that_connects_to_nothing_fails(tmp_path):
    record(tmp_path, "a")
    later = Run(tmp_path)
    later.replay("count")
    assert "handshake" in later.end()


def test_what_is_made_anew_may_be_left_out(tmp_path):
    one = Run(tmp_path, "once")
    url = one.replay("time", one.serve(counting())).url
    one.ask(url, '{"time": 1, "say": "a"}')
    assert one.end() == ""
    later = Run(tmp_path)
    later.ask(later.replay("time", match="json", ignore=["time"]).url, '{"say": "a", "time": 2}')
    assert later.end() == ""


def test_a_test_that_fails_makes_no_record(tmp_path):
    one = Run(tmp_path, "all")
    one.ask(one.replay("count", one.serve(counting())).url, "a")
    one.bench.has_failed = True
    assert one.end() == ""
    assert [*tmp_path.iterdir()] == []


def test_where_nobody_connects_there_is_no_record(tmp_path):
    one = Run(tmp_path, "all")
    one.replay("count", one.serve(counting()))
    assert "nothing connected to ws://" in one.end()
    assert [*tmp_path.iterdir()] == []


def test_what_is_too_large_is_no_record(tmp_path, monkeypatch):
    monkeypatch.setattr("wslab.testing.records._MAX_BYTES", 2**16)
    one = Run(tmp_path, "all")
    one.ask(one.replay("count", one.serve(counting())).url, *(["x" * 10_000] * 20))
    assert "no record count.har: it is larger than 65,536 bytes" in one.end()
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("mode", ["none", "once", "all"])
def test_a_record_that_is_not_there(tmp_path, mode):
    one = Run(tmp_path, mode)
    with pytest.raises(FileNotFoundError, match=r"ws_replay\('feed', URL\), pytest --wslab-record"):
        one.replay("feed")
    assert one.end() == ""


@pytest.mark.parametrize("name", ["../feed", "/feed", "a/../../feed"])
def test_a_name_leads_nowhere_else(tmp_path, name):
    with pytest.raises(ValueError, match="expected the name of a record in ws_records"):
        Run(tmp_path).replay(name)


def test_a_name_may_have_a_folder(tmp_path):
    record(tmp_path, "a", name="feed/one")
    assert (tmp_path / "feed" / "one.har").is_file()


def test_another_server_is_recorded_over_tcp(tmp_path):
    with wslab.serve(counting()) as server:
        one = Run(tmp_path, "once")
        assert one.ask(one.replay("count", server.url).url, "a") == ["a 1"]
        assert one.bench.is_tcp
        assert one.end() == ""
    later = Run(tmp_path)
    assert later.ask(later.replay("count", server.url, tcp=True).url, "a") == ["a 1"]
    assert later.end() == ""


@pytest.mark.asyncio
async def test_a_client_of_websockets(tmp_path):
    record(tmp_path, "a")
    later = Run(tmp_path)
    async with websockets.connect(later.replay("count").url) as client:
        await client.send("a")
        assert await client.recv() == "a 1"
    assert later.end() == ""


def test_the_option_and_the_folder_beside_the_tests(pytester):
    code = """
        def test_it(ws_serve, ws_connect, ws_replay, request):
            target = ws_serve(echo) if request.config.getoption("wslab_record") else None
            alice = ws_connect(ws_replay("echo", target).url)
            alice.send("hello")
            assert alice.recv(timeout=5) == "hello"
        """
    result = run(pytester, code)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*FileNotFoundError: expected the record *ws_records/echo.har*"])
    run(pytester, code, "--wslab-record=once").assert_outcomes(passed=1)
    assert (pytester.path / "ws_records" / "echo.har").is_file()
    run(pytester, code).assert_outcomes(passed=1)
    result = run(pytester, code.replace("hello", "hullo"))
    result.assert_outcomes(failed=1, errors=1)
    result.stdout.fnmatch_lines(["*the test differs from its record echo.har*"])
    assert run(pytester, code, "-o", "wslab_record=twice").ret != 0
