"""The public names as a person, an editor and a type checker meet them."""

from __future__ import annotations

import pydoc
import subprocess
import sys
from pathlib import Path

import pytest

import wslab
from wslab import errors

PROJECT = Path(__file__).resolve().parent.parent


def test_tab_and_help_know_every_name():
    assert len(set(wslab.__all__)) == len(wslab.__all__)
    assert [name for name in wslab.__all__ if name not in dir(wslab)] == []
    assert [name for name in wslab.__all__ if getattr(wslab, name) is None] == []
    text = pydoc.render_doc(wslab, renderer=pydoc.plaintext)
    assert [name for name in wslab.__all__ if name not in text] == []


def test_every_exception_is_at_the_top():
    kinds = [name for name in errors.__all__ if isinstance(getattr(errors, name), type)]
    assert [name for name in kinds if getattr(wslab, name, None) is not getattr(errors, name)] == []
    with pytest.raises(AttributeError, match="module 'wslab' has no attribute 'Serve'"):
        wslab.Serve  # noqa: B018


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


def test_help_describes_what_servers_and_clients_have():
    with wslab.serve(echo) as server, wslab.connect(server) as alice:
        for thing in (server, alice):
            described = pydoc.render_doc(type(thing), renderer=pydoc.plaintext)
            public = [name for name in vars(thing) if not name.startswith("_")]
            assert [name for name in public if f"{name}:" not in described] == []


# What a checker says of it: (a line, a part of the complaint or None).
TYPED = [
    ('server = wslab.serve(wslab.Hub(), name="chat")', None),
    ("wslab.Serve", 'has no attribute "Serve"'),
    ("wslab.Server.prot", 'has no attribute "prot"'),
    ('number: int = wslab.run(main, "x")', None),
    ('text: str = wslab.run(main, "x")', "Incompatible types"),
    ('text: str = wslab.run(main("x"))', "Incompatible types"),
    ("number: int = wslab.run(plain)", None),
    ("text: str = wslab.run(plain)", "Incompatible types"),
    ("number: int = wslab.connect(server).recv()", "Incompatible types"),
    ("wslab.Hub().emmit", 'has no attribute "emmit"'),
    ("client: int = chat", 'variable has type "int"'),
    ("wslab.run(chat, 1, 2)", None),
    ("number: int = wslab.run(chat, 1, 2)", "Incompatible types"),
    ('wslab.Hub().on("x", plain).nothing', "has no attribute"),
    ("number: int = heard(1)", "Incompatible types"),
    ("heard()", "Missing positional argument"),
    ("wslab.Tape().size_bites", 'has no attribute "size_bites"'),
]
BEFORE = """
import wslab

async def main(text: str) -> int:
    return 1

def plain() -> int:
    return 1

server = wslab.serve(wslab.Hub())

@wslab.Hub().on("chat")
async def chat(client: object, data: object) -> str:
    return "said"

@wslab.connect(server).on("chat")
def heard(data: object) -> str:
    return "heard"
"""


def test_a_typo_fails_in_mypy(tmp_path):
    file = tmp_path / "program.py"
    body = [f"def line_{n}() -> None:\n    {line}\n" for n, (line, _) in enumerate(TYPED)]
    file.write_text(BEFORE + "\n".join(body))
    config = tmp_path / "mypy.ini"
    config.write_text(f"[mypy]\nstrict = True\ncache_dir = {tmp_path / 'cache'}\n")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--config-file", config, "--no-error-summary", file],
        capture_output=True,
        text=True,
        cwd=PROJECT,
        timeout=110,
    )
    said = {}
    first = file.read_text().split("\n").index("def line_0() -> None:") + 1
    for line in done.stdout.splitlines():
        where, _, complaint = line.partition(": error: ")
        said.setdefault((int(where.rpartition(":")[2]) - first) // 3, complaint)
    assert done.stderr == ""
    for number, (line, wanted) in enumerate(TYPED):
        if wanted is None:
            assert number not in said, f"{line}: {said[number]}"
        else:
            assert wanted in said.get(number, "nothing"), line
    assert len(said) == sum(wanted is not None for _, wanted in TYPED), done.stdout
