"""The end: when asked, and in the last second of the interpreter."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import threading
import time
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect as sync_connect

from tests.loops.rig import SOON_S
from tests.loops.scripts import ENDLESS, PROJECT, ends_within, loops, options, script
from wslab.errors import LoopBlocked, WrongThread
from wslab.loops import portals
from wslab.loops.shutdown import shutdown


def test_shutdown_on_the_labs_own_loop_is_refused() -> None:
    with pytest.raises(WrongThread, match=r"shutdown\(\)"):
        portals.lab().call(shutdown)
    assert portals.lab().call(lambda: "alive") == "alive"


def test_shutdown_names_who_holds_the_loop_and_works_once_it_lets_go() -> None:
    import wslab

    held, let_go = threading.Event(), threading.Event()

    async def blocking(websocket: Any) -> None:
        await websocket.recv()
        held.set()
        let_go.wait(20)

    server = wslab.serve(blocking)
    client = wslab.connect(server)
    client.send("block")
    assert held.wait(SOON_S)
    began = time.monotonic()
    with pytest.raises(LoopBlocked, match=r"blocking\(\) at test_shutdown.py.*let_go.wait\(20\)"):
        shutdown(timeout=0.2)
    assert time.monotonic() - began < 2.0
    let_go.set()
    shutdown()
    assert not server.is_serving
    assert client.close_code is not None


@options
@loops
def test_an_exit_closes_all_within_a_second_and_prints_nothing(
    options: tuple[str, ...], uvloop: bool
) -> None:
    ends_within(1.0, ENDLESS, *options, uvloop=uvloop)


@options
@loops
def test_an_exit_does_not_wait_for_a_handler_that_blocks(
    options: tuple[str, ...], uvloop: bool
) -> None:
    source = """
        import threading, time, wslab
        held = threading.Event()
        async def blocking(websocket):
            await websocket.recv()
            held.set()
            time.sleep(60)
        server = wslab.serve(blocking)
        client = wslab.connect(server)
        client.send("block")
        assert held.wait(5)
    """
    ends_within(
        1.5, source, *options, uvloop=uvloop
    )  # 0.7 s of grace, and the interpreter's own end


@loops
def test_an_exit_does_not_wait_for_a_thread_that_a_handler_waits_for(uvloop: bool) -> None:
    source = """
        import asyncio, threading, time, wslab
        begun = threading.Event()
        def work():
            begun.set()
            time.sleep(60)
        async def handler(websocket):
            await asyncio.to_thread(work)
        server = wslab.serve(handler)
        client = wslab.connect(server)
        assert begun.wait(5)
    """
    ends_within(1.5, source, uvloop=uvloop)


@loops
def test_an_exit_with_handlers_that_swallow_cancellation_is_bounded(uvloop: bool) -> None:
    source = ENDLESS + "\n    third = wslab.connect(wslab.serve(swallowing))"
    ends_within(1.5, source, uvloop=uvloop)


@loops
def test_an_exit_by_an_exception_closes_too(uvloop: bool) -> None:
    done, _ = script(ENDLESS + "\n    raise SystemExit(7)", uvloop=uvloop)
    assert (done.returncode, done.stderr) == (7, "")


LAST_SECOND = """
    import asyncio, sys, threading, time
    import wslab
    hub = wslab.Hub()
    @hub.on("plain")
    def plain(client, data):
        return data
    @hub.on("thread")
    async def thread(client, data):
        return await asyncio.to_thread(lambda: data)
    @hub.on("threads")
    async def threads(client, data):
        return (await asyncio.gather(*(asyncio.to_thread(time.sleep, 0.001) for _ in range(4)),
                                     asyncio.to_thread(lambda: data)))[-1]
    server = wslab.serve(hub)
    print(server.port, flush=True)
    sys.stdin.readline()
    if sys.argv[1] == "goes on":  # until the client has had 200 more answers
        threading.Thread(target=sys.stdin.readline).start()
"""


@loops
@pytest.mark.parametrize("other_thread", ["goes on", "is not there"])
@pytest.mark.parametrize("is_late", [False, True])  # whether a thread is wanted first in the end
def test_to_the_last_second_clients_get_answers_and_then_1001(
    uvloop: bool, other_thread: str, is_late: bool
) -> None:
    # Python closes its own pools of threads as soon as the main thread has ended, and from 3.12 on
    # starts no further thread; another one may go on for long, and so does a server.
    events = ("plain", "thread", "threads")
    head = "" if uvloop else "import sys; sys.modules['uvloop'] = None\n"
    with subprocess.Popen(
        [sys.executable, "-W", "error", "-c", head + textwrap.dedent(LAST_SECOND), other_thread],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        url = f"ws://127.0.0.1:{int(process.stdout.readline())}/"
        said, count = set(), 0
        with sync_connect(url, proxy=None) as websocket:
            with pytest.raises(ConnectionClosed) as ended:
                while True:
                    count += 1
                    event = events[0 if is_late and count < 60 else count % 3]
                    websocket.send(json.dumps({"event": event, "data": count, "id": count}))
                    while (told := json.loads(websocket.recv(timeout=20))).get("answer") != count:
                        pass
                    said.add(str(told.get("error", "")))
                    if count in (30, 230):
                        process.stdin.write("\n")
                        process.stdin.flush()
        assert ended.value.rcvd is not None
        assert ended.value.rcvd.code == 1001
        assert said == {""}
        assert count > (230 if other_thread == "goes on" else 30)
        process.stdin.close()
        assert process.wait(20) == 0
        assert process.stderr.read() == ""
