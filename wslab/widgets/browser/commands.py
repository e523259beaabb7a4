"""Commands: lines of JavaScript that wait for a page, and those that a page has not yet run.

Its rule: both are bounded, in number and in bytes; who puts in more is told so, and a page that
takes nothing gets no more. Nothing is sent here.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from .record import bytes_of

__all__ = ["Command", "CommandQueue", "CommandsUnderWay"]

MAX_WAITING = 10_000  # commands, and at most so many bytes of them:
MAX_WAITING_BYTES = 16 * 2**20
COMMANDS_A_TICK = 200
MAX_UNDER_WAY = 5 * COMMANDS_A_TICK  # that a page has not said it ran, and so many bytes:
MAX_UNDER_WAY_BYTES = 8 * 2**20


@dataclass(frozen=True, slots=True)
class Command:
    """A line of JavaScript that waits for the page."""

    number: int
    socket: int
    what: str
    data: str | bytes | None = None
    when_open: bool = False
    code: int | None = None
    reason: str | None = None

    @property
    def size_bytes(self) -> int:
        """About how much it is to send."""
        return 100 + bytes_of(self.data) + bytes_of(self.reason)

    def to_page(self, buffers: list[bytes]) -> dict[str, Any]:
        """Return it as JSON; bytes are put into ``buffers``."""
        said: dict[str, Any] = {"number": self.number, "socket": self.socket, "what": self.what}
        if isinstance(self.data, bytes):
            said["buffer"] = len(buffers)
            buffers.append(self.data)
        elif self.data is not None:
            said["data"] = self.data
        for name in ("code", "reason"):
            if getattr(self, name) is not None:
                said[name] = getattr(self, name)
        if self.when_open:
            said["when_open"] = True
        return said


class CommandQueue:
    """What a page shall do, first in, first out. Its user holds the lock."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._commands: deque[Command] = deque()
        self._numbered = 0

    def __len__(self) -> int:
        return len(self._commands)

    def put(self, socket: int, what: str, **how: Any) -> bool:
        """Put a command in line; False where too much waits already."""
        command = Command(self._numbered + 1, socket, what, **how)
        size_bytes = self.size_bytes + command.size_bytes
        if len(self._commands) >= MAX_WAITING or size_bytes > MAX_WAITING_BYTES:
            return False
        self._numbered, self.size_bytes = command.number, size_bytes
        self._commands.append(command)
        return True

    def take(self, max_commands: int, max_bytes: int) -> list[Command]:
        """Take out what the page shall do next: at least one command, if there is one."""
        taken: list[Command] = []
        size = 0
        while self._commands and len(taken) < max_commands:
            size += self._commands[0].size_bytes
            if taken and size > max_bytes:
                break
            command = self._commands.popleft()
            self.size_bytes -= command.size_bytes
            taken.append(command)
        return taken

    def clear(self) -> None:
        """Let go of all of them."""
        self._commands.clear()
        self.size_bytes = 0


class CommandsUnderWay:
    """What was sent to a page that has not said yet that it ran."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._commands: dict[int, Command] = {}

    def __len__(self) -> int:
        return len(self._commands)

    @property
    def room(self) -> int:
        """How many more commands may be sent in one batch."""
        if self.size_bytes >= MAX_UNDER_WAY_BYTES:
            return 0
        return max(0, min(COMMANDS_A_TICK, MAX_UNDER_WAY - len(self._commands)))

    @property
    def room_bytes(self) -> int:
        """How many more bytes of them."""
        return MAX_UNDER_WAY_BYTES - self.size_bytes

    def add(self, command: Command) -> None:
        """Note that a command was sent."""
        self._commands[command.number] = command
        self.size_bytes += command.size_bytes

    def ran(self, number: Any) -> Command | None:
        """Note that a command ran; return it, or None where it is not known."""
        command = self._commands.pop(int(number or 0), None)
        if command is not None:
            self.size_bytes -= command.size_bytes
        return command

    def clear(self) -> int:
        """Let go of all of them; return how many there were."""
        count = len(self._commands)
        self._commands.clear()
        self.size_bytes = 0
        return count
