"""What is an entry to Jupyter's server, and what is none."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import wslab
from tests import peers
from tests.jupyters import Jupyter
from tests.tunnel.rig import through, untouched


def entry_file(jupyter: Jupyter, server: wslab.Server) -> Path:
    return jupyter.runtime / f"wslab-{server.tunnel_id}.json"


def forged(jupyter: Jupyter, server: wslab.Server, **changes: Any) -> str:
    """Write a second entry, held by nobody's lock but otherwise a living process's; its id."""
    content = json.loads(entry_file(jupyter, server).read_text())
    name = "f" * 32
    content |= {"id": name, "locked": False} | changes
    file = jupyter.runtime / f"wslab-{name}.json"
    file.touch(mode=0o600)
    file.write_text(json.dumps(content))
    return name


@pytest.fixture
def clean(jupyter: Jupyter) -> Iterator[Path]:
    file = jupyter.runtime / f"wslab-{'f' * 32}.json"
    yield file
    if file.is_symlink() or file.exists():
        file.unlink()


def test_an_entry_without_a_lock_counts_while_its_process_lives(
    jupyter: Jupyter, victim: wslab.Server, clean: Path
) -> None:
    assert through(jupyter, forged(jupyter, victim)) == 101  # or the next tests would show nothing
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert through(jupyter, forged(jupyter, victim, pid=child.pid)) == 404
    assert through(jupyter, forged(jupyter, victim, started="1")) == 404
    assert through(jupyter, forged(jupyter, victim, locked=True)) == 404


@pytest.mark.parametrize(
    "changes",
    [
        {"address": ["192.0.2.1", 80]},
        {"address": ["0.0.0.0", 80]},
        {"address": ["localhost", 80]},
        {"address": ["127.0.0.1", 0]},
        {"address": ["127.0.0.1", "80"]},
        {"address": ["127.0.0.1"]},
        {"address": "/etc/passwd"},
        {"address": "relative"},
        {"address": None},
        {"machine": "another"},
        {"secret": ""},
        {"secret": "x" * 40 + "\r\nX-Smuggled: 1"},
        {"id": "e" * 32},
        {"wslab": 2},
        {"pid": -1},
        {"pid": "1"},
        {"name": None},
        {"padding": "x" * 5000},
    ],
)
def test_an_entry_that_says_something_else_is_none(
    jupyter: Jupyter, victim: wslab.Server, clean: Path, changes: dict[str, Any]
) -> None:
    assert through(jupyter, forged(jupyter, victim, **changes)) == 404
    assert untouched(victim)


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o660, 0o606])
def test_an_entry_that_others_can_open_is_none(
    jupyter: Jupyter, victim: wslab.Server, clean: Path, mode: int
) -> None:
    name = forged(jupyter, victim)
    clean.chmod(mode)
    assert through(jupyter, name) == 404


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="needs root to give away")
def test_an_entry_of_another_user_is_none(
    jupyter: Jupyter, victim: wslab.Server, clean: Path
) -> None:
    name = forged(jupyter, victim)
    os.chown(clean, 65534, 65534)
    assert through(jupyter, name) == 404


def test_links_pipes_and_folders_are_no_entries(
    jupyter: Jupyter, victim: wslab.Server, clean: Path, tmp_path: Path
) -> None:
    name = forged(jupyter, victim)
    clean.rename(tmp_path / "entry")
    clean.symlink_to(tmp_path / "entry")
    assert through(jupyter, name) == 404
    clean.unlink()
    clean.hardlink_to(tmp_path / "entry")
    assert through(jupyter, name) == 404
    clean.unlink()
    os.mkfifo(clean, 0o600)
    assert through(jupyter, name) == 404
    clean.unlink()
    clean.mkdir(mode=0o700)
    assert through(jupyter, name) == 404
    clean.rmdir()
    for text in ("", "{", "[]", "null", "\xff", '{"wslab": 1}'):
        clean.write_text(text)
        clean.chmod(0o600)
        assert through(jupyter, name) == 404


SERVES_AND_DIES = """
import os, signal, wslab
async def handler(websocket): pass
server = wslab.serve(handler)
print(server.tunnel_id, server.port, flush=True)
input()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_entry_of_a_process_that_was_killed_is_stale(
    jupyter: Jupyter, victim: wslab.Server
) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", SERVES_AND_DIES],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )
    assert child.stdin is not None
    assert child.stdout is not None
    with child, child.stdin, child.stdout:
        name, port = child.stdout.readline().split()
        assert through(jupyter, name) == 101
        child.stdin.write("\n")
        child.stdin.flush()
        child.wait(10)
    file = jupyter.runtime / f"wslab-{name}.json"
    assert file.exists()
    with socket.create_server(("127.0.0.1", int(port))) as heir:  # another program has the port now
        heir.settimeout(0.2)
        assert through(jupyter, name) == 404
        with pytest.raises(TimeoutError):
            heir.accept()
    victim.restart()  # whoever comes next clears it away
    assert not file.exists()


def test_a_server_that_stopped_is_gone_at_once(jupyter: Jupyter, victim: wslab.Server) -> None:
    name, file = victim.tunnel_id, entry_file(jupyter, victim)
    assert file.stat().st_mode & 0o777 == 0o600
    victim.stop()
    assert not file.exists()
    assert through(jupyter, name) == 404


def test_a_server_whose_port_does_not_answer(
    jupyter: Jupyter, victim: wslab.Server, clean: Path
) -> None:
    name = forged(jupyter, victim, address=["127.0.0.1", peers.free_port()])
    assert through(jupyter, name) == 502
