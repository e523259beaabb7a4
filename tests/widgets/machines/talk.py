"""A tape of RESP as a node and a Redis would fill it, and nodes that are no processes."""

from __future__ import annotations

from typing import Any

from wslab.wire.tape.tape import Tape

SUBSCRIBED = b">3\r\n$9\r\nsubscribe\r\n$4\r\nchat\r\n:1\r\n"
MESSAGE = b">3\r\n$7\r\nmessage\r\n$4\r\nchat\r\n$5\r\nhello\r\n"


def command(*words: str) -> bytes:
    """Return a command as it is on the wire."""
    parts = b"".join(b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in words)
    return b"*%d\r\n%s" % (len(words), parts)


class Talk:
    """Connections to a Redis, on one tape."""

    def __init__(self, tape: Tape | None = None) -> None:
        self.tape = tape or Tape()
        self._count = 0

    def open(self, node: str = "node one") -> Any:
        self._count += 1
        return self.tape.open(f"c{self._count}", label=node)
