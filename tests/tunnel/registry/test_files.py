"""Files in Jupyter's runtime directory: read while their owner lives, and swept away after."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from wslab.tunnel.registry import files
from wslab.tunnel.registry.files import NoEntry

NAME = f"wslab-{'a' * 32}.json"


def test_what_is_written_is_read_until_it_is_removed(tmp_path: Path) -> None:
    file = files.write(str(tmp_path), NAME, {"id": "x"})
    path = tmp_path / NAME
    assert path.stat().st_mode & 0o777 == 0o600
    assert [path] == list(tmp_path.iterdir())  # nothing else is left of writing it
    assert files.read(str(path))["id"] == "x"
    file.remove()
    file.remove()
    with pytest.raises(NoEntry, match="no such entry"):
        files.read(str(path))


def test_another_file_under_the_same_name_is_not_removed(tmp_path: Path) -> None:
    first = files.write(str(tmp_path), NAME, {})
    second = files.write(str(tmp_path), NAME, {"id": "second"})
    first.remove()
    assert files.read(str(tmp_path / NAME))["id"] == "second"
    second.remove()
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_removes_nothing(tmp_path: Path) -> None:
    script = f"""
import os
from wslab.tunnel.registry import files
file = files.write({str(tmp_path)!r}, {NAME!r}, {{}})
if os.fork() == 0:
    file.remove()
    os._exit(0)
os.wait()
print(files.read({str(tmp_path / NAME)!r})["pid"] == os.getpid())
file.remove()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_what_the_dead_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    mine = files.write(str(tmp_path), NAME, {})
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    dead = json.loads((tmp_path / NAME).read_text()) | {"pid": child.pid, "locked": False}
    for name in (f"wslab-{'b' * 32}.json", "wslab-tunnel-12.json", "wslab-notes.json", "x.json"):
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_text(json.dumps(dead))
    files.sweep(str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {NAME, "wslab-notes.json", "x.json"}
    mine.remove()
