"""What the tests of a replay share: scripts and records made by hand, and a program to record."""

from __future__ import annotations

from collections.abc import Iterable

from tests.peers import close_frame, frame, request
from wslab.replays.differences import Difference
from wslab.replays.script import Script, Step, scripts_of
from wslab.wire.tape.tape import Tape

ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n%b\r\n"
)
OPCODES = {"text": 1, "binary": 2, "ping": 9, "pong": 10}


def add_connection(
    tape: Tape,
    said: Iterable[tuple],
    *,
    name: str = "one",
    at_s: float = 0.0,
    headers: Iterable[str] = (),
    answer: bytes = ANSWER % b"",
    path: str = "/",
    ended: bool = False,
) -> None:
    """Record a connection on a tape.

    Args:
        said: ("client" or "server", text, bytes or a kind, and what it says), a tenth of a second
            apart: ("client", "hello"), ("server", "close", 1000, "bye"), ("client", "ping", b"1").
        ended: whether TCP ended.
    """
    track = tape.open(f"{name}-id", label=name, client_address="127.0.0.1:5", server_address=":6")
    track.client(request(6, *headers, path=path), at_s)
    track.server(answer, at_s + 0.05)
    for n, (sender, what, *more) in enumerate(said, 1):
        is_client = sender == "client"
        if what == "close":
            data = close_frame(*more, masked=is_client) if more else frame(8, masked=is_client)
        elif more:
            data = frame(OPCODES[what], *more, masked=is_client)
        elif isinstance(what, bytes):
            data = frame(2, what, masked=is_client)
        else:
            data = frame(1, what.encode(), masked=is_client)
        (track.client if is_client else track.server)(data, at_s + 0.1 * n)
    if ended:
        track.end()


def taped(*said: tuple, **options: object) -> Tape:
    """Return a record of one connection; see `add_connection`."""
    tape = Tape(name="made")
    add_connection(tape, said, **options)
    return tape


def script_of(*said: tuple, **options: object) -> Script:
    """Return a script of one connection; see `add_connection`."""
    [script] = scripts_of(taped(*said, **options))
    return script


def steps(sender: str, *messages: str | bytes) -> list[Step]:
    """Return the steps of one side's messages."""
    return [Step("message", sender, 0.1 * n, n, data) for n, data in enumerate(messages, 1)]


def kinds(differences: Iterable[Difference]) -> list[str]:
    """Return the kinds of differences, in the order in which they were found."""
    return [each.kind for each in differences]
