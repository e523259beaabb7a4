"""The tests' own tools: leaks are seen, and a browser, async tests and plain tests coexist."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading
from subprocess import PIPE

import pytest

from tests.leaks import Snapshot, wait_for_nothing
from wslab.network import traffic
from wslab.network.memory import MemoryNetwork

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


def test_a_connection_that_was_not_told_that_it_is_lost_is_seen():
    before = Snapshot.take()
    end = traffic.Traffic("abcdef")
    end.address = ("127.0.0.1", 1)
    traffic.introduce(end)
    [left] = wait_for_nothing(before, deadline_s=0.1)
    assert "from ('127.0.0.1', 1)" in left
    assert "abcdef" in left
    traffic.forget(end)
    assert wait_for_nothing(before) == []


@linux
def test_a_listening_socket_is_seen():
    before = Snapshot.take()
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        [left] = wait_for_nothing(before, deadline_s=0.1)
        assert f"tcp port {port} to 0, listening" in left
    assert wait_for_nothing(before) == []


def test_a_thread_is_seen_until_it_ends():
    before = Snapshot.take()
    done = threading.Event()
    thread = threading.Thread(target=done.wait, name="left-over", daemon=True)
    thread.start()
    assert wait_for_nothing(before, deadline_s=0.1) == ["thread 'left-over' (daemon)"]
    done.set()
    assert wait_for_nothing(before) == []


@linux
def test_a_child_process_is_seen():
    before = Snapshot.take()
    script = "echo ready; read line"  # a name of its own it has only once it runs
    with subprocess.Popen(["sh", "-c", script], stdin=PIPE, stdout=PIPE) as child:
        assert child.stdout.readline() == b"ready\n"
        left = wait_for_nothing(before, deadline_s=0.1)
        child.communicate(b"\n")
    assert left == [f"child process {child.pid}: sh -c {script}"]
    assert wait_for_nothing(before) == []


def test_a_network_in_memory_is_seen_until_it_is_out_of_use():
    before = Snapshot.take()
    with MemoryNetwork():
        left = wait_for_nothing(before, deadline_s=0.1)
        assert left == ["a MemoryNetwork in use, with 0 connections"]
    assert wait_for_nothing(before) == []


def test_a_task_on_the_labs_loop_is_seen_and_the_loop_itself_is_not():
    from wslab.loops import portals

    before = Snapshot.take()
    lab = portals.lab()
    assert lab.call(asyncio.sleep, 0, "ran") == "ran"
    assert wait_for_nothing(before, deadline_s=0.5) == []
    future = lab.submit(asyncio.sleep, 60)
    assert lab.call(asyncio.sleep, 0, "ran") == "ran"  # and so the one before has begun
    left = wait_for_nothing(before, deadline_s=0.1)
    future.cancel()
    assert len(left) == 1
    assert "task on the lab's loop" in left[0]
    assert wait_for_nothing(before) == []


# Browser tests run in this order, so that from the second one on a browser is there.


@pytest.mark.browser
def test_the_browser_is_driven_without_await(page, expect):
    heard = []
    page.on("console", lambda message: heard.append((message.type, message.text)))
    page.set_content("<button onclick=\"console.log('pressed'); this.textContent='on'\">off")
    with page.expect_event("console") as event:
        page.get_by_role("button").click()
    assert event.value.text == "pressed"
    assert heard == [("log", "pressed")]
    expect(page.locator("button")).to_have_text("on")
    assert page.locator("button").first.inner_text() == "on"
    assert [button.inner_text() for button in page.locator("button").all()] == ["on"]
    assert page.evaluate("n => [n, {n}]", 2) == [2, {"n": 2}]
    page.on("dialog", lambda dialog: dialog.accept())
    assert page.evaluate("confirm('go on?')") is True


@pytest.mark.browser
def test_a_listener_can_be_taken_off(page):
    heard = []

    def listen(message):
        heard.append(message.text)

    page.on("console", listen)
    page.evaluate("console.log('one')")
    page.remove_listener("console", listen)
    page.evaluate("console.log('two')")
    assert heard == ["one"]


@pytest.mark.browser
@pytest.mark.asyncio
async def test_an_async_test_runs_beside_the_browser(chromium):
    assert chromium.is_connected()
    assert asyncio.get_running_loop().is_running()
    assert await asyncio.to_thread(lambda: 1) == 1


@pytest.mark.browser
def test_asyncio_run_works_beside_the_browser(chromium):
    assert chromium.is_connected()
    assert asyncio.run(asyncio.sleep(0, "ran")) == "ran"


@pytest.mark.browser
@pytest.mark.asyncio
async def test_the_browser_talks_to_this_tests_own_loop(page):
    from websockets.asyncio.server import serve

    async def echo(websocket):
        async for message in websocket:
            await websocket.send(message)

    script = """port => new Promise((resolve, reject) => {
        const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
        socket.onopen = () => socket.send("hello");
        socket.onmessage = event => { resolve(event.data); socket.close(); };
        socket.onerror = () => reject(new Error("no connection"));
    })"""
    async with serve(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        assert await asyncio.to_thread(page.evaluate, script, port) == "hello"
