"""Command lines as a shell runs them: real processes, real signals, real clients."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from websockets.sync import client

from tests.kernels import environment

WAIT_S = 30.0


WSLAB = (sys.executable, "-P", "-m", "wslab.cli.main")  # -P: as the script `wslab` does it


needs_posix = pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")


needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="no git on the PATH")


def connect(url: str, **kwargs: Any) -> Any:
    """Connect with websockets' own sync client, whatever proxies the environment names."""
    return client.connect(url, proxy=None, **kwargs)


def wslab(*arguments: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command line to its end."""
    return subprocess.run(
        [*WSLAB, *arguments],
        cwd=cwd,
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )


def refused(*arguments: str, cwd: Path | None = None, **env: str) -> str:
    """Run a command line that must be a user's mistake; return its one line."""
    done = wslab(*arguments, cwd=cwd, **env)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert re.fullmatch(r"wslab: [^\n]+\n", done.stderr), done.stderr
    return done.stderr


class Serving:
    """A `wslab serve` or `wslab tap` that has said its URL; at the end it is gone, by its pid."""

    def __init__(self, *arguments: str, command: str = "serve", cwd: Path | None = None) -> None:
        self.process = subprocess.Popen(
            [*WSLAB, command, *arguments],
            cwd=cwd,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.head = self.process.stdout.readline() + self.process.stdout.readline()
        found = re.search(r"ws://\S+", self.head)
        if found is None:
            raise AssertionError(self.head + "".join(self.process.communicate(timeout=WAIT_S)))
        self.url = found[0]

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def end(self, number: int) -> tuple[int, str, str]:
        """Send a signal; return the exit code and what was still printed to both streams."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=WAIT_S)
        return self.process.returncode, out, err

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=WAIT_S)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
