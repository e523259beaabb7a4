"""What conditions cost a connection on which none is set, beside one that can have none.

``python -m tests.benchmarks.bench_conditions [--quick]``. Beside them stands one on which something
was set and cleared again: there a line stays in between. And the round trip in memory beside TCP's.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import wslab
from wslab.network import recording
from wslab.network.memory import MemoryNetwork
from wslab.network.networks import OneNetwork, ServerNetwork

from .bench_basics import in_turns, pipelined, round_trips, show
from .servers import echo, running

KINDS = (ServerNetwork, OneNetwork)


def _note_nothing(_self: Any, _connection: Any) -> None:
    pass


@contextlib.contextmanager
def no_conditions() -> Iterator[None]:
    """Let connections that are made meanwhile be as they were before there were conditions."""
    transport = recording.RecordedTransport
    names = ("pause_reading", "resume_reading", "close", "write_eof", "get_write_buffer_size")

    def bound(under: Any, *args: Any) -> Any:
        made = transport(under, *args)
        for name in names:  # past the methods that a line may take the place of
            setattr(made, name, getattr(under, name))
        return made

    with contextlib.ExitStack() as stack:
        for target, name, value in (
            (recording, "RecordedTransport", bound),
            *((kind, name, _note_nothing) for kind in KINDS for name in ("made", "lost")),
        ):
            stack.enter_context(mock.patch.object(target, name, value))
        yield


def _timed(client: wslab.Client, count: int) -> float:
    times = []
    for _ in range(count):
        began_s = time.perf_counter()
        client.send("hello")
        client.recv()
        times.append(time.perf_counter() - began_s)
    return statistics.median(times) * 1e6


def clients(url: str, count: int, rounds: int) -> dict[str, float]:
    """Return the round trip of a client of wslab with a server elsewhere, in microseconds."""
    with contextlib.ExitStack() as stack:
        with no_conditions():
            absent = stack.enter_context(wslab.connect(url))
        unused, cleared = (stack.enter_context(wslab.connect(url)) for _ in range(2))
        cleared.network.delay_s = 0.001
        cleared.network.clear()
        peers = {"no conditions": absent, "unused": unused, "set and cleared": cleared}
        return in_turns(
            {name: (lambda peer=peer: _timed(peer, count)) for name, peer in peers.items()}, rounds
        )


def in_memory(count: int, rounds: int) -> dict[str, float]:
    """Return the round trip of a client and a server of one process, in microseconds."""
    with contextlib.ExitStack() as stack:
        over_tcp = stack.enter_context(wslab.connect(stack.enter_context(wslab.serve(echo))))
        stack.enter_context(MemoryNetwork(seed=1))
        memory = stack.enter_context(wslab.connect(stack.enter_context(wslab.serve(echo))))
        return in_turns(
            {"TCP": lambda: _timed(over_tcp, count), "memory": lambda: _timed(memory, count)},
            rounds,
        )


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a smoke test")
    quick = parser.parse_args().quick
    rounds, count = (3, 500) if quick else (31, 1000)
    kinds = {
        "no conditions": "wslab-fast-unconditioned",
        "unused": "wslab-fast",
        "set and cleared": "wslab-fast-cleared",
    }
    with contextlib.ExitStack() as stack:
        urls = {name: stack.enter_context(running(kind)) for name, kind in kinds.items()}
        for url in urls.values():
            pipelined(url, 2000)
        trips: dict[str, Callable[[], float]] = {
            name: (lambda url=url: round_trips(url, count)) for name, url in urls.items()
        }
        show("echo round trip", in_turns(trips, rounds), "us", bigger_is_better=False)
        many: dict[str, Callable[[], float]] = {
            name: (lambda url=url: pipelined(url, count * 10)) for name, url in urls.items()
        }
        show(
            "echo, 100 messages on the way",
            in_turns(many, rounds),
            "messages/s",
            bigger_is_better=True,
        )
        figures = clients(urls["unused"], count, rounds)
        show("a client's round trip", figures, "us", bigger_is_better=False)
    figures = in_memory(count, rounds)
    show(
        "a round trip within one process, client and server on one loop",
        figures,
        "us",
        bigger_is_better=False,
    )


if __name__ == "__main__":
    main()
