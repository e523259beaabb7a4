"""pytest's plugin as suites use it, beside pytest-asyncio and xdist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.testing.rig import IS_INSTALLED, run
from tests.wire.taping import masked, websocket
from wslab.wire.frames.layout import encode_frame
from wslab.wire.tape.tape import Tape


def test_a_round_trip_in_memory(pytester):
    result = run(
        pytester,
        """
        def test_it(ws_serve, ws_connect):
            server = ws_serve(echo, name="echo")
            alice = ws_connect(server, name="alice")
            alice.send("hello")
            assert alice.recv(timeout=5) == "hello"
            assert server.tape.sent_by("server") == ["hello"]
            assert server.tcp_host == ""
        """,
    )
    result.assert_outcomes(passed=1)


def test_a_handler_that_raises_fails_the_test(pytester):
    result = run(
        pytester,
        """
        def test_it(ws_serve, ws_connect):
            alice = ws_connect(ws_serve(picky), name="alice")
            alice.send("spam")
            alice.received
            with pytest.raises(websockets.ConnectionClosedError):
                alice.recv(timeout=5)
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.re_match_lines(
        [
            r"a handler let an exception through that no `with ws_serve.expect_errors\(...\)` exp",
            r"ValueError: no spam, please \(in picky, for \w{6}\)",
            r"Traceback \(most recent call last\):",
            r".*raise ValueError\(f\"no \{message\}, please\"\)",
            r"-+ wslab: frames of server 'picky' -+",
            r" +0\.\d+ s  alice -> text 'spam'",
            r" +0\.\d+ s  alice <- close 1011 \(internal error\)",
            r"-+ wslab: network -+",
            r"seed \d+; again with --wslab-seed=\d+",
        ]
    )


def test_a_handler_that_raises_is_shown_where_the_test_fails_by_itself(pytester):
    result = run(
        pytester,
        """
        def test_it(ws_serve, ws_connect):
            alice = ws_connect(ws_serve(picky))
            alice.send("spam")
            alice.recv(timeout=5)
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*ConnectionClosedError*"])
    result.stdout.re_match_lines(["-+ wslab: exceptions -+", ".*no `with ws_serve.expect_errors"])


def test_a_handler_that_raises_at_the_end_fails_the_test_too(pytester):
    result = run(
        pytester,
        """
        async def sore_loser(websocket):
            await websocket.wait_closed()
            raise KeyError("at the end")

        def test_it(ws_serve, ws_connect):
            ws_connect(ws_serve(sore_loser))
        """,
    )
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown*", "KeyError: 'at the end'*"])


def test_what_is_expected_fails_nothing(pytester):
    result = run(
        pytester,
        """
        def test_it(ws_serve, ws_connect):
            alice = ws_connect(ws_serve(picky))
            with ws_serve.expect_errors(ValueError, match="no spam") as failures:
                alice.send("spam")
            assert [failure.kind for failure in failures] == ["ValueError"]

        def test_nothing_comes(ws_serve, ws_connect):
            alice = ws_connect(ws_serve(echo), name="alice")
            with ws_serve.expect_errors(ValueError, timeout=0):
                alice.send("spam")

        def test_another_one_comes(ws_serve, ws_connect):
            alice = ws_connect(ws_serve(picky))
            with ws_serve.expect_errors(KeyError, timeout=0):
                alice.send("spam")
                with pytest.raises(websockets.ConnectionClosed):
                    alice.recv(timeout=5)
        """,
    )
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(
        [
            "*AssertionError: expected a handler to raise ValueError within 0 s, but none did; *",
            "*alice -> text 'spam'",
            "*AssertionError: expected a handler to raise KeyError within 0 s*",
            "*wslab: exceptions*",
            "ValueError: no spam, please (in picky*",
        ]
    )


def test_messages_that_differ_are_shown_with_their_frames(pytester):
    result = run(
        pytester,
        """
        def test_it(ws_serve, ws_connect):
            server = ws_serve(echo)
            alice = ws_connect(server, name="alice")
            for text in ("one", "two"):
                alice.send(text)
                alice.recv(timeout=5)
            assert server.tape.sent_by("server") == ["one", "too"]
        """,
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "E* AssertionError: assert [[]'one', 'two'] == [[]'one', 'too']",
            "E* At message 1: 'two' != 'too'",
            "E* What both sides said*",
            "E* alice -> text 'two'",
            "E* alice <- text 'two'",
        ]
    )


def test_a_network_with_conditions_and_a_seed(pytester):
    code = """
        @pytest.mark.ws_network(delay_s=0.001, jitter_s=0.003, max_chunk_bytes=3)
        def test_it(ws_serve, ws_connect, ws_network):
            alice = ws_connect(ws_serve(echo))
            alice.send("x" * 100)
            assert alice.recv(timeout=5) == "x" * 100
            assert ws_network.connections[0].client.delay_s == 0.001
            assert ws_network.seed == 7
        """
    run(pytester, code, "--wslab-seed=7").assert_outcomes(passed=1)
    run(pytester, code, "-o", "wslab_seed=7").assert_outcomes(passed=1)
    result = run(pytester, code, "--wslab-seed=8")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["seed 8; again with --wslab-seed=8"])


def test_over_tcp_or_in_memory_but_not_both(pytester):
    result = run(
        pytester,
        """
        def test_tcp(ws_serve, ws_connect):
            server = ws_serve(echo, tcp=True)
            assert server.tcp_host == "127.0.0.1"
            alice = ws_connect(server)
            alice.send("x")
            assert alice.recv(timeout=5) == "x"
            with pytest.raises(ValueError, match="all of one test over TCP"):
                ws_serve(echo)

        def test_memory(ws_serve, ws_connect, ws_network):
            with pytest.raises(ValueError, match="all of one test over TCP"):
                ws_serve(echo, tcp=True)
        """,
    )
    result.assert_outcomes(passed=2)


def test_beside_pytest_asyncio(pytester):
    result = run(
        pytester,
        """
        @pytest.mark.asyncio
        async def test_it(ws_serve):
            server = ws_serve(echo)
            async with websockets.connect(server.url) as alice:
                await alice.send("hello")
                assert await alice.recv() == "hello"
            assert server.tape.sent_by("client") == ["hello"]

        @pytest.mark.asyncio
        async def test_left_open(ws_serve):
            await websockets.connect(ws_serve(echo).url)

        @pytest.mark.asyncio
        async def test_it_fails(ws_serve):
            async with websockets.connect(ws_serve(picky).url) as alice:
                await alice.send("spam")
                await alice.wait_closed()

        @pytest.mark.asyncio
        async def test_their_own_server(ws_network, ws_connect):
            async with websockets.serve(echo, "localhost", 8765):
                async with websockets.connect("ws://localhost:8765") as alice:
                    await alice.send("hello")
                    assert await alice.recv() == "hello"
        """,
        "-W",
        "error",
    )
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["ValueError: no spam, please*"])


def test_beside_xdist(pytester):
    result = run(
        pytester,
        """
        @pytest.mark.parametrize("number", range(4))
        def test_it(ws_serve, ws_connect, number):
            alice = ws_connect(ws_serve(echo, port=8765))
            alice.send(str(number))
            assert alice.recv(timeout=5) == str(number)
            assert number != 3
        """,
        "-n2",
        "--wslab-seed=5",
        apart=True,
    )
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["*text '3'", "seed 5; again with --wslab-seed=5"])


@pytest.mark.skipif(not IS_INSTALLED, reason="installed before there was the plugin")
def test_a_suite_that_uses_none_of_it_loads_none_of_it(pytester):
    pytester.makepyfile(
        test_theirs="""
        import sys

        def test_it(request):
            assert request.config.pluginmanager.hasplugin("wslab")
            assert [name for name in sys.modules if name.startswith(("wslab", "websockets"))] == []
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)
    pytester.makepyfile(test_theirs="def test_it(ws_serve): pass")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:wslab")
    result.assert_outcomes(errors=1)


def _record_a_feed(path):
    """Write the record that the guide's ws_replay() plays."""
    tape = Tape()
    track = websocket(tape)
    track.client(masked(1, b'{"time": 2, "subscribe": "news"}'))
    track.server(encode_frame(1, b"first news"))
    path.parent.mkdir()
    tape.to_har(path)


def test_the_readmes_guide(pytester):
    readme = (Path(__file__).resolve().parent.parent / "README.md").read_text()
    guide = readme[readme.index("## In tests") : readme.index("## On Binder")]
    blocks = re.findall(r"```python\n(.*?)```", guide, re.DOTALL)
    _record_a_feed(pytester.path / "ws_records" / "feed.har")
    result = run(pytester, "\n".join(blocks))
    result.assert_outcomes(passed=guide.count("def test_"))


def test_it_is_cheap_to_import():
    program = "import sys, pytest_wslab; print([n for n in sys.modules if n.startswith('wslab')])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "[]\n", done.stderr
