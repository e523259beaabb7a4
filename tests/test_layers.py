"""The rooms of the house, read from CONTRIBUTING.md's table, and the sources held to it.

Every import counts, also one inside a function or under TYPE_CHECKING. A room that is new gets a
row in the table.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "wslab"

# | `room` | noun | rule | `may` `import` |
_ROW = re.compile(r"^\| `([\w/]+?)/?` \|[^|]*\|[^|]*\|([^|]*)\|$", re.M)
ROOMS = {
    room: re.findall(r"`([\w/]+?)/?`", allowed)
    for room, allowed in _ROW.findall((PACKAGE.parent / "CONTRIBUTING.md").read_text("utf-8"))
}

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
    "taps",  # from its own port to the server behind it
    "tunnel",  # lives in Jupyter's server, where it carries bytes to a server of ours
    "examples",  # plain websockets programs to copy; wslab's own code is not involved
    "loops",  # asks its own descriptors for their names, and opens none
    "network",  # bytes below WebSocket, for handshakes made by hand
    "checkup",  # looks whether Jupyter's proxy reaches us, over HTTP
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


def _room(module: str) -> str:
    """Return the room of the table that a dotted name below wslab belongs to."""
    parts = module.split(".")
    return next(
        room
        for room in ("/".join(parts[:2]), parts[0], "__init__")
        if room in ROOMS or room == parts[0]
    )


def _edges() -> dict[str, set[str]]:
    """Return which of our modules each of our modules imports."""
    edges: dict[str, set[str]] = {name: set() for name in MODULES}
    for name, tree in MODULES.items():
        for imported in _imports(name, tree):
            root, _, rest = imported.partition(".")
            if root != "wslab":
                continue
            while rest not in MODULES and rest:
                rest = rest.rpartition(".")[0]
            edges[name].add(rest or "__init__")
    return {name: targets - {name} for name, targets in edges.items()}


MODULES = _modules()
EDGES = _edges()
# Circles that are still to be cut; the list may only get shorter.
STILL_CIRCLES: set[tuple[str, ...]] = set()
# What is still imported from a room above it, in one of those circles.
STILL_UP: set[tuple[str, str]] = set()


def test_the_sources_and_the_table_were_read():
    assert "server.server" in EDGES["__init__"]
    assert "loops.portal" in EDGES["server.server"]
    assert "wire" in ROOMS["network"]
    assert not set(ROOMS) ^ {_room(name) for name in MODULES}


def test_a_room_imports_only_rooms_above_it_in_the_table():
    order = list(ROOMS)
    assert [
        f"{room} may import {other}, which is not above it"
        for room, allowed in ROOMS.items()
        for other in allowed
        if other not in order[: order.index(room)]
    ] == []


def test_a_room_imports_what_the_table_says_and_no_more():
    found: dict[str, set[str]] = {room: set() for room in ROOMS}
    for name, targets in EDGES.items():
        found[_room(name)] |= {_room(target) for target in targets} - {_room(name)}
    for room, other in STILL_UP:
        found[room].remove(other)
    assert {room: sorted(set(rooms)) for room, rooms in ROOMS.items()} == {
        room: sorted(rooms) for room, rooms in found.items()
    }


def _circles() -> set[tuple[str, ...]]:
    """Return the groups of files that import one another, directly or around."""
    reached: dict[str, set[str]] = {}
    for name in EDGES:
        seen, todo = set(), [name]
        while todo:
            new = EDGES[todo.pop()] - seen
            seen |= new
            todo += new
        reached[name] = seen
    return {
        tuple(sorted(other for other in seen if name in reached[other]))
        for name, seen in reached.items()
        if name in seen
    }


TESTS = PACKAGE.parent / "tests"
# What has no test file of its own, and where it is tested; the list may only get shorter.
TESTED_IN = {
    "client/ending": "client/test_close_diagnosis",
    "client/from_outside": "client/test_client",
    "client/opener": "client/test_connect",
    "errors": "test_public_names",
    "examples/echo": "cli/test_serve",
    "hub/backplane/backplane": "hub/backplane/test_memory",
    "hub/backplane/member": "hub/backplane/test_memory",
    "hub/backplane/redis/arrivals": "hub/backplane/redis/test_engine",
    "hub/backplane/redis/publisher": "hub/backplane/redis/test_engine",
    "hub/backplane/redis/renewals": "hub/backplane/redis/test_sessions",
    "hub/backplane/redis/rooms": "hub/backplane/redis/test_engine",
    "hub/backplane/redis/subscriptions": "hub/backplane/redis/test_link",
    "hub/backplane/redis/written": "hub/backplane/redis/test_session_writer",
    "hub/backplane/status": "hub/backplane/test_memory",
    "hub/dialects/dialect": "hub/dialects/test_plain_json",
    "hub/engineio/link": "hub/engineio/test_session",
    "hub/protocol/client_events": "hub/protocol/test_client_session",
    "hub/protocol/closed": "hub/server/test_websockets_link",
    "hub/server/delivery": "hub/server/test_emitter",
    "hub/server/emission": "hub/server/test_emitter",
    "hub/server/hub_context": "hub/server/test_hub",
    "hub/server/link": "hub/server/test_websockets_link",
    "hub/server/processes": "hub/server/test_members",
    "hub/server/replies": "hub/server/test_packet_handler",
    "hub/server/recipients": "hub/backplane/redis/test_engine",
    "hub/server/targets": "hub/server/test_emitter",
    "learn/forgotten_await": "learn/test_exercises",
    "learn/page_stand_in": "learn/lessons/test_lesson_07",
    "learn/startup": "learn/test_missing",
    "machines/guard": "machines/test_redis_server",
    "machines/serving": "machines/test_node",
    "machines/stand_in": "machines/test_redis_server",
    "network/in_use": "network/test_memory",
    "network/traffic": "network/test_recording",
    "websockets_compat/receive_queue": "websockets_compat/test_contract",
    "websockets_compat/turns": "network/test_recording",
    "replays/endings": "replays/test_server_side",
    "replays/run": "replays/test_replay",
    "widgets/attempts/editor": "widgets/handshake_editor/test_editor",
    "widgets/browser/page_sockets": "widgets/browser/test_browser",
    "widgets/browser/socket": "widgets/browser/test_browser",
    "widgets/browser/widget": "widgets/browser/test_browser",
    "widgets/chat/panel": "widgets/rooms/test_rooms",
    "widgets/chat/players": "widgets/rooms/test_rooms",
    "widgets/chat/static_html": "widgets/rooms/test_rooms",
    "widgets/frame_editor/attempt": "widgets/frame_editor/test_editor",
    "widgets/inspector/row_parts": "widgets/inspector/test_timeline",
    "widgets/panels/model": "widgets/panels/test_panel",
    "widgets/panels/static_html": "widgets/panels/test_panel",
    "widgets/rooms/model": "widgets/rooms/test_rooms",
    "widgets/rooms/static_html": "widgets/rooms/test_rooms",
    "wire/connection/half": "wire/connection/test_reader",
    "wire/connection/redacted_copy": "wire/files/test_loading",
    "wire/files/har_reader": "wire/files/test_har",
    "wire/files/pcapng_blocks": "wire/files/test_pcapng",
    "wire/files/pcapng_reader": "wire/files/test_pcapng",
    "wire/frames/close_codes": "wire/frames/test_decoder",
    "wire/frames/message_state": "wire/frames/test_decoder",
    "wire/frames/pending_frame": "wire/frames/test_decoder",
    "wire/sender": "wire/test_events",
    "wire/tape/cursor": "wire/tape/test_reader",
    "wire/tape/sample_queue": "wire/tape/test_sampling",
    "wire/tape/snapshot": "wire/tape/test_saving",
    "wire/tape/tally": "wire/tape/test_sampling",
    "wire/tape/track": "wire/tape/test_recorder",
}


def test_a_module_has_a_test_file_of_its_name():
    without = set()
    for path in PACKAGE.rglob("*.py"):
        module = path.relative_to(PACKAGE).with_suffix("")
        is_there = (TESTS / module.parent / f"test_{module.name}.py").is_file()
        if module.name != "__init__" and not is_there:
            without.add(module.as_posix())
    assert sorted(without) == sorted(TESTED_IN)
    assert [file for file in TESTED_IN.values() if not (TESTS / f"{file}.py").is_file()] == []


# Larger than 300 lines or 15 public members, with the reason in the docstring.
LARGE_CLASSES = {
    "client.client.Client", "hub.backplane.backplane.Backplane",
    "hub.backplane.memory.MemoryBackplane", "hub.backplane.redis.engine.RedisBackplane",
    "hub.backplane.redis.link.RedisLink", "hub.protocol.client_session.ClientSession",
    "hub.engineio.session.EngineSession", "hub.protocol.server_session.ServerSession",
    "hub.server.connection.Connection",
    "hub.server.hub.Hub", "hub.server.hub_client.HubClient",
    "hub.server.namespace_link.NamespaceLink",
    "network.line.Line", "network.line_conditions.LineConditions",
    "network.transport.MemoryTransport", "server.server.Server", "taps.tap.Tap",
    "wire.connection.reader.ConnectionReader",
    "wire.frames.decoder.FrameDecoder", "wire.frames.frame.Frame", "wire.tape.tape.Tape",
}  # fmt: skip


def _is_large(node: ast.ClassDef) -> bool:
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    members = {each.name for each in node.body if isinstance(each, functions)}
    public = [name for name in members if not name.startswith("_")]
    return (node.end_lineno or 0) - node.lineno + 1 > 300 or len(public) > 15


def test_no_file_and_no_class_is_a_giant():
    lengths = {path: path.read_text("utf-8").count("\n") for path in PACKAGE.rglob("*.py")}
    assert [str(path) for path, lines in lengths.items() if lines >= 600] == []
    assert {
        f"{name}.{node.name}"
        for name, tree in MODULES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and _is_large(node)
    } == LARGE_CLASSES


def test_the_walks_pass_files_that_are_there():
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text("utf-8")
    walks = text[text.index("## Three walks") : text.index("## Rules that")]
    files = re.findall(r"`([\w/]+\.(?:py|js))`", walks)
    assert len(files) > 40
    assert [file for file in files if not (PACKAGE / file).is_file()] == []


def test_no_two_files_import_each_other():
    assert _circles() == STILL_CIRCLES


def test_wire_imports_only_the_standard_library():
    foreign = [
        f"{name} imports {imported}"
        for name, tree in MODULES.items()
        if _room(name) == "wire"
        for imported in _imports(name, tree)
        if imported.split(".")[0] not in sys.stdlib_module_names
        and not imported.startswith("wslab.wire")
        # The one file that waits does so as everybody does.
        and not (name == "wire.tape.waiting" and imported.startswith("wslab.calls.waiting."))
    ]
    assert foreign == []


@pytest.mark.parametrize("module", ["asyncio", "socket", "ssl", "selectors"])
def test_wire_does_no_input_or_output(module):
    assert [
        name
        for name, tree in MODULES.items()
        if _room(name) == "wire"
        and module in {imported.split(".")[0] for imported in _imports(name, tree)}
    ] == []


def test_hub_knows_asyncio_and_websockets_only():
    foreign = [
        f"{name} imports {imported}"
        for name, tree in MODULES.items()
        if name.partition(".")[0] == "hub"
        for imported in _imports(name, tree)
        if imported.split(".")[0] not in sys.stdlib_module_names | {"websockets", "wslab"}
        # An extra, imported by whoever asks for such a backplane.
        and not (name.startswith("hub.backplane.redis.") and imported.startswith("redis."))
    ]
    assert foreign == []


def test_threads_start_in_loops_only():
    started = [
        f"{name}:{line} calls {call}"
        for name, tree in MODULES.items()
        if _room(name) != "loops"
        for call, line in _calls(tree)
        if call in THREADS
    ]
    assert started == []


def test_sockets_open_behind_the_one_door():
    opened = [
        f"{name}:{line} calls {call}"
        for name, tree in MODULES.items()
        if _room(name) not in MAY_OPEN_SOCKETS
        for call, line in _calls(tree)
        if call in SOCKETS or call.rpartition(".")[2] in SOCKET_METHODS
    ]
    assert opened == []


def test_loops_are_nested_in_one_file():
    assert {
        name
        for name, tree in MODULES.items()
        if any(imported.startswith("nest_asyncio") for imported in _imports(name, tree))
    } <= {"loops.nesting"}


def test_importing_wslab_loads_what_all_need_and_starts_no_thread():
    program = """
import sys, threading
import wslab
heavy = {"ipywidgets", "anywidget", "IPython", "nest_asyncio2", "nest_asyncio", "uvloop",
         "jupyter_client", "jupyter_server", "zmq", "tornado", "h11", "websockets.asyncio.server",
         "websockets.asyncio.client"}
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


def test_only_one_file_blocks_a_thread():
    found = {
        f"{name}:{line} {call}"
        for name, tree in MODULES.items()
        if name != "calls.waiting"
        for call, line in _waits(tree)
        if call not in ("asyncio.wait", "logger.exception")
    }
    assert found == set()
    assert [*_waits(MODULES["calls.waiting"])] != []


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
