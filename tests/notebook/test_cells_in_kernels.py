"""Running a cell again replaces what it started: in real kernels, to their end."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.kernels import Kernel, run_with_nbclient
from tests.peers import free_port

SETUP = """
import asyncio, importlib, sys, threading, time
import websockets
import wslab
async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)
"""


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    with Kernel() as kernel:
        kernel.check(SETUP)
        yield kernel


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex(("127.0.0.1", port)) != 0


def values(kernel: Kernel, expression: str) -> Any:
    """Evaluate an expression in the kernel, in a cell that starts nothing."""
    return eval(kernel.check(f"print(repr({expression}))"))


@pytest.mark.kernel
class TestKernel:
    """What JupyterLab's requests look like is not pretended here."""

    def test_run_again_replaces(self, kernel: Kernel) -> None:
        source = "server = wslab.serve(echo); alice = wslab.connect(server, name='alice')"
        kernel.check(source, cell_id="replace")
        kernel.check("bob = wslab.connect(server); first = server, alice, bob", cell_id="bob")
        kernel.check(source, cell_id="replace")
        old = "[first[0].is_serving, first[0].port == server.port, first[1].close_code]"
        assert values(kernel, old) == [False, True, 1012]
        assert values(kernel, "(first[2].recv, first[2].close_code)[1] or first[2].state.name") in (
            1012,
            "CLOSED",
        )
        assert values(kernel, "[server.is_serving, alice.state.name]") == [True, "OPEN"]
        assert "same port" in values(kernel, "server.note")

    def test_without_ids_the_same_text_is_the_same_cell(self, kernel: Kernel) -> None:
        source = "nameless = wslab.serve(echo, name='nameless'); carol = wslab.connect(nameless)"
        kernel.check(source, cell_id="")
        assert values(kernel, "nameless.note") == ""
        kernel.check("old = nameless, carol", cell_id="")
        kernel.check(source + "\n", cell_id="")
        expected = [False, True, 1012, True, "replaces what this cell had started before"]
        assert (
            values(
                kernel,
                "[old[0].is_serving, old[0].port == nameless.port, old[1].close_code, "
                "nameless.is_serving, nameless.note.partition(',')[0]]",
            )
            == expected
        )
        # Where its text has changed nobody can know that it is the same cell: so it is said.
        kernel.check(source + " # edited", cell_id="")
        note = values(kernel, "nameless.note")
        assert "does not say which cell runs" in note
        assert "wslab.running()" in note
        # An explicit port means the same server, as in a script.
        kernel.check("port = nameless.port; nameless.stop()", cell_id="")
        kernel.check("one = wslab.serve(echo, port=port)", cell_id="")
        kernel.check("two = wslab.serve(echo, port = port)", cell_id="")
        assert values(kernel, "[one.is_serving, two.is_serving]") == [False, True]
        kernel.check("wslab.shutdown()", cell_id="")

    def test_ten_runs_queued_at_once_keep_one_server_on_one_port(self, kernel: Kernel) -> None:
        source = "server = wslab.serve(echo); alice = wslab.connect(server); print(server.port)"
        ran = kernel.run_all([source] * 10, cell_ids=["queued"] * 10)
        assert [cell.status for cell in ran] == ["ok"] * 10
        assert len({cell.text for cell in ran}) == 1

    def test_two_servers_keep_their_ports_by_order(self, kernel: Kernel) -> None:
        source = "one = wslab.serve(echo); two = wslab.serve(echo); print([one.port, two.port])"
        assert kernel.check(source, cell_id="two") == kernel.check(source, cell_id="two")

    def test_the_guard_pattern_leaves_the_server_alone(self, kernel: Kernel) -> None:
        source = (
            "if 'guarded' not in globals():\n    guarded = wslab.serve(echo)\nprint(id(guarded))"
        )
        first = kernel.check(source, cell_id="guard")
        assert kernel.check(source, cell_id="guard") == first
        assert values(kernel, "guarded.is_serving") is True

    def test_a_deleted_cell_leaves_no_port_open(self, kernel: Kernel) -> None:
        port = free_port()
        kernel.check(f"wslab.serve(echo, port={port})", cell_id="doomed")
        with connect(f"ws://127.0.0.1:{port}/") as client:
            kernel.run_all(["pass"], deleted_cells=["doomed"])
            assert port_is_free(port)
            with pytest.raises(ConnectionClosed):
                client.recv(timeout=5)
            assert client.close_code == 1001

    def test_an_exception_midway_costs_nothing(self, kernel: Kernel) -> None:
        source = """
one = wslab.serve(echo)
if fails: raise ValueError('midway')
two = wslab.serve(echo)
print([one.port, two.port])
"""
        kernel.check("fails = False")
        first = kernel.check(source, cell_id="midway")
        kernel.check("fails = True")
        assert kernel.run(source, cell_id="midway").error == "ValueError: midway"
        kernel.check("fails = False")
        assert kernel.check(source, cell_id="midway") == first

    def test_an_async_cell_and_a_task_it_left_running(self, kernel: Kernel) -> None:
        source = """
server = await asyncio.to_thread(wslab.serve, echo)
async with websockets.connect(server.url) as websocket:
    await websocket.send("x")
    assert await websocket.recv() == "x"
go = asyncio.Event()
async def later(go=go):
    await go.wait()
    return await asyncio.to_thread(wslab.serve, echo)
tasks = globals().setdefault("tasks", []); tasks.append((asyncio.create_task(later()), go))
print(server.port)
"""
        first = kernel.check(source, cell_id="async")
        assert kernel.check(source, cell_id="async") == first
        kernel.check("tasks[0][1].set(); late = await tasks[0][0]; tasks[1][0].cancel()")
        assert values(kernel, "[server.is_serving, late.is_serving]") == [True, True]
        assert kernel.check(source, cell_id="async") == first
        assert values(kernel, "late.is_serving") is False
        kernel.check("tasks[2][0].cancel()")

    def test_interleaved_cells_keep_to_themselves(self, kernel: Kernel) -> None:
        kernel.check("ports = {}")
        sources = [f"s{c} = wslab.serve(echo); ports.setdefault('{c}', []).append(s{c}.port)"
                   for c in "abab"]  # fmt: skip
        kernel.run_all(sources, cell_ids=["i a", "i b", "i a", "i b"])
        ports = values(kernel, "ports")
        assert len(set(ports["a"])) == len(set(ports["b"])) == 1
        assert ports["a"] != ports["b"]
        assert values(kernel, "[sa.is_serving, sb.is_serving]") == [True, True]

    def test_threads_that_a_cell_starts(self, kernel: Kernel) -> None:
        source = """
started = []
thread = threading.Thread(target=lambda: started.append(wslab.serve(echo)))
thread.start(); thread.join()
all_started = globals().setdefault("all_started", []) + started
"""
        for _ in range(3):
            kernel.check(source, cell_id="threads")
        assert values(kernel, "[s.is_serving for s in all_started]") == [False, False, True]
        stray = """
def work():
    cell_has_ended.wait(10)
    stray.append(wslab.serve(echo))
cell_has_ended, stray = threading.Event(), []
thread = threading.Thread(target=work); thread.start()
threading.Timer(0.2, cell_has_ended.set).start()
"""
        kernel.check(stray, cell_id="stray")
        time.sleep(0.3)  # no cell runs, and nothing in the kernel could tell from outside
        assert values(kernel, "(thread.join(10), stray[0].is_serving)[1]") is True
        kernel.check("stray[0].stop()")

    def test_a_widgets_callback_belongs_to_nobody(self, kernel: Kernel) -> None:
        kernel.check("""
opened = []
get_ipython().kernel.comm_manager.register_target(
    "opens", lambda comm, message: opened.append(wslab.serve(echo)))
""")
        for n in range(2):
            kernel._session.send(
                kernel._sockets["shell"],
                "comm_open",
                {"comm_id": f"comm {n}", "target_name": "opens", "data": {}},
            )
        assert values(kernel, "[server.is_serving for server in opened]") == [True, True]
        assert values(kernel, "[server.claim.owner for server in opened]") == [None, None]
        kernel.check("for server in opened: server.stop()")

    def test_percent_run_belongs_to_the_cell(self, kernel: Kernel, tmp_path: Path) -> None:
        path = tmp_path / "served.py"
        path.write_text(
            "import wslab\nasync def echo(w): await w.wait_closed()\n"
            "served = wslab.serve(echo)\nprint(served.port)\n"
        )
        first = kernel.check(f"%run {path}", cell_id="percent run")
        kernel.check("first_served = served")
        assert kernel.check(f"%run {path}", cell_id="percent run") == first
        assert values(kernel, "[first_served.is_serving, served.is_serving]") == [False, True]

    def test_autoreload_of_a_module_that_serves_at_import(
        self, kernel: Kernel, tmp_path: Path
    ) -> None:
        path = tmp_path / "served_at_import.py"
        source = "import wslab\nasync def echo(w): await w.wait_closed()\n"
        source += "server = wslab.serve(echo, name='v{}')\ndef helper(): return wslab.serve(echo)\n"
        path.write_text(source.format(1))
        kernel.check(f"%load_ext autoreload\n%autoreload 2\nsys.path.insert(0, {str(tmp_path)!r})")
        importing = "import served_at_import; first = served_at_import.server"
        kernel.check(importing, cell_id="imports")
        port = values(kernel, "first.port")
        kernel.check("kept = first")
        kernel.check(importing, cell_id="imports")
        assert values(kernel, "[first is kept, kept.is_serving]") == [True, True]
        path.write_text(source.format(2))
        os.utime(path, (time.time() + 10, time.time() + 10))
        kernel.check("pass")
        assert values(kernel, "[kept.name, served_at_import.server.name]") == ["v1", "v2"]
        assert values(kernel, "[kept.is_serving, served_at_import.server.is_serving]") == [
            False,
            True,
        ]
        assert values(kernel, "served_at_import.server.port") == port
        helped = "helped = served_at_import.helper(); print(helped.port)"
        assert kernel.check(helped, cell_id="helped") == kernel.check(helped, cell_id="helped")
        assert values(kernel, "served_at_import.server.is_serving") is True
        kernel.check("%autoreload 0")

    def test_a_handler_that_holds_the_loop_is_named_when_its_cell_runs_again(
        self, kernel: Kernel
    ) -> None:
        source = """
async def sleepy(websocket):
    await websocket.recv()
    time.sleep(3)
server = wslab.serve(sleepy)
alice = wslab.connect(server)
"""
        kernel.check("wslab.notebook.cells.REPLACE_TIMEOUT_S = 0.5")
        kernel.check(source, cell_id="sleepy")
        kernel.check("alice.send('sleep'); time.sleep(0.2)")
        error = kernel.run(source, cell_id="sleepy").error or ""
        kernel.check("wslab.notebook.cells.REPLACE_TIMEOUT_S = 5.0")
        assert "sleepy() at" in error
        assert "time.sleep(3)" in error
        port = values(kernel, "server.port")
        kernel.check(source, cell_id="sleepy", timeout=20)
        assert values(kernel, "[server.port, server.is_serving]") == [port, True]


@pytest.mark.kernel
def test_nbclient_runs_a_notebook_and_leaves_nothing() -> None:
    port = free_port()
    document = run_with_nbclient(
        [
            SETUP,
            f"server = wslab.serve(echo, port={port})",
            "alice = wslab.connect(server); alice.send('hello'); print(alice.recv(timeout=5))",
            "again = wslab.serve(echo, port=server.port); print(server.is_serving, again.port)",
        ]
    )
    texts = ["".join(output.get("text", "") for output in cell.outputs) for cell in document.cells]
    assert texts[2] == "hello\n"
    assert texts[3] == f"False {port}\n"
    assert port_is_free(port)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.kernel
@pytest.mark.parametrize("loop", ["lab", "kernel"])
@pytest.mark.parametrize("how", ["shutdown", "restart"])
def test_a_kernel_that_ends_says_goodbye_and_leaves_nothing(loop: str, how: str) -> None:
    with Kernel() as kernel:
        kernel.check(SETUP)
        port = free_port()
        kernel.check(f"server = wslab.serve(echo, port={port}, loop={loop!r})")
        with connect(f"ws://127.0.0.1:{port}/") as client:
            client.send("hello")
            assert client.recv(timeout=5) == "hello"
            pid = kernel.pid
            kernel.shutdown() if how == "shutdown" else kernel.restart()
            with pytest.raises(ConnectionClosed):
                client.recv(timeout=5)
            assert client.close_code == 1001
        assert not is_alive(pid)
        assert port_is_free(port)
        if how == "restart":
            kernel.check(SETUP + f"server = wslab.serve(echo, port={port})")


@pytest.mark.kernel
def test_a_kernel_whose_handler_blocks_ends_soon() -> None:
    with Kernel() as kernel:
        kernel.check(SETUP)
        kernel.check("""
async def blocking(websocket):
    await websocket.recv()
    held.set()
    time.sleep(60)
held = threading.Event()
alice = wslab.connect(wslab.serve(blocking))
alice.send("block")
assert held.wait(5)
""")
        kernel.shutdown()  # its handler has nearly 60 s to go


@pytest.mark.kernel
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
def test_a_kernel_that_is_killed_leaves_no_port() -> None:
    with Kernel() as kernel:
        kernel.check(SETUP)
        port = free_port()
        kernel.check(f"server = wslab.serve(echo, port={port})")
        with connect(f"ws://127.0.0.1:{port}/") as client:
            os.kill(kernel.pid, signal.SIGKILL)
            with pytest.raises(ConnectionClosed):
                client.recv(timeout=5)
            assert client.close_code == 1006
        kernel.collect([kernel.send("pass")], timeout=10)  # until it is dead
        assert not kernel.is_alive
        assert port_is_free(port)


@pytest.mark.kernel
@pytest.mark.parametrize("waits", ["wslab.run(endless)", "alice.recv()"])
def test_a_wait_in_a_cell_can_be_interrupted_and_the_kernel_goes_on(waits: str) -> None:
    """Also at once, before the main thread has gone to sleep: a signal then wakes nobody."""
    with Kernel() as kernel:
        kernel.check(SETUP)
        kernel.check("""
from wslab.loops.portals import lab
server = wslab.serve(echo); alice = wslab.connect(server)
async def endless():
    print("on", flush=True)
    try:
        await asyncio.sleep(60)
    finally:
        cleaned.set()
async def tell():
    print("on", flush=True)
    cleaned.set()
""")
        for _ in range(8):
            source = "cleaned = threading.Event()\n"
            source += waits if "run" in waits else f"lab().submit(tell); {waits}"
            cell = kernel.send(source)
            kernel.collect([cell], timeout=10, until=lambda cell=cell: "on" in cell.text)
            kernel.interrupt()
            kernel.collect([cell], timeout=5)
            assert cell.interrupted, cell
            assert kernel.check("print(cleaned.is_set())") == "True\n"
        assert kernel.check("alice.send('x'); print(alice.recv(timeout=5))") == "x\n"
