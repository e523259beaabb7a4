"""Nested loops: what is pasted from websockets' docs works in a cell, and loses no queued one."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.kernels import PROJECT, Kernel, lost, run_with_nbclient
from wslab.errors import NestingRefused
from wslab.loops import portal

# As a reader pastes it: server and client in one main().
PASTED = """
import asyncio
from websockets.asyncio.client import connect
from websockets.asyncio.server import serve

async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)

async def main():
    async with serve(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with connect(f"ws://127.0.0.1:{port}") as websocket:
            await websocket.send("Hello world!")
            print(await websocket.recv())

asyncio.run(main())
"""
BEHIND = ["behind = 1", "behind += 1", "await asyncio.sleep(0.01)", "behind += 1", "print(behind)"]

SETUP = """
import asyncio, threading, time
import websockets
import wslab
async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)
"""


def statuses(cells: list[Any]) -> list[str]:
    return [f"{cell.status} {cell.error or ''}".strip() for cell in cells]


# asyncio.run() in a cell.


@pytest.mark.kernel
@pytest.mark.parametrize("attempt", [1, 2, 3])
def test_a_pasted_asyncio_run_works_with_all_cells_queued_at_once(attempt: int) -> None:
    with Kernel() as kernel:
        cells = kernel.run_all(["import wslab", "wslab.allow_nested_loops()", PASTED, *BEHIND])
        assert lost(cells) == []
        assert statuses(cells) == ["ok"] * len(cells)
        assert cells[2].text == "Hello world!\n"
        assert cells[-1].text == "3\n"


@pytest.mark.kernel
def test_every_second_cell_nests_and_none_is_lost() -> None:
    with Kernel() as kernel:
        kernel.check("import wslab; wslab.allow_nested_loops(); ran = []")
        sources = [source for n in range(5) for source in (PASTED, f"ran.append({n})")]
        cells = kernel.run_all(sources)
        assert lost(cells) == []
        assert statuses(cells) == ["ok"] * 10
        assert kernel.check("print(ran)") == "[0, 1, 2, 3, 4]\n"


@pytest.mark.kernel
def test_what_it_says_and_that_it_says_it_again() -> None:
    with Kernel() as kernel:
        kernel.check("import wslab, sys; assert 'nest_asyncio2' not in sys.modules")
        assert "cannot be called from a running event loop" in (kernel.run(PASTED).error or "")
        first = kernel.check("wslab.allow_nested_loops()")
        assert "now allowed" in first
        assert "What it costs" in first
        assert "until the kernel restarts" in first
        assert "already allowed" in kernel.check("wslab.allow_nested_loops()")
        kernel.restart()
        kernel.check("import wslab")
        assert "now allowed" in kernel.check("wslab.allow_nested_loops()")


@pytest.mark.kernel
def test_the_labs_own_loop_goes_on_beside_it() -> None:
    """Also the stock loop, which is of the very class that nesting patches while it runs."""
    for head in ("", "import sys; sys.modules['uvloop'] = None\n"):
        with Kernel() as kernel:
            kernel.check(head + SETUP + "server = wslab.serve(echo)\nalice = wslab.connect(server)")
            kernel.check("wslab.allow_nested_loops()")
            talk = "alice.send('x'); assert alice.recv(timeout=5) == 'x'; print(alice.ping() < 5)"
            cells = kernel.run_all([talk, PASTED, talk, "wslab.run(asyncio.sleep, 0)", *BEHIND])
            assert statuses(cells) == ["ok"] * len(cells)
            kernel.check(
                "server.restart(); bob = wslab.connect(server); bob.close(); wslab.shutdown()"
            )
            assert kernel.shutdown() < 5.0


@pytest.mark.kernel
def test_an_interrupt_gets_out_of_a_nested_run_and_the_kernel_goes_on() -> None:
    with Kernel() as kernel:
        kernel.check("import asyncio, wslab; wslab.allow_nested_loops()")
        cell = kernel.send("async def main():\n    print('on', flush=True)\n"
                           "    await asyncio.sleep(60)\nasyncio.run(main())")  # fmt: skip
        kernel.collect([cell], timeout=10, until=lambda: "on" in cell.text)
        time.sleep(0.2)  # into the loop's sleep, where an interrupt is heard
        kernel.interrupt()
        kernel.collect([cell], timeout=10)
        assert cell.interrupted, cell
        cells = kernel.run_all([PASTED, *BEHIND])
        assert statuses(cells) == ["ok"] * len(cells)


@pytest.mark.kernel
def test_under_nbclient_too() -> None:
    document = run_with_nbclient(["import wslab; wslab.allow_nested_loops()", PASTED, *BEHIND])
    assert document.cells[1].outputs[0].text == "Hello world!\n"
    assert document.cells[-1].outputs[0].text == "3\n"


# serve(loop="kernel").


@pytest.mark.kernel
@pytest.mark.parametrize("attempt", [1, 2, 3])
def test_a_server_on_the_kernels_loop_in_a_queued_run(attempt: int) -> None:
    with Kernel() as kernel:
        sources = [
            SETUP,
            "seen = []\n"
            "async def where(websocket):\n"
            "    seen.append(threading.current_thread() is threading.main_thread())\n"
            "    async for message in websocket: await websocket.send(message)",
            "server = wslab.serve(where, loop='kernel'); port = server.port",
            "async with websockets.connect(server.url) as websocket:\n"
            "    await websocket.send('x'); print(await websocket.recv())",
            "server.restart(); print(server.port == port, server.is_serving)",
            "async with websockets.connect(server.url) as websocket:\n"
            "    await websocket.send('y'); print(await websocket.recv())",
            "server.stop(); server.stop(); print(server.is_serving)",
            "print(seen)",
        ]
        cells = kernel.run_all(sources)
        assert lost(cells) == []
        assert statuses(cells) == ["ok"] * len(cells)
        texts = [cell.text for cell in cells]
        assert texts[3:] == ["x\n", "True True\n", "y\n", "False\n", "[True, True]\n"]


@pytest.mark.kernel
def test_a_kernel_server_is_replaced_when_its_cell_runs_again() -> None:
    with Kernel() as kernel:
        kernel.check(SETUP)
        source = "server = wslab.serve(echo, loop='kernel'); print(server.port)"
        port = int(kernel.check(source, cell_id="A"))
        with connect(f"ws://127.0.0.1:{port}/") as client:
            again = kernel.run_all([source, *BEHIND], cell_ids=["A", *"bcdef"])
            assert statuses(again) == ["ok"] * 6
            assert int(again[0].text) == port
            assert (again[0].seconds or 99) < 4.0
            with pytest.raises(ConnectionClosed):
                client.recv(timeout=5)
            assert client.close_code == 1012
        again = kernel.run_all(["pass", *BEHIND], deleted_cells=["A"])
        assert statuses(again) == ["ok"] * 6
        assert (again[0].seconds or 99) < 4.0
        assert kernel.check("print(server.is_serving)") == "False\n"


@pytest.mark.kernel
def test_a_sync_client_of_a_kernel_server_is_refused_at_once() -> None:
    with Kernel() as kernel:
        kernel.check(SETUP + "server = wslab.serve(echo, loop='kernel')")
        for target in ("server", "server.url"):
            cell = kernel.run(f"wslab.connect({target})", timeout=10)
            assert (cell.error or "lost").startswith("WrongThread: connect() would wait for ever")
            assert (cell.seconds or 99) < 5.0  # a wait would be one of 10 s
        assert kernel.check("print(server.stop())") == "None\n"


@pytest.mark.kernel
def test_a_kernel_server_is_started_and_stopped_from_another_thread_too() -> None:
    with Kernel() as kernel:
        kernel.check(SETUP + "from wslab import errors; from wslab.loops import portal")
        kernel.check("""
server = await asyncio.to_thread(wslab.serve, echo, loop="kernel")
assert portal.kernel().thread_id == threading.main_thread().ident
async with websockets.connect(server.url) as websocket:
    await websocket.send("x"); assert await websocket.recv() == "x"
await asyncio.to_thread(server.restart)
await asyncio.to_thread(server.stop)
""")
        # A cell that runs without awaiting holds that loop; who waits for it is told so.
        kernel.check("""
raised = []
def call():
    try:
        portal.kernel().call(asyncio.sleep, 0, timeout=0.1)
    except errors.LoopBlocked as exc:
        raised.append(str(exc))
thread = threading.Thread(target=call); thread.start(); thread.join(5)
assert "held by" in raised[0] and "thread.join(5)" in raised[0], raised
""")
        kernel.check("""
raised = []
def call():
    try:
        portal.kernel().call(asyncio.sleep, 60, timeout=0.1)
    except TimeoutError as exc:
        raised.append(type(exc))
await asyncio.to_thread(call)
assert raised == [TimeoutError], raised
""")


@pytest.mark.kernel
def test_calls_on_the_kernels_own_loop() -> None:
    with Kernel() as kernel:
        kernel.check("""
import asyncio, concurrent.futures, time, wslab
from wslab.loops import portal
kernel = portal.kernel()
cleaned = []
async def work(seconds):
    try:
        await asyncio.sleep(seconds)
        return "ended"
    finally:
        await asyncio.sleep(0)
        cleaned.append(seconds)
async def fail(exc):
    raise exc
def raised(func, *args, **kwargs):
    try:
        func(*args, **kwargs)
    except BaseException as exc:
        return exc
""")
        cells = kernel.run_all(
            [
                "assert kernel.call(work, 0.01) == 'ended'",
                "exc = raised(kernel.call, work, 60, timeout=0.05); cleaned, exc",
                "mine = TimeoutError('mine'); assert raised(kernel.call, fail, mine) is mine",
                "leave = SystemExit(3); assert raised(kernel.call, fail, leave) is leave",
                "future = kernel.submit(work, 0.02); assert future.result(5) == 'ended'",
                "future = kernel.submit(work, 60); await asyncio.sleep(0.01); future.cancel()\n"
                "await asyncio.sleep(0.01); cleaned",
                "assert concurrent.futures.wait([future], timeout=1).done == {future}",
                "assert kernel.answers()",
            ]
        )
        assert statuses(cells) == ["ok"] * len(cells)
        assert "work did not end within 0.05 s" in cells[1].text
        assert cells[1].text.startswith("([0.01, 60], TimeoutError")
        assert cells[5].text == "[0.01, 60, 0.02, 60]"


@pytest.mark.kernel
def test_a_widgets_callback_starts_and_stops_servers_on_both_loops() -> None:
    with Kernel() as kernel:
        kernel.check(
            SETUP
            + """
results = []
def opened(comm, message):
    try:
        for loop in ("kernel", "lab"):
            with wslab.serve(echo, loop=loop) as server:
                results.append(server.is_serving)
            results.append(server.is_serving)
    except BaseException as exc:
        results.append(repr(exc))
get_ipython().kernel.comm_manager.register_target("opens", opened)
"""
        )
        kernel._session.send(
            kernel._sockets["shell"],
            "comm_open",
            {"comm_id": "one", "target_name": "opens", "data": {}},
        )
        assert kernel.check("print(results)") == "[True, False, True, False]\n"
        assert statuses(kernel.run_all([PASTED, *BEHIND])) == ["ok"] * 6


# Where it is refused, and how one gets out.


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def test_an_old_nest_asyncio2_is_refused(
    monkeypatch: pytest.MonkeyPatch, loop: asyncio.AbstractEventLoop
) -> None:
    for version in ("1.7.3", "1.7", "1.7.3.post1", "0.9rc1"):
        monkeypatch.setattr(importlib.metadata, "version", lambda _, version=version: version)
        with pytest.raises(NestingRefused, match=rf"nest_asyncio2 {version} silently loses.*%pip"):
            portal._nest(loop)


def test_a_missing_nest_asyncio2_is_refused(
    monkeypatch: pytest.MonkeyPatch, loop: asyncio.AbstractEventLoop
) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    with pytest.raises(NestingRefused, match=r"which is missing.*%pip install"):
        portal._nest(loop)


def test_the_old_nest_asyncio_is_refused(
    monkeypatch: pytest.MonkeyPatch, loop: asyncio.AbstractEventLoop
) -> None:
    monkeypatch.setattr(asyncio, "_nest_patched", True, raising=False)
    with pytest.raises(NestingRefused, match=r"old, unmaintained nest_asyncio.*restart the kernel"):
        portal._nest(loop)


def test_uvloop_as_the_running_loop_is_refused() -> None:
    uvloop = pytest.importorskip("uvloop")
    before = asyncio.run

    async def ask() -> None:
        portal.allow_nested_loops()

    with (
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        pytest.raises(NestingRefused, match=r"uvloop\.Loop.*`await main\(\)`.*without uvloop"),
    ):
        runner.run(ask())
    assert asyncio.run is before  # refused before anything was patched


def test_the_kernels_loop_outside_a_kernel_is_refused() -> None:
    import wslab

    async def handler(websocket: Any) -> None:
        await websocket.wait_closed()

    with pytest.raises(NestingRefused, match=r'loop="kernel" needs.*notebook kernel'):
        wslab.serve(handler, loop="kernel")


@pytest.mark.kernel
def test_refusals_inside_a_kernel_change_nothing() -> None:
    with Kernel() as kernel:
        kernel.check(SETUP + "asyncio._nest_patched = True")
        for source in ("wslab.allow_nested_loops()", "wslab.serve(echo, loop='kernel')"):
            assert "old, unmaintained nest_asyncio" in (kernel.run(source).error or "")
        kernel.check(
            "del asyncio._nest_patched\nimport sys; assert 'nest_asyncio2' not in sys.modules"
        )
        kernel.check("""
import importlib.metadata
version, importlib.metadata.version = importlib.metadata.version, lambda name: "1.7.2"
""")
        assert "1.7.2 silently loses the cells" in (
            kernel.run("wslab.allow_nested_loops()").error or ""
        )
        cells = kernel.run_all(
            ["importlib.metadata.version = version", "wslab.allow_nested_loops()", PASTED, *BEHIND]
        )
        assert statuses(cells) == ["ok"] * len(cells)


# Scripts.


def script(source: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(source)],
        capture_output=True,
        text=True,
        timeout=30,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
    )


def test_in_a_script_nothing_is_needed_and_nothing_is_done() -> None:
    done = script(
        "import sys, asyncio, wslab\nbefore = asyncio.run\nprint(wslab.allow_nested_loops())\n"
        "assert asyncio.run is before and 'nest_asyncio2' not in sys.modules\n" + PASTED
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (
        "No event loop runs here, so asyncio.run(main()) works as it is. Nothing was changed.\n"
        "Hello world!\n"
    )


def test_in_async_code_of_a_script_it_nests() -> None:
    done = script("""
        import asyncio, wslab
        async def inner():
            await asyncio.sleep(0)
            return "inner"
        async def outer():
            print(wslab.allow_nested_loops().newly_applied)
            print(asyncio.run(inner()))
            print(wslab.run(inner))
        asyncio.run(outer())
    """)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "True\ninner\ninner\n"
