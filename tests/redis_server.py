"""A real redis-server for tests: started, killed, held still, begun again with or without data.

`need` skips where there is none, in one line, and fails where REQUIRE_REDIS is set. Its rule: every
server is this process's own child, listens on loopback, and ends with its `with` block. A
test that only needs some Redis shares one (the fixture `redis_url`), under a hub's name of its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any, Self

import pytest
import redis

from tests.peers import free_port

__all__ = ["RedisServer", "need"]

START_S = 20.0


def need() -> None:
    """Skip what calls this unless there is a redis-server; REQUIRE_REDIS: fail."""
    if shutil.which("redis-server"):
        return
    reason = "no redis-server here (Debian's package redis-server)"
    if os.environ.get("REQUIRE_REDIS", "") not in ("", "0"):
        pytest.fail(f"REQUIRE_REDIS is set, but there is {reason}")
    pytest.skip(reason, allow_module_level=True)


class RedisServer:
    """One redis-server of our own, on a port that was free.

    Args:
        folder: where it keeps its data (an append-only file, each write at once).
        options: more of its configuration, such as ``client_output_buffer_limit="..."``: a name
            with ``_`` for ``-``.
    """

    def __init__(self, folder: Path, **options: str) -> None:
        self.folder = folder
        self.options = options
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """What clients connect to."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, on the same port as before, and wait until it answers.

        Raises:
            RuntimeError: it does not, with the end of what it logged.
        """
        deadline = time.monotonic() + START_S
        while True:
            is_chosen = not self.port
            if is_chosen:
                self.port = free_port()
            self._process = subprocess.Popen(
                ["redis-server", "--bind", "127.0.0.1", "--port", str(self.port), "--dir",
                 str(self.folder), "--logfile", str(self.folder / "redis.log"), "--save", "",
                 "--appendonly", "yes", "--appendfsync", "always",
                 *(part for name, value in self.options.items()
                   for part in ("--" + name.replace("_", "-"), value))],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
            while self._process.poll() is None and time.monotonic() < deadline:
                with contextlib.suppress(redis.RedisError), self.client() as client:
                    if client.info("server")["process_id"] == self._process.pid:
                        return
                time.sleep(0.02)
            self.kill()
            if (
                time.monotonic() > deadline or not is_chosen
            ):  # else somebody took the port meanwhile
                log = (self.folder / "redis.log").read_text()[-2000:]
                raise RuntimeError(f"redis-server on port {self.port} did not start:\n{log}")
            self.port = 0

    def client(self, **keywords: Any) -> redis.Redis:
        """Return a plain client of it, to look and to disturb; close it."""
        return redis.Redis(
            host="127.0.0.1", port=self.port, socket_timeout=10, retry=None, **keywords
        )

    def hold(self) -> None:
        """Have it stand still: its connections stay open, and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        """End it at once; what it has not written is lost."""
        if self._process is not None:
            self._process.kill()  # also while it stands still
            self._process.wait(START_S)
            self._process = None

    def restart(self, *, keeps_data: bool = True) -> None:
        """Kill it, and start it again on the same port."""
        self.kill()
        if not keeps_data:
            shutil.rmtree(self.folder / "appendonlydir", ignore_errors=True)
        self.start()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
