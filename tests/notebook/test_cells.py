"""Running a cell again replaces what it started: in a pretended shell, and in real kernels."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import importlib
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.kernels import PROJECT, Kernel, run_with_nbclient
from wslab.notebook import cells, owners
from wslab.notebook import shell as shells

# A pretended shell: which cell asks is what the test says.


class Shell:
    """As much of a notebook's shell as the registry looks at."""

    def __init__(self) -> None:
        self.parent: contextvars.ContextVar[dict[str, Any]] = contextvars.ContextVar("parent")
        self.latest: dict[str, Any] = {}
        self.callbacks: dict[str, list[Callable[[Any], None]]] = {}
        self.events = self
        self._requests = 0

    def register(self, event: str, callback: Callable[[Any], None]) -> None:
        self.callbacks.setdefault(event, []).append(callback)

    def get_parent(self) -> dict[str, Any]:
        return self.parent.get(self.latest)

    def run(
        self,
        cell_id: str | None,
        code: Callable[[], Any],
        *,
        kind: str = "execute_request",
        deleted: tuple[str, ...] = (),
        source: str = "",
    ) -> Any:
        self._requests += 1
        metadata: dict[str, Any] = {"deletedCells": list(deleted)}
        if cell_id is not None:
            metadata["cellId"] = cell_id
        header = {"msg_type": kind, "msg_id": f"request {self._requests}"}
        self.latest = {"header": header, "metadata": metadata, "content": {"code": source}}
        self.parent.set(self.latest)
        for callback in self.callbacks.get("pre_run_cell", []):
            callback(None)
        try:
            return code()
        finally:
            for callback in self.callbacks.get("post_run_cell", []):
                callback(None)


class Thing:
    """Something that closes at once, late, with an error, or never."""

    def __init__(self, name: str = "thing", *, closes: str = "at once") -> None:
        self.name = name
        self.closes = closes
        self.closed: list[bool] = []  # one for each begin_close: whether it was replaced
        self._closing: concurrent.futures.Future[None] = concurrent.futures.Future()

    def begin_close(self, *, replaced: bool = False) -> concurrent.futures.Future[None]:
        self.closed.append(replaced)
        if self.closes == "not any more":
            raise RuntimeError("its loop has ended")
        if self.closes == "at once":
            self.let_go()
        elif self.closes == "with an error" and not self._closing.done():
            cells.forget(self)
            self._closing.set_exception(OSError("it went wrong"))
        return self._closing

    def let_go(self) -> None:
        cells.forget(self)
        if not self._closing.done():
            self._closing.set_result(None)

    def held(self) -> str | None:
        return "the loop is held by somebody" if self.closes == "never" else None

    def __repr__(self) -> str:
        return f"<{self.name}>"


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Shell:
    shell = Shell()
    monkeypatch.setattr(shells, "running_shell", lambda: shell)
    monkeypatch.setattr(cells, "_things", {})
    monkeypatch.setattr(cells, "_records", {})
    monkeypatch.setattr(shells, "_heard_shells", set())
    monkeypatch.setattr(shells, "_has_cell_ended", False)
    return shell


def start(kind: str = "server", *, place: object = None, keep: bool = False, **how: Any) -> Thing:
    claim = cells.claim(kind, keep=keep)
    thing = Thing(str(claim.handover), **how)
    claim.adopt(thing, claim.handover or place)
    return thing


def test_a_second_run_replaces_the_first(shell: Shell) -> None:
    first = shell.run("A", start)
    second = shell.run("A", start)
    assert first.closed == [True]
    assert second.closed == []
    assert cells.things() == (second,)


def test_another_cell_replaces_nothing(shell: Shell) -> None:
    first, second = shell.run("A", start), shell.run("B", start)
    again = shell.run("A", start)
    assert first.closed == [True]
    assert second.closed == []
    assert set(cells.things()) == {second, again}


def test_places_go_by_order(shell: Shell) -> None:
    shell.run("A", lambda: [start(place=port) for port in (1, 2, 3)])
    again = shell.run("A", lambda: [start() for _ in range(3)])
    assert [thing.name for thing in again] == ["1", "2", "3"]


def test_fewer_then_more_keep_their_places(shell: Shell) -> None:
    three = shell.run("A", lambda: [start(place=port) for port in (1, 2, 3)])
    one = shell.run("A", lambda: [start()])
    assert [thing.closed for thing in three] == [[True]] * 3
    four = shell.run("A", lambda: [start(place=port) for port in (11, 12, 13, 14)])
    assert [thing.name for thing in (*one, *four)] == ["1", "1", "2", "3", "None"]
    again = shell.run("A", lambda: [start() for _ in range(4)])
    assert [thing.name for thing in again] == ["1", "2", "3", "14"]


def test_a_run_that_fails_midway_loses_no_place(shell: Shell) -> None:
    shell.run("A", lambda: [start(place=port) for port in (1, 2)])

    def fail() -> None:
        start()
        cells.claim("server")  # what was to be started here did not start
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        shell.run("A", fail)
    again = shell.run("A", lambda: [start() for _ in range(2)])
    assert [thing.name for thing in again] == ["1", "2"]


def test_kinds_do_not_replace_each_other(shell: Shell) -> None:
    server = shell.run("A", start)
    client = shell.run("A", lambda: start("client"))
    assert server.closed == []
    shell.run("A", lambda: start("client"))
    assert server.closed == []
    assert client.closed == [True]


def test_a_run_that_starts_nothing_closes_nothing(shell: Shell) -> None:
    server = shell.run("A", start)
    shell.run("A", lambda: None)
    assert server.closed == []


def test_keep_opts_out_and_takes_no_place(shell: Shell) -> None:
    kept = shell.run("A", lambda: start(keep=True, place=1))
    other = shell.run("A", lambda: (start(keep=True), start(place=2)))
    again = shell.run("A", start)
    assert kept.closed == []
    assert [thing.closed for thing in other] == [[], [True]]
    assert again.name == "2"
    cells.close_all(1)
    assert kept.closed == [False]


def test_deleted_cells_are_closed_before_the_next_one_runs(shell: Shell) -> None:
    gone = shell.run("A", lambda: [start("server"), start("client")])
    stays = shell.run("B", start)
    seen = shell.run("C", lambda: [thing.closed for thing in gone], deleted=("A", "never seen"))
    assert seen == [[False], [False]]
    assert stays.closed == []


def test_what_a_deleted_cell_started_does_not_hold_up_the_next(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "DELETED_TIMEOUT_S", 0.05)
    held = shell.run("A", lambda: start(closes="never"))
    assert shell.run("B", lambda: "ran", deleted=("A",)) == "ran"
    assert cells.things() == (held,)  # shutdown() still knows it
    held.let_go()


def test_a_cell_that_came_back_is_new(shell: Shell) -> None:
    shell.run("A", lambda: start(place=1))
    shell.run("B", lambda: None, deleted=("A",))
    assert shell.run("A", start).name == "None"


def test_the_hooks_are_registered_once(shell: Shell) -> None:
    for _ in range(5):
        shell.run("A", start)
    assert {event: len(known) for event, known in shell.callbacks.items()} == {
        "pre_run_cell": 1,
        "post_run_cell": 1,
    }


@pytest.mark.parametrize("kind", ["comm_msg", "complete_request"])
def test_a_widgets_callback_belongs_to_nobody(shell: Shell, kind: str) -> None:
    first = shell.run("A", start, kind=kind)
    second = shell.run("A", start, kind=kind)
    assert first.closed == second.closed == []
    assert shell.run(None, owners.current_owner) is None


def test_what_is_late_is_named_and_tried_again(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "REPLACE_TIMEOUT_S", 0.05)
    held = shell.run("A", lambda: start(place=1, closes="never"))
    with pytest.raises(TimeoutError, match=r"expected <None> to close.*held by somebody"):
        shell.run("A", start)
    with pytest.raises(TimeoutError):
        shell.run("A", start)
    held.let_go()
    again = shell.run("A", start)
    assert again.name == "1"
    assert cells.things() == (again,)


def test_one_that_is_late_does_not_spare_the_others(shell: Shell) -> None:
    def some() -> list[Thing]:
        return [start(), start(closes="never"), start(closes="with an error"), start()]

    things = shell.run("A", some)
    with pytest.raises(TimeoutError, match=r"<None> to close within 0.05 s"):
        cells.close_all(0.05)
    assert [thing.closed for thing in things] == [[False]] * 4
    assert cells.things() == (things[1],)
    things[1].let_go()
    cells.close_all(0.05)


def test_what_goes_wrong_is_raised_and_not_for_ever(shell: Shell) -> None:
    shell.run("A", lambda: start(closes="with an error"))
    with pytest.raises(OSError, match="went wrong"):
        shell.run("A", start)
    assert shell.run("A", start).closed == []


def test_what_cannot_be_closed_any_more_is_forgotten(shell: Shell) -> None:
    shell.run("A", lambda: [start(closes="not any more"), start()])
    again = shell.run("A", start)
    assert cells.things() == (again,)


def test_close_all_keeps_the_places(shell: Shell) -> None:
    shell.run("A", lambda: start(place=1))
    cells.close_all(1)
    assert cells.things() == ()
    assert shell.run("A", start).name == "1"


def test_closing_goes_in_reverse_order(shell: Shell) -> None:
    order: list[str] = []

    class Ordered(Thing):
        def begin_close(self, *, replaced: bool = False) -> concurrent.futures.Future[None]:
            order.append(self.name)
            return super().begin_close(replaced=replaced)

    for name in ("server", "client"):
        cells.claim(name).adopt(Ordered(name))
    cells.close_all(1)
    assert order == ["client", "server"]


def test_a_thing_that_was_restarted_is_replaced_again(shell: Shell) -> None:
    def start_and_claim() -> tuple[cells.Claim, Thing]:
        claim = cells.claim("server")
        thing = Thing()
        claim.adopt(thing, 1)
        return claim, thing

    claim, thing = shell.run("A", start_and_claim)
    thing.begin_close()
    assert cells.things() == ()
    claim.reopen(thing)
    assert cells.things() == (thing,)
    assert shell.run("A", start).name == "1"
    assert thing.closed == [False, True]


# Tasks and threads that a cell started.


def test_a_task_of_an_earlier_run_replaces_nothing(shell: Shell) -> None:
    context = shell.run("A", lambda: (start(place=1), contextvars.copy_context())[1])
    second = shell.run("A", start)
    late = context.run(start, place=7)
    assert second.closed == []
    assert late.name == "None"
    third = shell.run("A", start)
    assert second.closed == late.closed == [True]  # but it is the cell's, and goes with it
    assert third.name == "1"


def test_a_task_of_a_run_that_was_not_seen_does_not_mix_up_the_places(shell: Shell) -> None:
    shell.run("A", lambda: start(place=1))
    between = shell.run("A", contextvars.copy_context)  # this run starts nothing itself
    second = shell.run("A", start)
    between.run(start)
    assert second.closed in ([], [True])  # who came later cannot be known; nothing breaks
    cells.close_all(1)
    assert cells.things() == ()


def test_a_thread_with_its_cells_context_belongs_to_the_cell(shell: Shell) -> None:
    async def on_a_thread() -> Thing:
        return await asyncio.to_thread(start)

    first = shell.run("A", lambda: asyncio.run(on_a_thread()))
    shell.run("B", lambda: None)
    shell.run("A", start)
    assert first.closed == [True]


def in_thread(func: Callable[[], Any]) -> Any:
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        return pool.submit(func).result(5)


def test_a_plain_thread_belongs_to_the_cell_that_is_running(shell: Shell) -> None:
    first = shell.run("A", lambda: in_thread(start))
    second = shell.run("A", lambda: in_thread(start))
    assert first.closed == [True]
    assert second.closed == []


def test_a_plain_thread_while_no_cell_runs_belongs_to_nobody(shell: Shell) -> None:
    mine = shell.run("A", start)
    stray = in_thread(start)
    shell.run("A", start)
    assert mine.closed == [True]
    assert stray.closed == []


def test_many_threads_of_one_cell_do_not_replace_each_other(shell: Shell) -> None:
    def crowd() -> list[Thing]:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            return [future.result(5) for future in [pool.submit(start) for _ in range(100)]]

    first, second = shell.run("A", crowd), shell.run("A", crowd)
    assert [thing.closed for thing in first] == [[True]] * 100
    assert [thing.closed for thing in second] == [[]] * 100


# Modules.


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A module that starts something when it is imported, and has a helper that does too."""
    name = "starts_at_import"
    source = """
        from tests.notebook.test_cells import start
        here = start(place="of the module")
        def helper():
            return start()
    """
    (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "tests.notebook.test_cells", sys.modules[__name__])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield name
    sys.modules.pop(name, None)


def test_reloading_a_module_replaces_what_it_started(shell: Shell, module: str) -> None:
    loaded = shell.run("A", lambda: importlib.import_module(module))
    first = loaded.here
    shell.run("B", lambda: importlib.reload(loaded))
    assert first.closed == [True]
    assert loaded.here.name == "of the module"
    assert loaded.here.closed == []


def test_a_module_that_was_dropped_and_imported_again_replaces_too(
    shell: Shell, module: str
) -> None:
    for _ in range(20):  # specs that were freed leave their id() to new ones
        first = importlib.import_module(module).here
        del sys.modules[module]
        second = importlib.import_module(module).here
        del sys.modules[module]
        assert first.closed == [True]
        assert second.closed == []
        second.begin_close()


def test_what_a_module_started_is_not_the_cells_that_imported_it(shell: Shell, module: str) -> None:
    def cell() -> Thing:
        return importlib.import_module(module).here  # type: ignore[no-any-return]

    first = shell.run("A", cell)
    assert shell.run("A", cell) is first
    shell.run("B", lambda: None, deleted=("A",))
    assert first.closed == []


def test_a_helper_of_a_module_belongs_to_the_cell_that_calls_it(shell: Shell, module: str) -> None:
    loaded = shell.run("A", lambda: importlib.import_module(module))
    first, second = shell.run("A", loaded.helper), shell.run("A", loaded.helper)
    assert first.closed == [True]
    assert second.closed == loaded.here.closed == []


# Where there is no shell at all.


def test_nobody_owns_what_a_script_or_a_test_starts() -> None:
    assert owners.current_owner() is None


def script(source: str, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(source), *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        env=os.environ | {"PYTHONPATH": str(PROJECT)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_in_a_script_the_same_explicit_port_replaces_and_no_port_does_not() -> None:
    out = script(
        """
        import websockets, wslab
        async def echo(websocket):
            async for message in websocket:
                await websocket.send(message)
        first, second = wslab.serve(echo), wslab.serve(echo)
        assert first.is_serving and second.is_serving and first.port != second.port
        client = wslab.connect(second)
        third = wslab.serve(echo, port=second.port)
        assert not second.is_serving and third.is_serving and third.port == second.port
        assert first.is_serving
        try:
            client.recv(timeout=5)
        except websockets.ConnectionClosed:
            print(client.close_code)
    """
    )
    assert out == "1012\n"


def test_a_shutdown_in_a_forked_child_leaves_the_parents_things_alone() -> None:
    if not hasattr(os, "fork"):
        pytest.skip("no fork here")
    script("""
        import os, warnings
        warnings.filterwarnings("ignore", "This process", DeprecationWarning)
        import wslab
        async def echo(websocket):
            async for message in websocket:
                await websocket.send(message)
        server = wslab.serve(echo); client = wslab.connect(server)
        pid = os.fork()
        if pid == 0:
            assert wslab.notebook.cells.things() == ()
            wslab.shutdown()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        client.send("on"); assert client.recv(timeout=5) == "on"
    """)


# Real kernels.

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


def test_texts_are_told_apart_and_what_is_kept_of_them_is_bounded(shell: Shell) -> None:
    def start() -> Thing:
        thing = Thing()
        claim = cells.claim("server")
        assert claim.owner is not None
        assert claim.owner.is_source
        claim.adopt(thing, 8765)
        return thing

    first = shell.run(None, start, source="a = 1\n")
    again = shell.run(None, start, source="a = 1")
    other = shell.run(None, start, source="a = 2")
    assert (first.closed, again.closed, other.closed) == ([True], [], [])
    assert shell.run(None, owners.current_owner, source=" ") is None
    assert shell.run(None, owners.current_owner, source="a", kind="comm_msg") is None
    for number in range(cells.MAX_RECORDS + 10):
        shell.run(None, start, source=f"a = {number}").let_go()
    assert len(cells._records) == cells.MAX_RECORDS
    assert shell.run(None, lambda: cells.claim("server").handover, source="a = 1005") == 8765


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
        source = "doomed = wslab.serve(echo); print(doomed.port)"
        port = int(kernel.check(source, cell_id="doomed"))
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
    document = run_with_nbclient(
        [
            SETUP,
            "server = wslab.serve(echo); print(server.port)",
            "alice = wslab.connect(server); alice.send('hello'); print(alice.recv(timeout=5))",
            "again = wslab.serve(echo, port=server.port); print(server.is_serving, again.port)",
        ]
    )
    texts = ["".join(output.get("text", "") for output in cell.outputs) for cell in document.cells]
    port = int(texts[1])
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
        port = int(kernel.check(f"server = wslab.serve(echo, loop={loop!r}); print(server.port)"))
        with connect(f"ws://127.0.0.1:{port}/") as client:
            client.send("hello")
            assert client.recv(timeout=5) == "hello"
            pid, began = kernel.pid, time.monotonic()
            kernel.shutdown() if how == "shutdown" else kernel.restart()
            with pytest.raises(ConnectionClosed):
                client.recv(timeout=5)
            assert client.close_code == 1001
            assert time.monotonic() - began < 10
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
        assert kernel.shutdown() < 5.0  # a bit over one second; its handler has nearly 60 to go


@pytest.mark.kernel
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs POSIX signals")
def test_a_kernel_that_is_killed_leaves_no_port() -> None:
    with Kernel() as kernel:
        kernel.check(SETUP)
        port = int(kernel.check("server = wslab.serve(echo); print(server.port)"))
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
