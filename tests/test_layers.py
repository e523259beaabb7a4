"""The four floors of the house, read from the sources: no arrow runs up.

Every import counts, also one inside a function or under TYPE_CHECKING. A module that is new must
be given its floor in FLOORS, and the picture in CONTRIBUTING.md must say the same.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "wslab"

# A name stands for the module and, if it is a package, all that is in it.
FLOORS: tuple[tuple[str, ...], ...] = (
    (
        "boxes",
        "calling",
        "cells",
        "errors",
        "failures",
        "handlers",
        "heads",
        "keywords",
        "page",
        "place",
        "pongs",
        "turns",
        "reconnect",
        "stalls",
        "waits",
        "why",
        "wire",
    ),
    ("emitter", "hub", "opening", "portal", "recording", "rejoin", "tunnel"),
    ("client", "raw", "server"),
    ("__init__", "cli", "display", "doctor", "examples", "learn", "running", "widgets"),
)
FOR_EVERYBODY = {"errors", "waits", "wire"}
TOP = len(FLOORS) - 1
FLOOR_OF = {name: floor for floor, names in enumerate(FLOORS) for name in names}

THREADS = {
    "threading.Thread",
    "threading.Timer",
    "_thread.start_new_thread",
    "concurrent.futures.ThreadPoolExecutor",
}
SOCKETS = {
    "socket.socket",
    "socket.create_connection",
    "socket.create_server",
    "socket.socketpair",
    "asyncio.open_connection",
    "asyncio.start_server",
    "http.client.HTTPConnection",
    "http.client.HTTPSConnection",
    "urllib.request.urlopen",
    "websockets.connect",
    "websockets.serve",
    "websockets.asyncio.client.connect",
    "websockets.asyncio.server.serve",
    "websockets.sync.client.connect",
}
# On any event loop: told by the method's name.
SOCKET_METHODS = {"create_server", "create_connection", "sock_connect"}
MAY_OPEN_SOCKETS = {
    "server",
    "client",
    "tunnel",  # lives in Jupyter's server, where it carries bytes to a server of ours
    "examples",  # plain websockets programs to copy; wslab's own code is not involved
    "portal",  # asks its own descriptors for their names, and opens none
    "raw",  # bytes below WebSocket, for handshakes made by hand
    "doctor",  # looks whether Jupyter's proxy reaches us, over HTTP
}


def _modules() -> dict[str, ast.Module]:
    """Return the sources by dotted name below wslab ("wire.frames"; "__init__" is wslab's own)."""
    modules = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = list(path.relative_to(PACKAGE).with_suffix("").parts)
        if parts[-1] == "__init__" and len(parts) > 1:
            parts.pop()
        modules[".".join(parts)] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return modules


def _is_package(name: str) -> bool:
    return name == "__init__" or (PACKAGE / Path(*name.split("."))).is_dir()


def _imports(name: str, tree: ast.Module) -> Iterator[str]:
    """Yield the absolute dotted name of all that a module imports, wherever in it."""
    here = ["wslab"] if name == "__init__" else ["wslab", *name.split(".")]
    package = here if _is_package(name) else here[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            start = ".".join([*above, *(node.module.split(".") if node.module else [])])
            for alias in node.names:
                yield f"{start}.{alias.name}"
        elif (
            isinstance(node, ast.Call)
            and _dotted(node.func) in ("importlib.import_module", "import_module", "__import__")
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            yield str(node.args[0].value)


def _dotted(node: ast.expr) -> str:
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ""
    return ".".join([node.id, *reversed(parts)])


def _calls(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield (dotted name, line) of every call, with imported names written out in full."""
    full = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            full |= {a.asname or a.name: f"{node.module}.{a.name}" for a in node.names}
        elif isinstance(node, ast.Import):
            full |= {a.asname: a.name for a in node.names if a.asname}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (name := _dotted(node.func)):
            first, _, rest = name.partition(".")
            yield ".".join(filter(None, [full.get(first, first), rest])), node.lineno


def _block(dotted: str) -> str:
    """Return which name of FLOORS a dotted name below wslab belongs to."""
    return dotted.split(".")[0]


def _floor(dotted: str) -> int:
    return FLOOR_OF.get(_block(dotted), TOP)


def _edges() -> list[tuple[str, str]]:
    """Return (importing module, imported block) for every import of ours from ours."""
    edges = []
    blocks = {_block(name) for name in MODULES}
    for name, tree in MODULES.items():
        for imported in _imports(name, tree):
            root, _, rest = imported.partition(".")
            if root != "wslab":
                continue
            target = _block(rest) if rest and _block(rest) in blocks else "__init__"
            edges.append((name, target))
    return edges


MODULES = _modules()
EDGES = _edges()


def test_the_sources_were_read():
    assert ("__init__", "server") in EDGES
    assert ("server", "portal") in EDGES


def test_every_module_has_a_floor():
    assert sorted({_block(name) for name in MODULES} - set(FLOOR_OF)) == []


def test_no_arrow_runs_up():
    up = [
        f"{name} (floor {_floor(name)}) imports {target} (floor {_floor(target)})"
        for name, target in EDGES
        if _floor(target) > _floor(name)
    ]
    assert up == []


def test_below_the_top_nothing_imports_its_neighbour():
    sideways = [
        f"{name} imports {target}"
        for name, target in EDGES
        if _floor(target) == _floor(name) < TOP
        and target != _block(name)
        and target not in FOR_EVERYBODY
    ]
    assert sideways == []


def test_wire_imports_only_the_standard_library():
    foreign = [
        f"{name} imports {imported}"
        for name, tree in MODULES.items()
        if _block(name) == "wire"
        for imported in _imports(name, tree)
        if imported.split(".")[0] not in sys.stdlib_module_names
        and not imported.startswith(("wslab.wire", "wslab.errors"))
    ]
    assert foreign == []


@pytest.mark.parametrize("module", ["asyncio", "socket", "ssl", "selectors"])
def test_wire_does_no_input_or_output(module):
    assert [
        name
        for name, tree in MODULES.items()
        if _block(name) == "wire"
        and module in {imported.split(".")[0] for imported in _imports(name, tree)}
    ] == []


HUB_KNOWS = ("calling", "wire", "errors", "failures", "pongs", "turns", "waits")


def test_hub_knows_asyncio_and_websockets_only():
    foreign = [
        f"{name} imports {imported}"
        for name, tree in MODULES.items()
        if _block(name) == "hub"
        for imported in _imports(name, tree)
        if imported.split(".")[0] not in sys.stdlib_module_names | {"websockets"}
        and not imported.startswith(("wslab.hub", *(f"wslab.{name}" for name in HUB_KNOWS)))
    ]
    assert foreign == []


def test_threads_start_in_portal_only():
    started = [
        f"{name}:{line} calls {call}"
        for name, tree in MODULES.items()
        if name != "portal"
        for call, line in _calls(tree)
        if call in THREADS
    ]
    assert started == []


def test_sockets_open_behind_the_one_door():
    opened = [
        f"{name}:{line} calls {call}"
        for name, tree in MODULES.items()
        if _block(name) not in MAY_OPEN_SOCKETS
        for call, line in _calls(tree)
        if call in SOCKETS or call.rpartition(".")[2] in SOCKET_METHODS
    ]
    assert opened == []


def test_nested_loops_are_the_portals_alone():
    assert {
        name
        for name, tree in MODULES.items()
        if any(imported.startswith("nest_asyncio") for imported in _imports(name, tree))
    } <= {"portal"}


def test_importing_wslab_loads_no_widget_and_starts_no_thread():
    program = """
import sys, threading
import wslab
heavy = {"ipywidgets", "anywidget", "IPython", "nest_asyncio2", "nest_asyncio", "uvloop",
         "jupyter_client", "jupyter_server", "zmq", "tornado"}
print(sorted(heavy & set(sys.modules)), threading.active_count())
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=PACKAGE.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == "[] 1\n", done.stderr
    assert done.stderr == ""


# What waits in slices by its own means, or blocks on purpose.
WAITS_ITSELF = {
    "waits": "is the place for it",
    "boxes": "the bell of a queue, a slice at a time",
    "cli": "lines of a queue, a slice at a time; and another program's end",
    "client": "an event, a slice at a time",
    "hub.talk": "a condition, a slice at a time",
    "learn.lesson_04": "plays work that blocks",
}


BLOCKING = ("wait", "result", "exception", "join", "acquire", "get")


def _waits(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield what may block a thread for longer than a slice: not awaited, and given a time."""
    awaited = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Await)}
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        name, receiver = node.func.attr, _dotted(node.func.value).rpartition(".")[2]
        if id(node) in awaited or name not in BLOCKING:
            continue
        if name == "get":  # of a queue, not of a dict
            if any(keyword.arg == "timeout" for keyword in node.keywords):
                yield f"{receiver}.{name}", node.lineno
            continue
        if isinstance(node.func.value, ast.Call) and _dotted(node.func.value.func) == "super":
            continue  # how something waits for itself
        has_time = any(keyword.arg == "timeout" for keyword in node.keywords)
        if name == "join" and not has_time and "thread" not in receiver:
            continue  # of texts, of paths, of rooms
        if has_time or node.args or name in ("wait", "join"):
            yield f"{receiver}.{name}", node.lineno


def test_who_waits_by_its_own_means_does():
    assert [name for name in WAITS_ITSELF if not [*_waits(MODULES[name])]] == []


def test_a_thread_waits_in_slices_only():
    found = {
        f"{name}:{line} {call}"
        for name, tree in MODULES.items()
        if name not in WAITS_ITSELF
        for call, line in _waits(tree)
        if call not in ("asyncio.wait", "logger.exception")
    }
    assert found == set()


@pytest.mark.parametrize(
    "code",
    [
        "future.result(timeout)",
        "self._thread.join(5)",
        "event.wait()",
        "event.wait(2.0)",
        "lock.acquire(timeout=3)",
        "concurrent.futures.wait([future])",
        "future.exception(timeout=1)",
        "lines.get(timeout=1)",
    ],
)
def test_a_wait_is_found(code):
    assert len([*_waits(ast.parse(code))]) == 1


@pytest.mark.parametrize(
    "code",
    [
        "', '.join(parts)",
        "os.path.join(a, b)",
        "task.result()",
        "lock.acquire()",
        "async def f():\n await event.wait()",
    ],
)
def test_what_is_no_wait_is_not_taken_for_one(code):
    assert [*_waits(ast.parse(code))] == []
