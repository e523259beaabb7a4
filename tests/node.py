"""Node and what npm brings, for tests that meet Socket.IO's own implementation.

`need` skips a module where they are missing, in one line, and fails it where REQUIRE_NODE is set.
A `Script` is a program that answers each line of JSON with one.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any, Self

import pytest

PROJECT = Path(__file__).resolve().parent.parent
# The project's own folder for what npm brings, unless the tests are told of another.
NODE = Path(os.environ.get("WSLAB_TEST_NODE") or PROJECT / ".node")
MODULES = NODE / "node_modules"


def need(*packages: str) -> None:
    """Skip what calls this unless there is node with these packages of npm; REQUIRE_NODE: fail."""
    missing = [name for name in packages if not (MODULES / name / "package.json").exists()]
    if shutil.which("node") is None:
        reason = "no node on the PATH; on Debian and Ubuntu: apt install nodejs"
    elif missing:
        wanted = "socket.io socket.io-client ws"
        reason = f"no {', '.join(missing)}; npm install --prefix .node {wanted}"
    else:
        return
    if os.environ.get("REQUIRE_NODE", "") not in ("", "0"):
        pytest.fail(f"REQUIRE_NODE is set, but there is {reason}")
    pytest.skip(reason)


class Script:
    """A running program of Node's, asked in lines of JSON; a context manager.

    Args:
        path: of the program; its ``process.argv[2]`` is npm's folder, for ``createRequire``.
        arguments: what follows that.
    """

    def __init__(self, path: Path, *arguments: str) -> None:
        self.process = subprocess.Popen(
            ["node", str(path), f"{MODULES}{os.sep}", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
        )

    def ask(self, question: Any) -> Any:
        """Return the answer to one question."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"node ended with {self.process.wait(10)}"
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.process.communicate(timeout=10)  # it reads the end of its input, and ends
