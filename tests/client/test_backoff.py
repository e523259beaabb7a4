"""Whether and when to come back: what may pass is tried again, what was meant is final."""

from __future__ import annotations

import random
import socket
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.datastructures import Headers
from websockets.exceptions import (
    ConnectionClosedError,
    ConnectionClosedOK,
    InvalidMessage,
    InvalidStatus,
    InvalidUpgrade,
)
from websockets.frames import Close
from websockets.http11 import Response

from wslab.client.backoff import (
    STABLE_S,
    Backoff,
    Reconnect,
    close_code_of,
    may_pass,
    told_delay_s,
)

BROKEN = ConnectionClosedError(None, None)


# How it is asked for.


def test_the_argument():
    assert Reconnect.from_argument(False) is None
    assert Reconnect.from_argument(True) == Reconnect(0.1, 30.0, 2.0, None)
    mine = Reconnect(attempts=3)
    assert Reconnect.from_argument(mine) is mine
    for wrong in (None, 1, "yes", {}):
        with pytest.raises(TypeError, match=r"expected reconnect=True, False or wslab\.Reconnect"):
            Reconnect.from_argument(wrong)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"first_delay_s": -1}, "first_delay_s=-1"),
        ({"first_delay_s": 2, "max_delay_s": 1}, "max_delay_s=1"),
        ({"max_delay_s": float("inf")}, "max_delay_s=inf"),
        ({"first_delay_s": float("nan")}, "nan"),
        ({"factor": 0.5}, "factor of at least 1, got 0.5"),
        ({"attempts": 0}, "attempts of at least 1, or None, got 0"),
    ],
)
def test_what_makes_no_sense(fields, told):
    with pytest.raises(ValueError, match=told):
        Reconnect(**fields)


# When.


def test_the_bounds_grow_and_stop_growing():
    policy = Reconnect()
    assert [policy.bound_s(n) for n in range(1, 6)] == [0.1, 0.2, 0.4, 0.8, 1.6]
    assert policy.bound_s(10) == policy.bound_s(10_000) == 30.0
    assert Reconnect(first_delay_s=0).bound_s(50) == 0


@given(st.integers(0, 2**32), st.integers(1, 60))
def test_full_jitter(seed, count):
    policy = Reconnect(random=random.Random(seed).random)
    backoff, again = Backoff(policy), random.Random(seed)
    for nth in range(1, count):
        delay_s = backoff.next_delay_s()
        assert delay_s == policy.bound_s(nth) * again.random()
        assert 0 <= delay_s < policy.bound_s(nth) <= 30.0
        assert backoff.attempt == nth


def test_jitter_spreads_evenly():
    policy = Reconnect(first_delay_s=1.0, random=random.Random(3).random)
    delays = sorted(Backoff(policy).next_delay_s() for _ in range(1000))
    assert delays[0] < 0.02
    assert 0.45 < delays[500] < 0.55
    assert delays[-1] > 0.98


def test_a_connection_that_lasted_starts_afresh_and_a_short_one_does_not():
    backoff = Backoff(Reconnect(attempts=3, random=lambda: 1.0))
    assert [backoff.next_delay_s() for _ in range(4)] == [0.1, 0.2, 0.4, None]
    backoff.ended(STABLE_S - 0.1)  # a server that takes connections and drops them
    assert backoff.next_delay_s() is None
    backoff.ended(STABLE_S)
    assert [backoff.next_delay_s() for _ in range(4)] == [0.1, 0.2, 0.4, None]


def test_a_server_that_says_when_is_heeded_once_and_within_the_bound():
    backoff = Backoff(Reconnect(max_delay_s=4.0, random=lambda: 1.0))
    backoff.told(2.5)
    assert [backoff.next_delay_s() for _ in range(3)] == [2.6, 0.2, 0.4]
    backoff.told(3600.0)
    assert backoff.next_delay_s() == 4.0


@pytest.mark.parametrize(
    ("reason", "delay_s"),
    [
        (ConnectionClosedError(Close(1012, "restart, come back in 2.5 s"), None, None), 2.5),
        (ConnectionClosedError(Close(1012, "restart"), None, None), 0.0),
        (ConnectionClosedError(None, Close(1011, "come back in 9 s"), None), 0.0),
        (InvalidStatus(Response(503, "", Headers({"Retry-After": "7"}))), 7.0),
        (InvalidStatus(Response(503, "", Headers({"Retry-After": "soon"}))), 0.0),
        (InvalidStatus(Response(503, "", Headers())), 0.0),
        (TimeoutError(), 0.0),
    ],
)
def test_what_a_server_says_of_when(reason, delay_s):
    assert told_delay_s(reason) == delay_s


# Whether.


@pytest.mark.parametrize("code", [1001, 1006, 1011, 1012, 1013, 1014])
def test_codes_that_may_pass(code):
    assert may_pass(code)


@pytest.mark.parametrize(
    "code", [1000, 1002, 1003, 1005, 1007, 1008, 1009, 1010, 1015, 3000, 3999, 4000, 4409, 4999]
)
def test_codes_that_are_final(code):
    assert not may_pass(code)


@pytest.mark.parametrize(
    ("end", "code"),
    [
        (BROKEN, 1006),
        (ConnectionClosedError(Close(1012, ""), Close(1012, ""), True), 1012),
        (ConnectionClosedError(Close(1012, ""), None, None), 1012),
        # This side spoke first: the other one's echo says nothing.
        (ConnectionClosedError(Close(1002, ""), Close(1009, ""), False), 1009),
        (ConnectionClosedError(None, Close(1011, "keepalive ping timeout"), None), 1011),
        (ConnectionClosedOK(Close(1000, ""), Close(1000, ""), True), 1000),
    ],
)
def test_the_code_of_whoever_spoke_first(end, code):
    assert close_code_of(end) == code
    assert may_pass(end) is (code in (1006, 1011, 1012))


def refusal(status):
    return InvalidStatus(Response(status, "", Headers()))


def caused(exc, cause):
    exc.__cause__ = cause
    return exc


@pytest.mark.parametrize(
    "exc",
    [
        ConnectionRefusedError(),
        OSError(113, "No route to host"),
        TimeoutError(),
        socket.gaierror(socket.EAI_AGAIN, "try again"),
        ssl.SSLEOFError(),
        caused(InvalidMessage("did not receive a valid HTTP response"), EOFError()),
        *map(refusal, (408, 425, 429, 500, 502, 503, 504)),
    ],
    ids=repr,
)
def test_failures_that_may_pass(exc):
    assert may_pass(exc)


@pytest.mark.parametrize(
    "exc",
    [
        ssl.SSLCertVerificationError(),
        InvalidMessage("did not receive a valid HTTP response"),
        caused(InvalidMessage("no HTTP"), ValueError("unsupported protocol")),
        InvalidUpgrade("Upgrade", "h2c"),
        ValueError("a bug"),
        *map(refusal, (200, 301, 400, 401, 403, 404, 410, 426)),
    ],
    ids=repr,
)
def test_failures_that_are_final(exc):
    assert not may_pass(exc)
