"""check(), hint() and the bench: whatever the learner's code does becomes a verdict, in time."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time

import pytest

import wslab
from wslab.learn import NotYet, check, hint, left_open
from wslab.learn.exercises import Exercise, Miss, _exercises
from wslab.learn.testbench import Probe, bounded, describe, nonce


@pytest.fixture
def make(monkeypatch):
    """Register a check for this test, called "zz test"."""

    def register(run):
        entry = Exercise("zz test", run, ("look here", "it is <this>"), "solutions/zz.py")
        monkeypatch.setitem(_exercises, "zz test", entry)

    return register


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


# --- verdicts -----------------------------------------------------------------------------------


def test_a_pass_is_true_and_says_what_was_seen(make):
    make(lambda thing: f"saw {thing}")
    verdict = check("zz test", 42)
    assert verdict
    assert verdict.passed is True
    assert str(verdict).splitlines()[0].startswith("zz test: passed in 0.")
    assert "saw 42" in str(verdict)
    assert "<b>passed</b>" in verdict._repr_html_()


@pytest.mark.parametrize("things", [(), (None,), (...,), (len, None)])
def test_nothing_to_check_is_not_yet(make, things):
    def run(*_things):
        raise AssertionError("a check ran without anything to check")

    make(run)
    verdict = check("zz test", *things)
    assert verdict.passed is None
    assert not verdict
    assert "not yet" in str(verdict)
    assert "not yet" in verdict._repr_html_()
    assert "<code>raise NotYet</code>" in verdict._repr_html_()


def test_a_stub_is_not_yet_wherever_it_raises(make):
    def stub():
        raise NotYet

    def through_a_miss(thing):
        try:
            thing()
        except NotYet as exc:
            raise Miss("an answer", "none") from exc

    for run in (lambda thing: thing(), through_a_miss):
        make(run)
        assert check("zz test", stub).passed is None


def test_a_miss_says_expected_seen_and_hint(make):
    def run(_thing):
        raise Miss("<b> first", "nothing & more", "look at the loop")

    make(run)
    verdict = check("zz test", 1)
    assert verdict.passed is False
    assert str(verdict).splitlines() == [
        "zz test: not right yet",
        "  expected  <b> first",
        "  seen      nothing & more",
        "  hint      look at the loop",
    ]
    assert "&lt;b&gt; first" in verdict._repr_html_()
    assert "nothing &amp; more" in verdict._repr_html_()


def test_an_exception_of_the_learner_is_a_verdict_with_their_lines_only(make):
    def learners():
        return {}["nowhere"]

    make(bounded)
    verdict = check("zz test", learners)
    assert verdict.passed is False
    assert verdict.seen == "KeyError: 'nowhere'"
    assert "in learners" in verdict.details
    assert "portal.py" not in verdict.details
    assert "crossing.py" not in verdict.details


def test_an_interrupt_gets_through(make):
    def run(_thing):
        raise KeyboardInterrupt

    make(run)
    with pytest.raises(KeyboardInterrupt):
        check("zz test", 1)


def test_an_unknown_name_says_which_are_known():
    with pytest.raises(KeyError, match="expected the name of an exercise, got '77 nothing'"):
        check("77 nothing", 1)
    with pytest.raises(KeyError, match="expected the name"):
        hint("no such")


# --- hints --------------------------------------------------------------------------------------


def test_hints_are_folded_and_asking_again_gives_the_same(make):
    make(lambda: None)
    for _ in range(3):
        html = hint("zz test")._repr_html_()
        assert html.count("<details>") == 3
        assert "<details open>" not in html
        assert "it is &lt;this&gt;" in html
        assert "look here" not in repr(hint("zz test"))


def test_hints_open_one_by_one_as_text(make):
    make(lambda: None)
    assert repr(hint("zz test", 1)).splitlines() == [
        "hint 1 of 2: look here",
        "hint 2 of 2 is folded: hint('zz test', 2) opens it",
    ]
    assert (
        repr(hint("zz test", 3))
        .splitlines()[-1]
        .startswith("the solution: It is in solutions/zz.py.")
    )
    assert hint("zz test", 2)._repr_html_().count("<details open>") == 2
    assert repr(hint("zz test", 99)) == repr(hint("zz test", 3))


# --- bounded ------------------------------------------------------------------------------------


def test_bounded_returns_what_a_function_or_a_coroutine_function_returns():
    async def later(number):
        await asyncio.sleep(0)
        return number + 1

    assert bounded(divmod, 7, 2) == (3, 1)
    assert bounded(later, 1) == 2


def test_an_endless_loop_is_stopped_and_named():
    ended = threading.Event()

    def spins():
        try:
            while True:
                pass
        finally:
            ended.set()

    with pytest.raises(Miss) as caught:
        bounded(spins, timeout_s=0.2, expected="a list")
    assert caught.value.expected == "a list within 0.2 s"
    assert "still running: spins() at test_exercises.py:" in caught.value.seen
    assert ended.wait(5)  # it burns no core any more


def test_a_call_that_blocks_holds_nobody():
    let_go = threading.Event()
    began_s = time.monotonic()
    with pytest.raises(Miss, match="still running"):
        bounded(let_go.wait, timeout_s=0.2)
    assert time.monotonic() - began_s < 4
    let_go.set()


def test_the_end_of_the_program_is_a_miss():
    with pytest.raises(Miss, match="SystemExit"):
        bounded(exit)


# --- the bench ----------------------------------------------------------------------------------


def test_a_probe_sees_the_wire_of_each_peer():
    with Probe(echo) as probe:
        ada, ben = probe.connect("/ada"), probe.connect("/ben?x=1")
        ada.send("one")
        ben.send(b"\x00\xff")
        assert ada.recv("an echo") == "one"
        assert ben.recv("an echo") == b"\x00\xff"
        assert [(f.sender, f.opcode, f.payload) for f in ada.frames] == [
            ("client", 1, b"one"),
            ("server", 1, b"one"),
        ]
        assert [f.payload for f in ben.frames] == [b"\x00\xff"] * 2
        assert describe(ada.frames[0], ada.frames[0].at_s) == "text 'one' from the client at 0.0 ms"
        assert describe(ben.frames[1]).startswith("binary 00 ff from the server at ")
        assert ada.seen().startswith("text 'one' from the client at ")
    assert ada.client.close_code is not None
    assert not probe.server.is_serving
    assert not left_open().connections


def test_raw_bytes_reach_the_server_as_they_are():
    with Probe(echo) as probe:
        peer = probe.connect()
        peer.send_raw(bytes.fromhex("81 85 37 fa 21 3d 7f 9f 4d 51 58"))
        assert peer.recv("an echo") == "Hello"  # RFC 6455 §5.7's example
        assert peer.frames[0].raw == bytes.fromhex("81 85 37 fa 21 3d 7f 9f 4d 51 58")


def test_silence_is_a_miss_that_says_what_was_on_the_wire():
    async def silent(websocket):
        await websocket.wait_closed()

    with pytest.raises(Miss) as caught, Probe(silent, wait_s=0.1) as probe:
        peer = probe.connect()
        peer.send("anybody?")
        peer.recv("an answer", "say something")
    assert caught.value.expected == "an answer"
    assert "no message within 0.1 s" in caught.value.seen
    assert "text 'anybody?' from the client at " in caught.value.seen
    assert caught.value.hint == "say something"


def test_a_close_instead_of_a_message_is_said_with_its_code():
    async def leaves(websocket):
        await websocket.close(4321, "no")

    with pytest.raises(Miss, match=r"on the wire: close 4321 .* from the server at "):
        with Probe(leaves) as probe:
            probe.connect().recv("an answer")


def test_what_the_handler_raised_goes_with_the_miss():
    async def fails(websocket):
        raise ValueError("oh no")

    with pytest.raises(Miss, match="Your handler raised ValueError: oh no") as caught:
        with Probe(fails) as probe:
            probe.connect().recv("an answer")
    assert isinstance(caught.value.__cause__, ValueError)


def test_a_stub_of_a_handler_is_not_yet(make):
    def run(handler):
        with Probe(handler) as probe:
            probe.connect().recv("an answer")

    async def stub(websocket):
        raise NotYet

    async def fine(websocket):
        await websocket.send("x")

    make(run)
    assert check("zz test", stub).passed is None
    assert check("zz test", fine).passed is True


@pytest.mark.parametrize("wrong", [42, "echo", lambda: None, echo])
def test_what_is_no_handler_is_a_miss(wrong):
    if wrong is echo:

        def wrong(websocket):
            pass

    with pytest.raises(Miss) as caught:
        Probe(wrong)
    assert caught.value.expected == "`async def handler(websocket)`"


def test_a_handler_that_blocks_holds_neither_the_check_nor_the_lab():
    let_go = threading.Event()

    async def blocks(websocket):
        let_go.wait(60)

    other = wslab.serve(echo)
    began_s = time.monotonic()
    with pytest.raises(Miss) as caught:
        with Probe(blocks, wait_s=0.2) as probe:
            peer = probe.connect()
            with wslab.connect(other) as client:  # the lab goes on meanwhile
                client.send("still here")
                assert client.recv(timeout=5) == "still here"
            peer.recv("an answer")
    assert "the handler holds its event loop: blocks() at test_exercises.py:" in caught.value.seen
    assert time.monotonic() - began_s < 8
    let_go.set()


def test_a_handler_that_spins_is_stopped():
    ended = threading.Event()

    async def spins(websocket):
        try:
            while True:
                pass
        finally:
            ended.set()

    with pytest.raises(Miss, match="holds its event loop: spins"):
        with Probe(spins, wait_s=0.2) as probe:
            probe.connect().recv("an answer")
    assert ended.wait(5)


def test_a_handler_that_swallows_cancellations_is_cut_off():
    async def stubborn(websocket):
        for _ in range(3):
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(60)

    began_s = time.monotonic()
    with Probe(stubborn) as probe:
        probe.connect()
    assert time.monotonic() - began_s < 15


def test_until_waits_and_then_says_what_is():
    with Probe(echo, wait_s=0.1) as probe:
        probe.until(lambda: True, "it", lambda: "")
        with pytest.raises(Miss, match=r"expected two peers; seen: 1") as caught:
            probe.connect()
            probe.until(lambda: len(probe.peers) > 1, "two peers", lambda: str(len(probe.peers)))
        assert caught.value.hint == ""


def test_nonces_differ():
    assert len({nonce() for _ in range(50)}) == 50
    assert len(nonce()) == 8


# --- what is left -------------------------------------------------------------------------------


def test_left_open_counts_and_starts_nothing():
    threads = threading.active_count()
    assert str(left_open()) == "open connections: 0, servers: 0, tasks: 0"
    assert threading.active_count() == threads
    server = wslab.serve(echo)
    wslab.connect(server)
    left = left_open()
    assert left
    assert (left.connections, left.servers) == (1, 1)
    assert left.tasks > 0
    wslab.shutdown()
    assert not left_open()
