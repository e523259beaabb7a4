"""The faults: what may befall nodes, Redis and what lies between them, each a function of its own.

Its rule: a fault ends with everything repaired that it broke, and returns then; what the machines
need from there until they are right again, `histories` measures. Where a fault destroys what nobody
else has (Redis's data), ``may_lose`` says so: clients must then be told of it.
"""

from __future__ import annotations

import asyncio
import collections
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from tests.hub.machines.process import NodeProcess
from tests.hub.machines.relay import Relay
from tests.redis_server import RedisServer

__all__ = ["FAULTS", "Fault", "Machines"]

LEASE_S = 10.0
BITTEN = "output buffer limits"  # in what Redis logs then


class Machines(Protocol):
    """What a fault knows of where it happens.

    Args:
        nodes: the processes.
        wires: what lies between each and Redis.
    """

    random: random.Random
    redis: RedisServer
    nodes: list[NodeProcess]
    wires: dict[NodeProcess, Relay]
    answers: collections.Counter[str]

    async def replace(self, node: NodeProcess) -> None:
        """Start another in place of one that is dead."""

    def mourn(self, members: list[str]) -> None:
        """Expect that some node is told of each of these that it is lost."""

    async def chatter(self, size_bytes: int) -> None:
        """Have a node's own program say something large to everybody."""


@dataclass(frozen=True)
class Fault:
    """One fault.

    Args:
        name: in the table.
        happen: does it, and repairs it.
        needs_redis: whether it is one of the backplane.
        may_lose: whether something may be lost, if it is told.
        is_short: whether it has a place in the short form, in the suite.
    """

    name: str
    happen: Callable[[Machines], Awaitable[None]]
    needs_redis: bool = True
    may_lose: bool = False
    is_short: bool = False


async def nothing(run: Machines) -> None:
    await asyncio.sleep(1.0)


async def kill_a_node(run: Machines) -> None:
    """In the middle of what it emits, the one with most clients; another takes its place."""
    here = {node: (await node.ask("state"))["here"] for node in run.nodes}
    victim = max(run.nodes, key=lambda node: len(here[node]))
    await victim.kill()
    run.mourn(here[victim])
    await asyncio.sleep(0.5)
    await run.replace(victim)


async def hold_a_node(run: Machines) -> None:
    """It wakes after its lease has gone, and after its clients have."""
    victim = run.random.choice(run.nodes)
    victim.hold()
    await asyncio.sleep(LEASE_S + 3.0)
    victim.resume()


async def hold_redis(run: Machines) -> None:
    run.redis.hold()
    await asyncio.sleep(run.random.uniform(3.0, 7.0))
    run.redis.resume()


async def hold_redis_a_moment(run: Machines) -> None:
    """For too short a time that anybody may know."""
    run.redis.hold()
    await asyncio.sleep(run.random.uniform(0.2, 0.8))
    run.redis.resume()


async def restart_redis(run: Machines) -> None:
    await asyncio.to_thread(run.redis.kill)
    await asyncio.sleep(run.random.uniform(0.0, 2.0))
    await asyncio.to_thread(run.redis.start)


async def restart_redis_empty(run: Machines) -> None:
    await asyncio.to_thread(run.redis.restart, keeps_data=False)


async def _tell_redis(run: Machines, *words: Any) -> None:
    def tell() -> None:
        with run.redis.client() as client:
            client.execute_command(*words)

    await asyncio.to_thread(tell)


async def flush_all(run: Machines) -> None:
    await _tell_redis(run, "FLUSHALL")


async def flush_scripts(run: Machines) -> None:
    for _ in range(5):
        await _tell_redis(run, "SCRIPT", "FLUSH")
        await asyncio.sleep(0.2)


async def kill_subscribers(run: Machines) -> None:
    for _ in range(3):
        await _tell_redis(run, "CLIENT", "KILL", "TYPE", "pubsub")
        await asyncio.sleep(0.5)


async def kill_connections(run: Machines) -> None:
    for _ in range(3):
        await _tell_redis(run, "CLIENT", "KILL", "TYPE", "normal")
        await asyncio.sleep(0.5)


async def pause_redis(run: Machines) -> None:
    await _tell_redis(run, "CLIENT", "PAUSE", str(run.random.randrange(500, 4_000)), "ALL")
    await asyncio.sleep(4.0)


async def bite(run: Machines) -> None:
    """One node takes nothing in until Redis's output buffer for it is full, and Redis hangs up."""
    await _tell_redis(run, "CONFIG", "SET", "client-output-buffer-limit", "pubsub 65536 0 0")
    victim = run.random.choice(run.nodes)
    wire = run.wires[victim]
    wire.hold(outward=False)

    log = run.redis.folder / "redis.log"
    before = log.read_text().count(BITTEN)
    for _ in range(20):
        await run.chatter(200_000)
        if (bitten := log.read_text().count(BITTEN) - before) > 0:
            run.answers["output buffers that were full"] += bitten
            break
    wire.release()
    await _tell_redis(run, "CONFIG", "SET", "client-output-buffer-limit", "pubsub 33554432 0 0")


async def part(run: Machines) -> None:
    """One node and Redis do not hear each other, and nobody hangs up."""
    wire = run.wires[run.random.choice(run.nodes)]
    wire.hold()
    await asyncio.sleep(run.random.uniform(2.0, 6.0))
    wire.cut()  # what was on its way is lost, as after a partition
    wire.release()


async def part_for_long(run: Machines) -> None:
    """For longer than the lease."""
    wire = run.wires[run.random.choice(run.nodes)]
    wire.hold()
    await asyncio.sleep(LEASE_S + 3.0)
    wire.cut()
    wire.release()


async def unplug(run: Machines) -> None:
    """One node's connections to Redis break off, and it is refused for a while."""
    wire = run.wires[run.random.choice(run.nodes)]
    wire.is_refusing = True
    wire.cut()
    await asyncio.sleep(run.random.uniform(1.0, 3.0))
    wire.is_refusing = False


async def deafen(run: Machines) -> None:
    """One node is heard by Redis, and hears nothing of it."""
    wire = run.wires[run.random.choice(run.nodes)]
    wire.hold(outward=False)
    await asyncio.sleep(run.random.uniform(2.0, 6.0))
    wire.release()


FAULTS = (
    Fault("nothing", nothing, needs_redis=False),
    Fault("a node killed (-9)", kill_a_node, is_short=True),
    Fault("a node held beyond its lease", hold_a_node),
    Fault("Redis held (SIGSTOP)", hold_redis),
    Fault("Redis held for a moment", hold_redis_a_moment),
    Fault("Redis restarted with its data", restart_redis, is_short=True),
    Fault("Redis restarted without its data", restart_redis_empty, may_lose=True),
    Fault("FLUSHALL", flush_all, may_lose=True, is_short=True),
    Fault("SCRIPT FLUSH", flush_scripts, is_short=True),
    Fault("CLIENT KILL of subscribers", kill_subscribers, is_short=True),
    Fault("CLIENT KILL of the others", kill_connections),
    Fault("CLIENT PAUSE", pause_redis),
    Fault("output buffer limit", bite),
    Fault("a node parted from Redis", part),
    Fault("the same beyond its lease", part_for_long),
    Fault("a node unplugged from Redis", unplug),
    Fault("a node that Redis cannot reach", deafen),
)
