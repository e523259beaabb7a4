"""What user code let through, as text: nothing is kept alive, nothing grows, nothing raises."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import threading
import weakref

import pytest

import wslab
from tests.peers import until
from wslab.failures import (
    MAX_MESSAGE_CHARS,
    MAX_TRACEBACK_CHARS,
    Failure,
    FailureLog,
    is_around,
    users_traceback,
)
from wslab.failures import __file__ as OURS


class Odd(Exception):
    """Its text, its notes and what it compares to are code, and that raises too."""

    def __init__(self, failure):
        super().__init__()
        self.failure = failure

    def __str__(self):
        raise self.failure

    __repr__ = __str__


class OddNotes(Exception):
    @property
    def __notes__(self):
        raise SystemExit


def raised(exc):
    try:
        raise exc
    except BaseException as caught:
        return caught


def test_half_a_surrogate_pair_is_written_so_that_a_log_can_hold_it():
    failure = Failure.of(raised(ValueError("half \ud83d")), where="x")
    assert failure.message == "half \\ud83d"
    for text in (failure.message, failure.traceback, str(failure)):
        text.encode()


@pytest.mark.parametrize(
    ("exc", "kind", "summary"),
    [
        (ValueError("no"), "ValueError", "ValueError: no"),
        (StopIteration(), "StopIteration", "StopIteration"),
        (SystemExit(3), "SystemExit", "SystemExit: 3"),
        (asyncio.CancelledError(), "asyncio.exceptions.CancelledError", "CancelledError"),
        (
            json.JSONDecodeError("no", "{", 1),
            "json.decoder.JSONDecodeError",
            "JSONDecodeError: no: line 1 column 2 (char 1)",
        ),
        (
            ExceptionGroup("two", [ValueError(), KeyError("k")]),
            "ExceptionGroup",
            "ExceptionGroup: two (2 sub-exceptions)",
        ),
        (Odd(ValueError()), "tests.test_failures.Odd", "Odd: (its text raised ValueError)"),
        (Odd(SystemExit()), "tests.test_failures.Odd", "Odd: (its text raised SystemExit)"),
        (OddNotes("x"), "tests.test_failures.OddNotes", "OddNotes: x"),
    ],
)
def test_whatever_was_raised_can_be_said(exc, kind, summary):
    failure = Failure.of(raised(exc), where="handler", who="3fa2b1")
    assert (failure.kind, failure.summary) == (kind, summary)
    assert str(failure) == f"{summary} (in handler, for 3fa2b1)"
    assert kind.rpartition(".")[2] in failure.traceback


def test_a_failure_holds_neither_the_exception_nor_its_frames():
    class Big:
        pass

    class Mine(Exception):  # a builtin's takes no weak reference
        pass

    def fail():
        big = Big()
        alive.append(weakref.ref(big))
        raise Mine("x", big)

    alive: list[weakref.ref[object]] = []
    try:
        fail()
    except Mine as exc:
        alive.append(weakref.ref(exc))
        failure = Failure.of(exc, where="fail")
    gc.collect()
    assert [reference() for reference in alive] == [None, None]
    assert "in fail" in failure.traceback


def test_the_traceback_begins_with_the_users_code():
    async def handler(websocket):
        json.loads("{")

    with wslab.serve(handler) as server, wslab.connect(server):
        until(lambda: server.errors)
        lines = server.errors[0].traceback.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[1].startswith(f'  File "{__file__}", line ')
    assert 'decoder.py", line' in "".join(lines)  # what it called stays


def test_where_there_is_only_code_around_all_of_it_is_shown():
    try:
        json.loads("{")
    except ValueError as exc:
        around = exc.with_traceback(exc.__traceback__.tb_next)
    assert 'decoder.py", line' in users_traceback(around)


def test_what_is_around_a_users_code():
    assert is_around(OURS)
    assert is_around(json.__file__)
    assert is_around(asyncio.__file__)
    assert is_around("<frozen importlib._bootstrap>")
    assert not is_around(__file__)
    assert not is_around(pytest.__file__)  # installed: somebody may serve a library's handler
    assert not is_around(OURS.replace("failures.py", "examples/chat.py"))


def test_a_long_text_and_a_deep_stack_are_cut():
    def deep(n):
        return deep(n - 1) if n else int("9" * 100_000 + "x")

    def mutual(n):
        return deep(n)

    try:
        mutual(300)
    except ValueError as exc:
        exc.args = ("y" * 1_000_000,)
        failure = Failure.of(exc, where="deep")
    assert len(failure.message) < MAX_MESSAGE_CHARS + 100
    assert failure.message.endswith("... (998,000 characters more)")
    assert len(failure.traceback) < MAX_TRACEBACK_CHARS + 100
    assert "characters left out" in failure.traceback
    assert failure.size_bytes < 40_000


def test_the_log_is_bounded_in_number():
    log = FailureLog(3)
    assert repr(log) == "<no failures>"
    for number in range(5):
        log.append(Failure.of(ValueError(number), where="h", at=float(number)))
    assert [failure.message for failure in log] == ["2", "3", "4"]
    assert [failure.message for failure in reversed(log)] == ["4", "3", "2"]
    assert (log[-1].message, [f.message for f in log[:2]]) == ("4", ["2", "3"])
    assert (len(log), log.seen, log.dropped) == (3, 5, 2)
    assert repr(log).splitlines() == [
        "2 older ones are no longer kept",
        *(f"ValueError: {number} (in h)" for number in (2, 3, 4)),
    ]
    log.clear()
    assert (len(log), log.seen, log.dropped, log.size_bytes) == (0, 5, 5, 0)


def test_the_log_is_bounded_in_bytes_whatever_a_peer_sends():
    async def parse(websocket):
        # What many a handler does: the peer's text is in the exception's, and it is chained.
        async for message in websocket:
            try:
                int(message)
            except ValueError:
                raise LookupError(message) from None

    with wslab.serve(parse) as server:
        for _ in range(30):
            with wslab.connect(server, record=False) as client:
                client.send("\N{PILE OF POO}" * 100_000)
                client.close()
        until(lambda: server.errors.seen == 30)
        assert server.errors.size_bytes <= 512 * 2**10
        assert server.errors.size_bytes == sum(each.size_bytes for each in server.errors)
        assert server.errors.dropped == 30 - len(server.errors) > 0
        assert repr(server.errors).startswith(f"{server.errors.dropped} older ones are no longer")


def test_listeners_hear_what_is_kept_and_what_comes():
    log, later = FailureLog(2), FailureLog(2)
    heard: list[str] = []
    log.append(Failure.of(ValueError(1), where="h"))
    assert not log.has_listeners
    log.listen(lambda failure: heard.append(failure.message), kept=True)
    log.listen(lambda failure: failure.no_such_thing if len(heard) > 1 else None)
    log.listen(later.append)
    log.append(Failure.of(ValueError(2), where="h"))
    assert heard == ["1", "2"]
    assert [failure.message for failure in later] == ["2"]
    log.unlisten(later.append)
    log.unlisten(later.append)
    log.append(Failure.of(ValueError(3), where="h"))
    assert (heard, later.seen, log.has_listeners) == (["1", "2", "3"], 1, True)


def test_the_end_of_a_traceback_is_what_was_raised():
    failure = Failure.of(ValueError("why"), where="h")
    assert failure.end_of_traceback(100) == failure.traceback == "ValueError: why\n"
    assert failure.end_of_traceback(4) == "...\nwhy\n"


def test_many_threads_may_record_and_read():
    log = FailureLog(10)
    failure = Failure.of(ValueError("x"), where="h")

    def record():
        for _ in range(500):
            log.append(failure)
            assert len(list(log)) <= 10

    threads = [threading.Thread(target=record) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert (log.seen, len(log), log.size_bytes) == (2000, 10, 10 * failure.size_bytes)


def test_dead_connections_and_their_locals_are_let_go():
    connections = []

    async def handler(websocket):
        connections.append(weakref.ref(websocket))
        blob = bytearray(1_000_000)
        raise ValueError(len(blob))

    # pytest keeps what is logged, exceptions included; this logger has no parent.
    with wslab.serve(handler, logger=logging.Logger("apart")) as server:
        for _ in range(5):
            wslab.connect(server, record=False).close()
        until(lambda: server.errors.seen == 5 and not server.connections)

        def all_gone():
            gc.collect()
            return all(reference() is None for reference in connections)

        until(all_gone)
        assert [error.message for error in server.errors] == ["1000000"] * 5
