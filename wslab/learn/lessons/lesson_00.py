"""The check of lesson 00: a server that speaks first.

Its rule: only the wire counts: the first frame of each connection, who sent it, and what it says.
"""

from __future__ import annotations

from typing import Any

from ..exercises import Miss, exercise
from ..testbench import BenchClient, TestBench, describe, nonce

CLIENTS = 3
TEXT = 1  # RFC 6455 §5.2


@exercise(
    "00 greeting",
    hints=(
        "Your line sends one message, and it stands before the loop: nothing that the client says "
        "is waited for.",
        "`await websocket.send(...)` sends a text frame when it is given a str. An f-string makes "
        'one of the name: f"hello {name}".',
    ),
    solution="solutions/00_start_here.py",
)
def greeting(handler: Any) -> str:
    """Connect under random names; each wire must begin with the greeting, then echo."""
    first_ms = []
    with TestBench(handler, wait_s=1.5) as bench:
        for _ in range(CLIENTS):
            name = nonce()
            first_ms.append(_greets(bench.connect(f"/{name}"), name))
        # All at once, the newest first: each one's echo is its own.
        for client in reversed(bench.clients):
            _echoes(client)
    return (
        f"{CLIENTS} clients with random names; on each wire the server's text frame came first, "
        f"at the latest {max(first_ms):.1f} ms after the connection opened, then the echo"
    )


def _greets(client: BenchClient, name: str) -> float:
    want = f"hello {name}"
    expected = f"as first frame the text {want!r} from the server, for the path /{name}"
    too_late = (
        "does your handler wait for a message before it greets, or is an `await` missing where it "
        "sends?"
    )
    try:
        got = client.recv(expected, too_late)
    except Miss as miss:
        if client.frames and client.frames[0].sender == "server":  # and no message: it closed
            miss.hint = (
                "the handler ended before it sent anything, and that closes the connection: a "
                "`return` does not send, `await websocket.send(...)` does"
            )
        raise
    frame = client.frames[0]
    opened_s = client.events[0].at_s
    said = describe(frame, opened_s)
    if frame.sender != "server":
        raise Miss(expected, said, too_late)
    if frame.opcode != TEXT:
        raise Miss(expected, said, "send a str: bytes go out as a binary frame")
    if got != want:
        raise Miss(expected, said, _why_other(str(got), name))
    return (frame.at_s - opened_s) * 1000


def _why_other(got: str, name: str) -> str:
    if f"/{name}" in got:
        return "websocket.request.path begins with a slash; the name is what follows it"
    if "{" in got:
        return 'an f is missing in front of the quotation mark: f"hello {name}"'
    if name not in got:
        return "the name is in websocket.request.path, another one for each connection"
    return "compare it letter by letter"


def _echoes(client: BenchClient) -> None:
    message = nonce()
    expected = f"the echo of {message!r} after the greeting"
    hint = "keep the loop that was there: it sends back whatever comes"
    client.send(message, expected, hint)
    got = client.recv(expected, hint)
    if got == message:
        return
    if isinstance(got, str) and message in got:
        hint = "the echo is the message itself, with nothing before or behind it"
    elif isinstance(got, str) and got.startswith("hello "):
        hint = "the greeting came twice: send it once, before the loop"
    raise client.miss(expected, hint=hint)
