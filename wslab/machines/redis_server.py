"""RedisServer: a real redis-server of this machine, for a lesson: started, killed, started again.

Its rule: it listens on loopback only, keeps what it is told in a folder that goes with it (each
write at once, so that a kill loses nothing that was answered), and ends with this process. Where
there is no redis-server a stand-in in Python takes its place, if it is installed, and is called so;
where there is neither it says how to get one.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

from ..network.free_port import free_port
from ..notebook import cells
from ..wire.tape.tape import Tape
from .process import END_S, ChildProcess

__all__ = ["HOW_TO_GET_ONE", "RedisServer", "need_redis", "start_redis"]

HOW_TO_GET_ONE = (
    "Debian and Ubuntu: `sudo apt install redis-server`; macOS: `brew install redis`; conda: "
    "`conda install -c conda-forge redis-server`. Binder has it. Or a stand-in in Python, also on "
    'Windows: `pip install "fakeredis[lua]"`'
)
SETTLE_S = 0.5
_ATTEMPTS = 3  # at a port that somebody else takes meanwhile
_UP = b"Ready to accept connections"


def has_redis_server() -> bool:
    """Whether this machine has a redis-server."""
    return shutil.which("redis-server") is not None


def has_stand_in() -> bool:
    """Whether fakeredis is installed, and what runs its scripts."""
    return all(importlib.util.find_spec(name) is not None for name in ("fakeredis", "lupa"))


def need_redis() -> None:
    """Do nothing where there is a redis-server or its stand-in.

    Raises:
        RuntimeError: there is neither; it says how to get one.
    """
    if not has_redis_server() and not has_stand_in():
        raise RuntimeError(f"expected a redis-server on this machine, found none. {HOW_TO_GET_ONE}")


class RedisServer(ChildProcess):
    """One redis-server, or its stand-in; made by :func:`start_redis`.

    Attributes:
        is_stand_in: it is fakeredis, which loses its data where it is killed.
        port: where it listens; the same after each start.
        tape: what the nodes say to it and it to them, by way of their lines.
    """

    def __init__(self, claim: cells.Claim) -> None:
        self.is_stand_in = not has_redis_server()
        name = "Redis (stand-in)" if self.is_stand_in else "Redis"
        super().__init__(name, claim)
        self.port = 0
        self.tape = Tape(name=name)

    @property
    def url(self) -> str:
        """What clients connect to; nodes have lines of their own to it."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, again on the same port and with the data that it had; wait until it answers.

        Raises:
            RuntimeError: it does not, with the end of what it logged.
        """
        if self.is_alive:
            return
        is_chosen = not self.port
        for attempt in range(_ATTEMPTS if is_chosen else 1):
            if is_chosen:
                self.port = free_port()
            self.launch(self._command)
            try:
                self.wait_until(self._is_up, keeps=not is_chosen or attempt < _ATTEMPTS - 1)
                return
            except RuntimeError:
                if not is_chosen or attempt == _ATTEMPTS - 1:
                    raise

    @property
    def _command(self) -> list[str]:
        if self.is_stand_in:
            return [sys.executable, "-m", "wslab.machines.stand_in", str(self.port)]
        guard = str(Path(__file__).with_name("guard.py"))
        return [
            sys.executable, "-I", "-S", guard, "redis-server", "--bind", "127.0.0.1", "--port",
            str(self.port), "--dir", str(self.folder), "--pidfile", str(self.folder / "redis.pid"),
            "--save", "", "--appendonly", "yes", "--appendfsync", "always",
        ]  # fmt: skip

    def _is_up(self) -> bool:
        return _UP in (self.folder / "log.txt").read_bytes()

    def kill(self, timeout: float = 5.0) -> None:
        """End it at once, as a crash does. What it has answered it knows again when it is started.

        Args:
            timeout: seconds to wait for that.

        Raises:
            TimeoutError: it still runs.
        """
        if self.is_alive and not self.is_stand_in:
            self._was_killed = True
            self.tell("kill")
            self.ends_within(min(timeout, END_S))
        super().kill(timeout)

    def restart(self, *, keeps_data: bool = True) -> None:
        """Kill it, and start it again on its port.

        Args:
            keeps_data: False: it has lost all that it knew.
        """
        self.kill()
        if not keeps_data:
            shutil.rmtree(self.folder / "appendonlydir", ignore_errors=True)
        self.start()

    def ask(self, *words: Any) -> Any:
        """Send it one command, as redis-cli does, and return its answer.

        Args:
            words: such as ``"PUBSUB", "NUMSUB", "chat"``.

        Raises:
            redis.RedisError: it is down, or refuses the command.
        """
        import redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        retry = Retry(NoBackoff(), 0)
        with redis.Redis(host="127.0.0.1", port=self.port, socket_timeout=5, retry=retry) as client:
            return client.execute_command(*words)

    def await_subscribers(self, channel: str, count: int, timeout: float = 20.0) -> None:
        """Wait until so many connections listen to a channel, and have for half a second.

        redis-py's client subscribes again by itself where its connection broke off, and then says
        that it did: whoever runs it begins once more.

        Args:
            channel: its name.
            count: of connections.
            timeout: seconds.

        Raises:
            TimeoutError: fewer do, after that time.
        """
        deadline_s = time.monotonic() + timeout
        since_s = None
        while True:
            answer = self.ask("PUBSUB", "NUMSUB", channel)
            found = int(answer[1] if isinstance(answer, list) else next(iter(answer.values())))
            now_s = time.monotonic()
            if found < count:
                since_s = None
            elif since_s is None:
                since_s = now_s
            elif now_s - since_s > SETTLE_S:
                return
            if now_s > deadline_s:
                raise TimeoutError(
                    f"expected {count} subscribers of {channel!r} within {timeout:g} s, got {found}"
                )
            time.sleep(0.05)

    def hold(self) -> None:
        """Have it stand still: its connections stay open, and nothing answers."""
        self._signal_server(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal_server(signal.SIGCONT)

    def _signal_server(self, number: int) -> None:
        if self.is_stand_in:
            self.signal(number)
        elif self.is_alive:
            os.kill(int((self.folder / "redis.pid").read_text()), number)


def start_redis() -> RedisServer:
    """Start a redis-server on this machine, for this notebook; the same cell again replaces it.

    Raises:
        RuntimeError: there is none here, nor a stand-in, with how to get one; or it does not start.
    """
    need_redis()
    server = RedisServer(cells.claim("redis"))
    server.start()
    return server
