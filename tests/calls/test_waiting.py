"""Waits of plain threads: never longer than a slice at a time, and as long as was asked for."""

from __future__ import annotations

import concurrent.futures
import math
import queue
import threading
import time

import pytest

import wslab
from wslab.calls.waiting import (
    SLICE_S,
    any_done_within,
    deadline_after,
    finite,
    finite_times,
    is_set_within,
    join,
    left_until,
    pause,
    result_of,
)


class Watched(concurrent.futures.Future):
    """A future that notes for how long it was waited for at a time."""

    def __init__(self, after=math.inf):
        super().__init__()
        self.waits = []
        self.after = after

    def result(self, timeout=None):
        self.waits.append(timeout)
        if len(self.waits) > self.after and not self.done():
            self.set_result("here")
        return super().result(0 if timeout is None or timeout > SLICE_S else min(timeout, 0.01))


@pytest.mark.parametrize("timeout", [None, math.inf, 60])
def test_a_long_wait_is_cut_into_slices(timeout):
    future = Watched(after=3)
    assert result_of(future, timeout) == "here"
    assert future.waits[:4] == [SLICE_S] * 4


@pytest.mark.parametrize("timeout", [0, -1])
def test_no_time_is_one_look(timeout):
    future = Watched()
    with pytest.raises(TimeoutError):
        result_of(future, timeout)
    assert future.waits == [0]


def test_a_pause_is_a_slice_at_the_most():
    seen = []
    assert pause(lambda timeout: seen.append(timeout) or "news") == "news"
    pause(lambda timeout: seen.append(timeout), 0.05)
    pause(lambda timeout: seen.append(timeout), 60)
    assert seen == [SLICE_S, 0.05, SLICE_S]
    with pytest.raises(queue.Empty):
        pause(queue.SimpleQueue().get, 0.0)


def test_what_takes_too_long_is_cancelled():
    future = concurrent.futures.Future()
    with pytest.raises(TimeoutError):
        result_of(future, 0.01, cancels=True)
    assert future.cancelled()
    kept = concurrent.futures.Future()
    with pytest.raises(TimeoutError):
        result_of(kept, 0.01)
    assert not kept.done()


def test_what_is_being_done_is_waited_for():
    future = concurrent.futures.Future()
    future.set_running_or_notify_cancel()
    threading.Timer(0.05, future.set_result, ["done"]).start()
    assert result_of(future, 0.01, cancels=True) == "done"


def test_an_interrupt_cancels():
    class Interrupted(concurrent.futures.Future):
        def result(self, timeout=None):
            raise KeyboardInterrupt

    future = Interrupted()
    with pytest.raises(KeyboardInterrupt):
        result_of(future, None, cancels=True)
    assert future.cancelled()


def test_a_wait_ends_with_its_time():
    began_s = time.monotonic()
    with pytest.raises(TimeoutError):
        result_of(concurrent.futures.Future(), 0.3)
    assert not is_set_within(threading.Event(), 0.0)
    assert not any_done_within([concurrent.futures.Future()], 0.01)
    assert time.monotonic() - began_s >= 0.3


def test_a_futures_own_timeout_error_is_its_own():
    future = concurrent.futures.Future()
    future.set_exception(TimeoutError("its own"))
    with pytest.raises(TimeoutError, match="its own"):
        result_of(future, None)


def test_events_futures_and_threads():
    event, future = threading.Event(), concurrent.futures.Future()
    thread = threading.Thread(target=is_set_within, args=(event, None))
    thread.start()
    assert not join(thread, 0.01)
    event.set()
    assert is_set_within(event, None)
    assert join(thread, math.inf)
    future.set_result(None)
    assert any_done_within((future, concurrent.futures.Future()), None)


def test_times_without_end():
    assert deadline_after(None) == deadline_after(math.inf) == math.inf
    assert left_until(math.inf) == math.inf
    assert left_until(time.monotonic() - 1) == 0
    assert (finite(None), finite(math.inf), finite(2.5)) == (None, None, 2.5)
    assert finite_times({"ping_timeout": math.inf, "max_size": math.inf}) == {
        "ping_timeout": None,
        "max_size": math.inf,
    }


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


@pytest.mark.parametrize("end", [None, math.inf])
def test_every_timeout_takes_none_and_inf_alike(end):
    endless = {"open_timeout": end, "ping_interval": end, "ping_timeout": end, "close_timeout": end}
    server = wslab.serve(echo, **endless)
    client = wslab.connect(server, **endless)
    client.send("one", timeout=end)
    assert client.recv(timeout=end) == "one"
    client.send(["t", "wo"], timeout=end)
    assert client.recv(timeout=end) == "two"
    client.send((part for part in ("th", "ree")), timeout=end)
    assert client.recv(timeout=end) == "three"
    assert client.ping(timeout=end) > 0
    client.close(timeout=end)
    server.restart(timeout=end)
    server.stop(timeout=end)
    assert wslab.run(abs, -1, timeout=end) == 1

    hub = wslab.Hub()

    @hub.on("ask")
    async def ask(client, data):
        return data

    with wslab.serve(hub) as server, wslab.connect(server, reconnect=True) as client:
        client.emit("ask", 1, timeout=end)
        assert client.call("ask", 2, timeout=end) == 2
        client.close(timeout=end)
    wslab.shutdown(timeout=end)
