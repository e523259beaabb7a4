"""A Hub over Redis beside python-socketio with its AsyncRedisManager: one Redis, one run, in turns.

``python -m tests.benchmarks.bench_backplane [--quick] [--only emit crowd delay calls rooms cost]``.
Two nodes, each a process; the crowd speaks Socket.IO to both libraries, by bare sockets as in
`bench_hub`. What is timed is timed from the first word to the last byte at the last member of
*either* node; "x" is how many times python-socketio's figure a Hub's is. What a message costs
Redis is counted (INFO commandstats) for 1 to 8 nodes with one member each, with the CPU time of its
main thread beside it; what an idle node asks of it is taken off.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

from tests.redis_server import RedisServer

from .bench_hub import Crowd, Server
from .crowd_servers import raise_limit

NAMES = {"hub": "wslab.Hub", "socketio": "python-socketio, AsyncRedisManager"}
IDLE_S = 6.0  # two leases are renewed in it
NOT_COMMANDS = {"bytes in", "bytes out", "usec", "info", "idle"}


class RedisNode(Server):
    """One node of either kind."""

    def __init__(self, kind: str, url: str) -> None:
        self.kind, self.is_compressed = kind, False
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.backplane_servers", kind, url],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.port = int(self._answer())


class CrowdOfAll(Crowd):
    """So many clients of each node, whose frames are counted together."""

    def __init__(self, nodes: list[RedisNode], count: int) -> None:
        super().__init__(nodes[0], count, is_socketio=True)
        self.nodes = nodes
        for node in nodes[1:]:
            self.server, before = node, len(self)
            while len(self) < before + count:
                self._open(min(64, before + count - len(self)))
                self.wait(2 * (len(self) - before))
            while node.ask("members") < count:
                time.sleep(0.01)
            self.frames = 0
        self.server = nodes[0]
        time.sleep(1.0)  # for subscriptions

    def cpu_s(self) -> float:
        """Return what all nodes have spent since the last thing that they were told."""
        return sum(node.ask("spent")[1] for node in self.nodes)


@contextlib.contextmanager
def nodes_of(kind: str, url: str, count: int) -> Iterator[list[RedisNode]]:
    """Have so many nodes of a kind."""
    with contextlib.ExitStack() as stack:
        nodes = []
        for _ in range(count):
            nodes.append(RedisNode(kind, url))
            stack.callback(nodes[-1].close)
        yield nodes


# Figures, each of one kind, two nodes and the crowd of both.

Figures = dict[str, list[tuple[float, ...]]]


def emitted(crowd: CrowdOfAll, count: int, command: str = "emit") -> tuple[float, ...]:
    """Return messages a second from one node to both, and CPU milliseconds of both a message."""
    for node in crowd.nodes[1:]:
        node.tell("emit 0")  # from here its CPU time counts
    crowd.frames = 0
    crowd.server.tell(f"{command} {count}")
    crowd.wait(count * len(crowd))
    began_s, _ = crowd.server.ask("spent")
    return count / (crowd.last_s - began_s), crowd.cpu_s() / count * 1e3


def delayed(crowd: CrowdOfAll, count: int) -> tuple[float, ...]:
    """Return milliseconds until the last member has one message: the median, and 95 of 100."""
    delays = []
    for _ in range(count):
        crowd.frames = 0
        crowd.server.tell("emit 1")
        crowd.wait(len(crowd))
        began_s, _ = crowd.server.ask("spent")
        delays.append((crowd.last_s - began_s) * 1e3)
        time.sleep(0.01)
    delays.sort()
    return statistics.median(delays), delays[int(len(delays) * 0.95)]


@contextlib.contextmanager
def answering(node: RedisNode) -> Iterator[str]:
    """Have one client of a node that answers; its id there."""
    before = set(node.ask("who"))
    url = f"ws://127.0.0.1:{node.port}/socket.io/?EIO=4&transport=websocket"
    with connect(url, compression=None, ping_interval=None) as websocket:
        websocket.recv()
        websocket.send("40")
        websocket.recv()

        def answer() -> None:
            for message in websocket:
                if match := re.match(r'42(\d+)\["add"', str(message)):
                    websocket.send(f"43{match[1]}[5]")

        thread = threading.Thread(target=answer)
        thread.start()
        while not (new := set(node.ask("who")) - before):
            time.sleep(0.01)
        try:
            yield new.pop()
        finally:
            websocket.close()
            thread.join()


def called(nodes: list[RedisNode], client_id: str, count: int) -> tuple[float, ...]:
    """Return milliseconds that a call to the other node takes alone; calls a second, 50 at once."""
    alone_s = nodes[0].ask(f"call {count} 1 {client_id}")
    many_s = nodes[0].ask(f"call {count * 4} 50 {client_id}")
    return alone_s / count * 1e3, count * 4 / many_s


# What it costs Redis.


def stats_of(redis: RedisServer) -> dict[str, float]:
    """Return Redis's counts: calls of each command, bytes in and out, CPU of its one thread."""
    with redis.client() as client:
        commands, info, cpu = (client.info(part) for part in ("commandstats", "stats", "cpu"))
    found = {name.removeprefix("cmdstat_"): each["calls"] for name, each in commands.items()}
    spent_s = cpu["used_cpu_user_main_thread"] + cpu["used_cpu_sys_main_thread"]
    return found | {
        "bytes in": info["total_net_input_bytes"],
        "bytes out": info["total_net_output_bytes"],
        "usec": spent_s * 1e6,
    }


def _difference(after: dict[str, float], before: dict[str, float]) -> dict[str, float]:
    return {name: after[name] - before.get(name, 0.0) for name in after}


def cost(kind: str, redis: RedisServer, node_count: int, count: int) -> dict[str, float]:
    """Return what one message costs Redis with so many nodes, by what is counted.

    Also what an idle node asks of it in a second, as "idle".
    """
    with redis.client() as client:
        client.config_resetstat()
    with nodes_of(kind, redis.url, node_count) as nodes:
        crowd = CrowdOfAll(nodes, 1)
        try:
            emitted(crowd, 10)
            before, began_s = stats_of(redis), time.perf_counter()
            time.sleep(IDLE_S)
            idle, idle_s = _difference(stats_of(redis), before), time.perf_counter() - began_s
            before, began_s = stats_of(redis), time.perf_counter()
            emitted(crowd, count)
            spent, took_s = _difference(stats_of(redis), before), time.perf_counter() - began_s
        finally:
            crowd.close()
    found = {
        name: (value - idle.get(name, 0.0) / idle_s * took_s) / count
        for name, value in spent.items()
    }
    asked = sum(value for name, value in idle.items() if name not in NOT_COMMANDS)
    return found | {"idle": asked / idle_s / node_count}


def show_costs(redis: RedisServer, kinds: list[str], sizes: list[int], count: int) -> None:
    """Print what a message costs, by nodes."""
    print("\nwhat one message costs Redis, by nodes with one member each (counted; idle taken off)")
    for kind in kinds:
        print(f"  {NAMES[kind]}")
        for size in sizes:
            found = cost(kind, redis, size, count)
            commands = [
                f"{value:.2f} {name}"
                for name, value in sorted(found.items())
                if value >= 0.05 and name not in NOT_COMMANDS
            ]
            print(
                f"    {size} nodes: {found['bytes in']:,.0f} B in, "
                f"{found['bytes out']:,.0f} B out, "
                f"{found['usec']:.0f} us of CPU; an idle node asks {found['idle']:.1f} times a "
                f"second\n      {', '.join(commands)}",
                flush=True,
            )


def show_strangers(redis: RedisServer, kinds: list[str], count: int) -> None:
    """Print what Redis sends because of a message to a room that only its own node has."""
    print(
        "\nbytes that Redis sends for a message to a room that nobody is in, to both of 2 nodes "
        "(its answer to the sender is among them)"
    )
    for kind in kinds:
        with nodes_of(kind, redis.url, 2) as nodes:
            crowd = CrowdOfAll(nodes, 1)
            try:
                before = stats_of(redis)
                nodes[0].tell(f"wait {count} nobody-is-here")
                nodes[0].ask("spent")
                time.sleep(0.5)
                spent = _difference(stats_of(redis), before)
            finally:
                crowd.close()
        print(f"  {NAMES[kind]:<40}{spent['bytes out'] / count:>10.1f} B", flush=True)


# All of it.


def show(title: str, names: tuple[str, ...], figures: Figures) -> None:
    """Print a table, and how each figure of the Hub compares with python-socketio's."""
    print(f"\n{title}\n  {'':<40}" + "".join(f"{name:>16}" for name in names))
    for kind, rounds in figures.items():
        row = "".join(
            f"{statistics.median(column):>16,.2f}" for column in zip(*rounds, strict=True)
        )
        print(f"  {NAMES[kind]:<40}{row}")
    if len(figures) == 2:
        pairs = list(zip(figures["hub"], figures["socketio"], strict=True))
        ratios = [statistics.median(a[n] / b[n] for a, b in pairs) for n in range(len(names))]
        print(f"  {'x':<40}" + "".join(f"{ratio:>16.2f}" for ratio in ratios), flush=True)


def in_turns(
    kinds: list[str], url: str, members: int, rounds: int, measure: Callable[[CrowdOfAll], Any]
) -> Figures:
    """Have both kinds at once, and let them take turns, after a warm-up."""
    with contextlib.ExitStack() as stack:
        crowds = {}
        for kind in kinds:
            nodes = stack.enter_context(nodes_of(kind, url, 2))
            crowds[kind] = CrowdOfAll(nodes, members)
            stack.callback(crowds[kind].close)
        figures: Figures = {kind: [] for kind in kinds}
        for nth in range(rounds + 1):
            for kind, crowd in crowds.items():
                figure = measure(crowd)
                if nth:
                    figures[kind].append(figure)
    return figures


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds and members")
    choices = ("emit", "crowd", "delay", "calls", "rooms", "cost")
    parser.add_argument("--only", nargs="+", choices=choices, default=choices)
    parser.add_argument("--kinds", nargs="+", choices=tuple(NAMES), default=list(NAMES))
    parser.add_argument("--rounds", type=int)
    arguments = parser.parse_args()
    if sys.platform != "linux":
        print("the crowd needs epoll: Linux only")
        return
    raise_limit()
    rounds = arguments.rounds or (3 if arguments.quick else 7)
    members = 200 if arguments.quick else 1000
    kinds, only = arguments.kinds, arguments.only
    rate, cpu = "messages/s", "CPU ms/message"
    with tempfile.TemporaryDirectory() as folder, RedisServer(Path(folder)) as redis:
        with redis.client() as client:
            client.config_set("appendonly", "no")  # as most have it for such a purpose
        if "emit" in only:
            figures = in_turns(kinds, redis.url, 1, rounds, lambda crowd: emitted(crowd, 1000))
            show(
                "emits across two nodes with a member each, as fast as they go",
                (rate, cpu),
                figures,
            )
            figures = in_turns(
                kinds, redis.url, 1, rounds, lambda crowd: emitted(crowd, 500, "wait")
            )
            show("the same, each emit awaited", (rate, cpu), figures)
        if "crowd" in only:
            figures = in_turns(kinds, redis.url, members, rounds, lambda crowd: emitted(crowd, 20))
            show(f"emits to {members:,} members on each of two nodes", (rate, cpu), figures)
        if "delay" in only:
            for size in (1, members):
                figures = in_turns(kinds, redis.url, size, rounds, lambda crowd: delayed(crowd, 20))
                show(
                    f"delay of the last member of {size:,} on each of two nodes",
                    ("median ms", "95 % ms"),
                    figures,
                )
        if "calls" in only:
            figures = {kind: [] for kind in kinds}
            with contextlib.ExitStack() as stack:
                there = {}
                for kind in kinds:
                    nodes = stack.enter_context(nodes_of(kind, redis.url, 2))
                    # A node of python-socketio hears nothing before its first client.
                    stack.enter_context(answering(nodes[0]))
                    there[kind] = nodes, stack.enter_context(answering(nodes[1]))
                time.sleep(1.0)
                for nth in range(rounds + 1):
                    for kind, (nodes, client_id) in there.items():
                        figure = called(nodes, client_id, 200)
                        if nth:
                            figures[kind].append(figure)
            show("calls to a client of the other node", ("ms alone", "calls/s, 50"), figures)
        if "rooms" in only:
            show_strangers(redis, kinds, 1000)
        if "cost" in only:
            show_costs(redis, kinds, [1, 2, 4] if arguments.quick else [1, 2, 4, 8], 500)


if __name__ == "__main__":
    main()
