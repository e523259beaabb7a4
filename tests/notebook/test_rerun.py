"""A cell with a server and three clients, run again 200 times: nothing is left of the runs before.

Counted in the kernel itself after each of them: threads, descriptors, tasks, timers and callbacks
on the lab's loop, what the shell calls before and after a cell, and what wslab's registries hold.
"""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from tests.kernels import Kernel

RUNS = 200
BOUND_S = 90.0  # for all of them; a few seconds are usual

SETUP = """
import asyncio, atexit, collections, gc, json, os, sys, threading, weakref
{head}
import wslab
from wslab.loops import portals
from wslab.notebook import cells

async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)

# What asks is there before it is counted. Linux names each descriptor's file.
DESCRIPTORS = "/proc/self/fd" if os.path.isdir("/proc/self/fd") else None

def kinds():
    found = collections.Counter()
    for name in os.listdir(DESCRIPTORS) if DESCRIPTORS else ():
        try:
            found[os.readlink(f"{{DESCRIPTORS}}/{{name}}").partition(":")[0]] += 1
        except OSError:
            pass
    return found

def memory_bytes():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

async def on_the_loop():
    loop = asyncio.get_running_loop()
    return {{
        "tasks": len(asyncio.all_tasks()),
        "timers": sum(not timer.cancelled() for timer in getattr(loop, "_scheduled", ())),
        "ready": len(getattr(loop, "_ready", ())),
        "readers": len(loop._selector.get_map()) if hasattr(loop, "_selector") else 0,
    }}

def alive(*names):
    found = collections.Counter(type(thing).__name__ for thing in gc.get_objects())
    return {{name: found[name] for name in names}}

def registries():
    # Everything in a module of wslab that can grow.
    return {{
        f"{{module.__name__}}.{{name}}": len(value)
        for module in list(sys.modules.values())
        if getattr(module, "__name__", "").partition(".")[0] == "wslab"
        for name, value in vars(module).items()
        if isinstance(value, dict | list | set | collections.deque) and name != "__builtins__"
    }}

def count():
    gc.collect()
    shell = get_ipython()
    lab = portals.lab()
    return {{
        "threads": threading.active_count(),
        "sockets": kinds()["socket"],
        # Without files: IPython's history opens and closes its own when it likes.
        "descriptors": sum(n for kind, n in kinds().items() if not kind.startswith("/")),
        **lab.call(on_the_loop),
        "shell callbacks": sum(map(len, shell.events.callbacks.values())),
        "exit hooks": atexit._ncallbacks(),
        **registries(),
        "pending": len(lab._pending),
        "watchers": lab.watchdog.watchers,
        **alive("Server", "Client", "ServerConnection", "ClientConnection", "Traffic", "Inbox",
                "Outbox", "_Crossing", "Task", "Future"),
        "garbage": len(gc.garbage),
    }}
"""

CELL = """
server = wslab.serve(echo)
clients = [wslab.connect(server, name=f"client {n}") for n in range(3)]
for client in clients:
    client.send("hello")
assert [client.recv(timeout=5) for client in clients] == ["hello"] * 3
"""

COUNT = "print(json.dumps(count()))"
MEMORY = "gc.collect(); print(memory_bytes())"


def settled(kernel: Kernel) -> dict[str, int]:
    """Count when the last run's goodbyes are over: when two counts in a row agree."""
    before: dict[str, int] = {}
    deadline = time.monotonic() + 10
    while True:
        now: dict[str, int] = json.loads(kernel.check(COUNT, cell_id="count"))
        if now == before or time.monotonic() > deadline:
            return now
        before = now
        time.sleep(0.1)


@pytest.mark.kernel
@pytest.mark.slow
@pytest.mark.timeout(BOUND_S + 60)
@pytest.mark.parametrize("loop", ["stock", "uvloop"])
def test_200_runs_leave_no_more_than_one(loop: str, record_property: Any) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    head = "sys.modules['uvloop'] = None" if loop == "stock" else "import uvloop"
    with Kernel() as kernel:
        kernel.check(SETUP.format(head=head))
        kernel.check(CELL, cell_id="again")
        kernel.check("first_port = server.port")
        # A few runs before the first count: what Python and IPython keep for the lines and the
        # history of a cell is made on the first of them.
        first = settled(kernel)
        memory_kib: list[int] = []
        began = time.monotonic()
        for part in range(4):
            cells = kernel.run_all(
                [CELL] * (RUNS // 4), cell_ids=["again"] * (RUNS // 4), timeout=BOUND_S
            )
            assert [cell.status for cell in cells] == ["ok"] * len(cells), part
            memory_kib.append(int(kernel.check(MEMORY, cell_id="memory")) // 1024)
        took_s = time.monotonic() - began
        last = settled(kernel)

        record_property("seconds", round(took_s, 1))
        record_property("memory_kib_after_each_50_runs", memory_kib)
        print(f"{loop}: {RUNS} runs in {took_s:.1f} s; memory (KiB) after each 50: {memory_kib}")
        more = {name: (first[name], last[name]) for name in last if last[name] > first[name]}
        assert more == {}, f"more after {RUNS} runs than after one: {more}"
        assert kernel.check("print(server.port == first_port)") == "True\n"
        assert took_s < BOUND_S
        # Memory: the first quarter warms up; after it 150 runs with 600 connections may cost a
        # little (the shell keeps each run's source and the loop its caches), not a leak's worth.
        assert memory_kib[-1] - memory_kib[0] < 8 * 1024

        kernel.check("wslab.shutdown()")
        ended = json.loads(
            kernel.check("print(json.dumps([kinds()['socket'], len(cells.things())]))")
        )
        assert ended[1] == 0
        assert ended[0] <= first["sockets"] - 7  # one listens, three connections have two ends each
