"""A process of ours is up when it says so, and ends: asked, killed, and with its starter."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import wslab
from wslab.machines.process import ChildProcess
from wslab.notebook import cells

READS = (
    "import os, shutil, sys; open('up', 'w').close(); sys.stdin.read(); shutil.rmtree(os.getcwd())"
)
IGNORES = "import time; open('up', 'w').close(); time.sleep(60)"


def child(program: str = READS, name: str = "child") -> ChildProcess:
    one = ChildProcess(name, cells.claim("child"))
    one.launch([sys.executable, "-c", program])
    one.wait_until((one.folder / "up").exists)
    return one


def is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_it_is_listed_while_it_runs_and_ends_when_asked():
    one = child()
    folder, pid = one.folder, one.pid
    [listed] = wslab.running()
    assert (listed.kind, listed.name) == ("childprocess", "child")
    assert listed.state == one.status == f"process {pid}"
    one.stop()
    assert one.status == "ended"
    assert not folder.exists()
    assert not wslab.running()
    one.stop()


def test_a_kill_is_told_from_an_end():
    one = child()
    one.kill()
    assert one.status == "killed"
    assert one.ended_at is not None
    assert one.pid is None
    one.kill()
    one.stop()
    assert not wslab.running()


def test_one_that_does_not_end_is_killed():
    one = child(IGNORES)
    one.stop()
    assert not one.is_alive


def test_shutdown_ends_all():
    pids = [child(name=name).pid for name in ("one", "two")]
    wslab.shutdown()
    assert not any(map(is_there, pids))


def test_one_that_ends_at_once_says_what_it_logged():
    one = ChildProcess("broken", cells.claim("child"))
    one.launch([sys.executable, "-c", "raise SystemExit('no such thing')"])
    with pytest.raises(
        RuntimeError, match=r"(?s)expected broken to be up.*has ended.*no such thing"
    ):
        one.wait_until(lambda: False)
    assert not one.folder.exists()
    assert not wslab.running()


STARTER = """
import sys, time
sys.path.insert(0, {root!r})
from tests.machines.test_process import child
print(child().pid, flush=True)
time.sleep(60)
"""


def test_it_ends_when_its_starter_is_killed():
    root = str(Path(__file__).parents[2])
    with subprocess.Popen(
        [sys.executable, "-c", STARTER.format(root=root)], stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        assert is_there(pid)
        starter.kill()
    deadline_s = time.monotonic() + 10
    while is_there(pid):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
