"""The notebook's own loop as a portal: servers and calls on it, from cells and from threads."""

from __future__ import annotations

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.kernels import Kernel, lost
from tests.loops.in_kernels import BEHIND, PASTED, SETUP, statuses


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
        kernel.check(SETUP + "from wslab import errors; from wslab.loops import portals")
        kernel.check("""
server = await asyncio.to_thread(wslab.serve, echo, loop="kernel")
assert portals.kernel().thread_id == threading.main_thread().ident
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
        portals.kernel().call(asyncio.sleep, 0, timeout=0.1)
    except errors.LoopBlocked as exc:
        raised.append(str(exc))
thread = threading.Thread(target=call); thread.start(); thread.join(5)
assert "held by" in raised[0] and "thread.join(5)" in raised[0], raised
""")
        kernel.check("""
raised = []
def call():
    try:
        portals.kernel().call(asyncio.sleep, 60, timeout=0.1)
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
from wslab.loops import portals
kernel = portals.kernel()
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
