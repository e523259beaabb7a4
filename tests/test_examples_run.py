"""Every example in the README and in a docstring runs, and gives what its comment says."""

from __future__ import annotations

import ast
import re
import textwrap
from pathlib import Path
from typing import Any

import pytest

import wslab
from wslab.learn.crowd import come_back
from wslab.widgets import ChatPanel, RoomMap, WhoIsHere
from wslab.widgets.tanks.tanks import Tanks

PROJECT = Path(__file__).resolve().parent.parent
# A block that Markdown takes for code: indented by four, behind an empty line.
INDENTED = re.compile(r"(?:\A|\n)\n((?:(?: {4}.*)?\n)* {4}.*)")


def run(code: str, names: dict[str, Any]) -> int:
    """Run an example statement by statement; return how many comments were compared."""
    compared = 0
    lines = code.splitlines()
    for statement in ast.parse(code).body:
        source = ast.unparse(statement)
        if not isinstance(statement, ast.Expr):
            exec(compile(source, "example", "exec"), names)
            continue
        value = eval(compile(source, "example", "eval"), names)
        _, _, comment = lines[statement.end_lineno - 1].partition("  # ")
        try:
            expected = ast.literal_eval(comment.strip())
        except (SyntaxError, ValueError):
            continue  # words
        assert value == expected, source
        compared += 1
    return compared


@pytest.fixture
def names():
    """What an example takes for granted."""

    async def handler(websocket):
        async for message in websocket:
            await websocket.send(message)

    hub = wslab.Hub()  # with what a ChatPanel asks for
    hub.on("join", lambda client, data: client.join(data["room"]))
    hub.on("leave", lambda client, data: client.leave(data["room"]))
    hub.on("say", lambda client, data: hub.emit("say", data, to=data["room"]) and None)
    server = wslab.serve(hub)
    given = {"wslab": wslab, "handler": handler, "hub": hub, "server": server}
    given |= {"ChatPanel": ChatPanel, "RoomMap": RoomMap, "WhoIsHere": WhoIsHere}
    given |= {"NetworkControls": wslab.NetworkControls, "Tanks": Tanks, "come_back": come_back}
    given |= {name: wslab.connect(server, name=name) for name in ("alice", "fay", "sam")}
    yield given
    given["panel"].close() if "panel" in given else None
    wslab.shutdown()  # an example may give one name to two servers


def test_the_readmes(names):
    blocks = re.findall(r"```python\n(.*?)```", (PROJECT / "README.md").read_text(), re.DOTALL)
    assert len(blocks) >= 2
    assert sum(run(block, names) for block in blocks) >= 2


def in_docstrings() -> list[Any]:
    found = []
    for file in sorted((PROJECT / "wslab").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                continue
            for block in INDENTED.findall(ast.get_docstring(node) or ""):
                code = textwrap.dedent(block)
                try:
                    has_call = any(isinstance(n, ast.Call) for n in ast.walk(ast.parse(code)))
                except SyntaxError:
                    continue  # a table, a tree, a packet
                if has_call:
                    where = f"{file.relative_to(PROJECT)}:{getattr(node, 'name', 'module')}"
                    found.append(pytest.param(code, id=where))
    return found


@pytest.mark.parametrize("code", in_docstrings())
def test_a_docstrings(code, names):
    run(code, names)


def test_the_reference_is_written_and_knows_every_name(tmp_path):
    from tests.reference import write

    first = write(tmp_path)
    text = first.read_text()
    assert [name for name in wslab.__all__ if f'id="{name}"' not in text] == []
    assert (tmp_path / "wslab" / "hub.html").is_file()
