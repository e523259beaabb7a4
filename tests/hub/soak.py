"""The soak: a crowd that joins, leaves, talks, stalls, aborts and comes back, under a model.

    python -m tests.hub.soak --clients 500 --seconds 600 --seed 1 [--attacks]

Five hubs in this process, one a policy and two with history, and the clients with them: plain
websockets connections that speak the packets by hand, and Socket.IO's (`soak_stock`). What each of
them reads is held against `soak_model` at once; what they do is in `soak_people`. Its rule: the
decisions come from the seed, the timing does not; every wait is bounded. What fails a run is the
model and the counts of what is left. Memory is told, with clients and model in it; the second half
of a long run may add no more than GROWTH_BYTES, since by then every history is full.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import contextlib
import gc
import inspect
import json
import os
import random
import sys
import threading
import time
import traceback
import weakref
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed

from tests.hub import rig
from tests.hub.rig import inside, listening, sessions_of
from tests.hub.soak_attacks import TOKEN as ATTACKER
from tests.hub.soak_model import Fault, World
from tests.hub.soak_people import Call, Person
from tests.hub.soak_stock import WAYS, heartbeats, in_uvicorn
from wslab.hub import HubClient, Limits
from wslab.hub.server.hub_client import connection_of

WAIT_S = 20.0  # for anything that one client waits for
GROWTH_BYTES = 24 * 2**20
LONG_S = 300.0  # from here on memory counts
WORLDS: dict[str, dict[str, Any]] = {
    "oldest": {"slow": "drop-oldest", "backlog": 16},
    "latest": {"slow": "keep-latest", "backlog": 16},
    "strict": {"slow": "disconnect", "backlog": 12},
    "kept": {"slow": "disconnect", "backlog": 24, "history": 120, "session_s": 60.0},
    "short": {"slow": "drop-oldest", "backlog": 16, "history": 20, "session_s": 1.5},
}


def _held_by(things: list[Any], steps: int = 6) -> str:
    """Say what leads to the first of these, which should be gone: a line a holder, by its step."""
    known = {id(things), id(things[0])}
    found, told = [things[0]], [f"{things[0]!r} is held by"]
    for step in range(1, steps + 1):
        holders = [
            each
            for each in gc.get_referrers(*found)
            if id(each) not in known and each is not found and not inspect.isframe(each)
        ]
        known.update(map(id, holders), (id(holders), id(found)))
        found = holders
        told += [f"{step}: {type(each).__name__} {each!r:.120}" for each in found[:12]]
    return "\n  ".join(told)


class Soak:
    """The whole of it: hubs, people, the clock and the books.

    Args:
        clients: how many people.
        seconds: how long they act.
        seed: of all their decisions.
        attacks: let attackers in, in turns with quiet; honest clients' latency is told of both.
        stock: what part of the people without a session come by Socket.IO.
    """

    def __init__(
        self, clients: int, seconds: float, seed: int, attacks: bool = False, stock: float = 0.4
    ) -> None:
        self.clients, self.seconds, self.seed, self.attacks = clients, seconds, seed, attacks
        self.stock = stock
        self.wait_s = WAIT_S * max(1.0, clients / 200)
        self.random = random.Random(seed)
        self.stats: collections.Counter[str] = collections.Counter()
        self.faults: list[str] = []
        self.began_s = time.monotonic()
        self.ramp_s = min(clients / 100, seconds / 4)
        self.pace_s = max(0.1, clients / 200)
        self.is_settling = self.is_closing = False
        self.change = asyncio.Event()
        self.people: list[Person] = []
        self.worlds = [
            World(name, self.fault, limits=self.limits(), socketio=heartbeats(clients), **options)
            for name, options in WORLDS.items()
        ]
        self.waits: dict[object, tuple[str, Person, float]] = {}
        self.closed: collections.deque[tuple[Call, int]] = collections.deque()
        self.met: weakref.WeakSet[HubClient] = weakref.WeakSet()
        self.sockets: weakref.WeakSet[ServerConnection] = weakref.WeakSet()
        self.samples: list[dict[str, float]] = []
        self.worst_lag_s = 0.0
        self.phase = "quiet"
        self.latencies_s: dict[str, list[float]] = {"quiet": [], "attacked": []}
        self.attackers: dict[str, int] = {}

    def limits(self) -> Limits:
        """Return what the hubs shall bear: where they are attacked, little more than honest use."""
        if not self.attacks:
            return Limits(max_size=2**16)
        return Limits(
            max_size=2**16, rooms=200, rooms_per_client=15, gone_handlers=5, history_rooms=40,
            history_bytes=2**22 + 2**16 * self.clients, history_bytes_per_room=2**19,
            sessions=20 + self.clients // 5, answers_bytes=2**20, answers_bytes_per_session=2**18,
        )  # fmt: skip

    def fault(self, text: str, person: Person | None = None) -> None:
        """Keep what was wrong, and end the run."""
        if len(self.faults) < 5:
            trail = ""
            if person is not None:
                trail = f"\n  client {person.who} of {person.world.name}; its last steps:\n    "
                trail += "\n    ".join(person.log)
            self.faults.append(f"seed {self.seed}: {text}{trail}")
        self.change.set()

    @contextlib.asynccontextmanager
    async def bounded(self, what: str, person: Person) -> Any:
        """Let nobody wait for ever, and know who waits for what."""
        mark = object()
        self.waits[mark] = what, person, time.monotonic()
        try:
            async with asyncio.timeout(self.wait_s):
                yield
        except TimeoutError:
            self.fault(f"a hang: {what} took more than {self.wait_s} s; {self.who_waits()}", person)
        finally:
            del self.waits[mark]

    def who_waits(self) -> str:
        now_s = time.monotonic()
        return "; ".join(
            f"client {person.who} of {person.world.name} waits for {what} for {now_s - at_s:.1f} s"
            for what, person, at_s in list(self.waits.values())[:20]
        ) or "nobody waits"  # fmt: skip

    async def pause(
        self, seconds: float, over: asyncio.Event | None = None, also_settling: bool = False
    ) -> None:
        """Wait, but not beyond the end of a connection or of the soak."""
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            if (over is not None and over.is_set()) or self.is_closing:
                return
            if self.is_settling and not also_settling:
                return
            await asyncio.sleep(min(left_s, 0.2))

    async def until(self, predicate: Any, what: str, deadline_s: float | None = None) -> bool:
        deadline_s = deadline_s or self.wait_s
        end_s = time.monotonic() + deadline_s
        while not predicate():
            if self.faults:
                return False
            if time.monotonic() > end_s:
                self.fault(f"waited {deadline_s} s in vain until {what}; {self.who_waits()}")
                return False
            await asyncio.sleep(0.02)
        return True

    async def run(self) -> None:
        """Do it all; what was wrong is in ``faults``."""
        try:
            async with asyncio.timeout(self.seconds + 8 * self.wait_s):
                await self._run()
        except TimeoutError:
            self.fault(f"a hang: the soak did not come to its end; {self.who_waits()}")

    async def _run(self) -> None:
        self.before = self.sample()
        async with contextlib.AsyncExitStack() as stack:
            urls = [
                await stack.enter_async_context(
                    listening(
                        world.hub,
                        small_buffers=True,
                        write_limit=2048,
                        close_timeout=self.wait_s / 4,
                    )
                )
                for world in self.worlds
            ]
            stock_urls = [
                await stack.enter_async_context(in_uvicorn(world.hub)) for world in self.worlds
            ]
            for world in self.worlds:
                world.serve(self.meet)
            for who in range(self.clients):
                nth = who % len(self.worlds)
                self.people.append(Person(self, who, self.worlds[nth], urls[nth], stock_urls[nth]))
            tasks = [asyncio.create_task(self.life(person)) for person in self.people]
            try:
                if self.attacks:
                    for world in self.worlds:
                        world.be_attacked()
                    async with self.probing(urls), self.under_attack(urls):
                        await self.watch()
                    await self.until(self.attackers_are_gone, "the attackers are gone")
                else:
                    await self.watch()
                await self.settle()
                self.is_closing = True
                _, late = await asyncio.wait(tasks, timeout=2 * self.wait_s)
                if late:
                    self.fault(f"{len(late)} clients do not come to an end; {self.who_waits()}")
                await self.check_nothing_left()
            finally:
                for person in self.people:
                    if person.call is not None and person.call.reader is not None:
                        person.call.reader.cancel()
                        person.call.websocket.transport.abort()
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks, timeout=self.wait_s)

    def meet(self, client: HubClient) -> None:
        self.met.add(client)
        if isinstance(client.websocket, ServerConnection):  # else it came under ASGI
            self.sockets.add(client.websocket)

    async def life(self, person: Person) -> None:
        try:
            await person.live()
        except Exception as exc:
            self.fault(f"a client of the soak failed: {traceback.format_exc()}{exc!r}", person)

    # Attacks.

    @contextlib.asynccontextmanager
    async def under_attack(self, urls: list[str]) -> Any:
        """Let the attackers act and rest in turns, in a process of their own."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.hub.soak_attacks", str(self.seed), *urls,
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdin is not None
        turn_s = min(max(self.seconds / 8, 1.0), 10.0)

        async def take_turns() -> None:
            await asyncio.sleep(self.ramp_s)
            while True:
                for phase, command in (("quiet", b"off\n"), ("attacked", b"on\n")):
                    process.stdin.write(command)
                    await process.stdin.drain()
                    self.phase = ""  # in between, it is neither
                    await asyncio.sleep(turn_s / 5)
                    self.phase = phase
                    await asyncio.sleep(turn_s)

        turns = asyncio.create_task(take_turns())
        try:
            yield
        finally:
            turns.cancel()
            self.phase = ""
            out = b""
            process.stdin.close()
            try:
                async with asyncio.timeout(self.wait_s):
                    out, _ = await process.communicate()
            except TimeoutError:
                process.kill()
                await process.wait()
            self.attackers = json.loads(out) if out else {}
            if not out:
                self.fault(f"the attackers did not end as they should: {process.returncode}")

    def attackers_are_gone(self) -> bool:
        """Whether no connection of theirs is left, nor a handler at work for one."""
        return not any(
            client in world.attacked.clients
            for world in self.worlds
            for client in (*world.hub.clients.values(), *inside(world.hub).admission.leavers)
        )

    @contextlib.asynccontextmanager
    async def probing(self, urls: list[str]) -> Any:
        """Ask each hub for an answer, all the time, and note how long it takes."""

        async def probe(url: str) -> None:
            async with connect(
                f"{url}?attack=1&session={ATTACKER}of-the-probe", compression=None
            ) as websocket:
                await websocket.recv()
                number = 0
                while not self.is_settling and self.seconds:
                    number += 1
                    phase, began_s = self.phase, time.monotonic()
                    await websocket.send(f'{{"event":"attack-echo","data":{number},"id":{number}}}')
                    async with asyncio.timeout(self.wait_s):
                        while json.loads(await websocket.recv()).get("answer") != number:
                            pass
                    if phase and phase == self.phase:
                        self.latencies_s[phase].append(time.monotonic() - began_s)
                    await asyncio.sleep(0.02)

        probes = [asyncio.create_task(probe(url)) for url in urls]
        try:
            yield
        finally:
            for task in probes:
                task.cancel()
            for found in await asyncio.gather(*probes, return_exceptions=True):
                if isinstance(found, Exception):
                    self.fault(f"a probe failed: {found!r}")

    # Watching.

    def sample(self) -> dict[str, float]:
        with open("/proc/self/statm") as file:
            rss = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        return {
            "rss": rss,
            "tasks": len(asyncio.all_tasks()),
            "threads": threading.active_count(),
            "fds": len(os.listdir("/proc/self/fd")),
        }

    async def watch(self) -> None:
        """Look on while they act: does the model hold, does anything grow, is the loop busy?"""
        end_s = self.began_s + self.seconds
        next_s = 0.0
        while (now_s := time.monotonic()) < end_s and not self.faults:
            await asyncio.sleep(0.1)
            lag_s = time.monotonic() - now_s - 0.1
            self.worst_lag_s = max(self.worst_lag_s, lag_s)
            slowest_s = max(0.1, self.clients / 50)
            self.pace_s = min(slowest_s, self.pace_s * (1.02 if lag_s > 0.05 else 0.998))
            self.pace_s = max(0.1, self.clients / 250, self.pace_s)
            try:
                for world in self.worlds:
                    world.check()
                self.judge_closed()
            except Fault as exc:
                self.fault(str(exc))
            if now_s >= next_s:
                next_s = now_s + max(0.5, self.seconds / 100)
                self.samples.append(self.sample())
                self.judge_counts(self.samples[-1])

    def judge_counts(self, sample: dict[str, float]) -> None:
        here = 2 * self.clients + 50
        away = sum(len(sessions_of(world.hub)) for world in self.worlds if world.keeps)
        limits = {
            "tasks": 8 * here + 800 * self.attacks,
            "fds": 2 * here + 50 + 300 * self.attacks,
            "threads": 60,
        }
        for name, limit in limits.items():
            if sample[name] > limit:
                self.fault(f"growth: {sample[name]} {name}, expected at most {limit}")
        if len(self.met) > here + away + 300:
            gc.collect()
            if len(self.met) > here + away + 300:
                self.fault(f"growth: {len(self.met)} HubClients, {away} sessions")
        for world in self.worlds:
            for client in world.hub.clients.values():
                backlog = connection_of(client).send_queue
                # What it missed waits beside these, as references to what the history holds.
                if len(backlog._entries or ()) - backlog._essential > world.hub.limits.backlog:
                    self.fault(f"growth: {len(backlog)} messages wait for {client}")

    def judge_closed(self) -> None:
        """Hold connections without a session, once both sides are done, against the books."""
        for _ in range(len(self.closed)):
            call, code = self.closed.popleft()
            line = call.line
            if line.dropped is None:
                self.closed.append((call, code))
                continue
            inbox, person = line.book.inbox, call.person
            left = len(inbox.expected)
            told = f"{inbox.read} read, {inbox.missed} missed, {inbox.told} told as dropped, "
            told += f"{left} not read at its end; the hub dropped {line.dropped}"
            # The hub's own end of it is behind all that it sent before: then it must add up.
            lost = inbox.missed + left
            pending = sum(count for count in call.complaints.values() if count > 0)
            exact = code in (1013, 4000) and lost <= line.dropped <= lost + pending
            if not exact and code in (1013, 4000):
                self.fault(f"lost or twice: it does not add up: {told}", person)
            elif inbox.told > line.dropped or inbox.missed > line.dropped:
                self.fault(f"lost: more than was dropped: {told}", person)

    # The end.

    async def settle(self) -> None:
        """Let everybody fall silent and come back, and hold what they have read against all."""
        self.is_settling = True
        quiet = await self.until(
            lambda: all(person.is_quiet for person in self.people), "all are connected and quiet",
            3 * self.wait_s,
        )  # fmt: skip
        for _ in range(2 if quiet else 0):  # the second one after all backlogs are empty
            fenced = [person.call.emit("echo", is_call=True) for person in self.people]
            with contextlib.suppress(ConnectionClosed):
                await asyncio.gather(*fenced)
            await self.until(
                lambda: (
                    all(person.is_quiet for person in self.people)
                    and not any(
                        c.queued for world in self.worlds for c in world.hub.clients.values()
                    )
                ),
                "all are answered",
            )
        self.judge_closed()
        if self.faults:
            return
        try:
            for world in self.worlds:
                world.check(is_quiet=True)
                self.check_sessions(world)
        except Fault as exc:
            self.fault(str(exc))
        for person in self.people:
            try:
                self.check_settled(person)
            except Fault as exc:
                self.fault(str(exc), person)

    def check_sessions(self, world: World) -> None:
        """Every session that the hub keeps is one that is connected or was left behind."""
        if world.keeps:
            sessions_of(world.hub).prune(time.monotonic())
            for session in sessions_of(world.hub):
                token = session.token
                if token.startswith(ATTACKER):
                    continue
                book = world.by_token.get(token)
                if book is None or (book.is_over and not book.is_in_doubt):
                    raise Fault(f"{world.name} keeps a session that has ended: {token}")
                if session.received != book.taken:
                    raise Fault(f"{world.name} took {session.received}, its handlers {book.taken}")

    def check_settled(self, person: Person) -> None:
        inbox, call = person.book.inbox, person.call
        person.note(f"settled: {inbox.read} read, {inbox.missed} missed, {inbox.told} told")
        if inbox.expected:
            raise Fault(f"lost: {len(inbox.expected)} events did not come")
        if person.book.taken != person.serial:
            raise Fault(f"lost: {person.serial} packets sent, {person.book.taken} handled")
        inbox.check_latest()
        lost = inbox.missed + sum(n for code, n in call.complaints.items() if code != "failed")
        if not person.world.keeps:
            if not lost == inbox.told == call.line.client.dropped:
                raise Fault(
                    f"lost: {lost} did not come, the hub told of {inbox.told} and counts "
                    f"{call.line.client.dropped}"
                )
        elif (untold := inbox.missed - inbox.told) > 0:
            # The hub's word of it may have been on its way when a connection broke.
            self.stats["untold"] += untold
            if (
                not person.has_broken
                or self.stats["untold"] > 3 + person.world.stats["dropped"] / 100
            ):
                raise Fault(f"lost: {inbox.missed} did not come, the hub told of {inbox.told}")

    async def check_nothing_left(self) -> None:
        """All are gone: so must be everything that was made for them."""
        hubs = [world.hub for world in self.worlds]
        await self.until(
            lambda: not any(inside(hub).admission.alive for hub in hubs),
            "the hubs are done with all",
        )
        for world in self.worlds:
            world.end_away()
        left = {
            "clients": sum(len(hub.clients) for hub in hubs),
            "rooms": sum(len(hub.rooms) for hub in hubs),
            "running handlers": sum(
                inside(hub).handlers.running + inside(hub).handlers.waiting for hub in hubs
            ),
            "tasks of the hub": sum(len(inside(hub).loop.tasks) for hub in hubs),
            "lines": sum(len(world.lines) for world in self.worlds),
            "rooms of the model": sum(len(world.rooms) for world in self.worlds),
        }
        for world in self.worlds:
            if world.keeps:
                sessions = sessions_of(world.hub)
                sessions_of(world.hub).session_s = -1.0
                sessions_of(world.hub).prune(time.monotonic())
                left[f"sessions of {world.name}"] = len(sessions)
            world.by_token.clear()
        self.closed.clear()
        for person in self.people:
            person.book = person.call = None
        await asyncio.sleep(0.1)
        gc.collect()
        left["HubClients in memory"] = len(self.met)
        left["connections in memory"] = len(self.sockets)
        if not self.faults and any(left.values()):
            told = "left behind: " + ", ".join(f"{n} {what}" for what, n in left.items() if n)
            still = list(self.met) or list(self.sockets)
            self.fault(f"{told}; {_held_by(still)}" if still else told)
        after = self.sample()
        fds = after["fds"] - self.before["fds"] - 2 * len(hubs)
        servers = len(hubs) if rig.carrier == "asgi" else 0  # uvicorn's run in a task each
        if not self.faults and (fds > 0 or after["tasks"] > self.before["tasks"] + 2 + servers):
            self.fault(f"left behind: {fds} descriptors, tasks {asyncio.all_tasks()}")
        _, half, last = self.rss()
        if self.seconds >= LONG_S and last - half > GROWTH_BYTES:
            self.fault(f"growth: {(last - half) / 2**20:.1f} MiB in the second half")

    def rss(self) -> list[float]:
        """Return memory at 10 %, 50 % and 100 % of the run."""
        found = [sample["rss"] for sample in self.samples] or [0.0]
        return [found[min(int(len(found) * part), len(found) - 1)] for part in (0.1, 0.5, 1.0)]

    def table(self) -> str:
        """Return what happened, as lines."""
        stats, total = self.stats, collections.Counter[str]()
        for world in self.worlds:
            total.update(world.stats)
        took_s = time.monotonic() - self.began_s
        dropped = ", ".join(f"{w.stats['dropped']:,} {w.name}" for w in self.worlds)
        mib = " / ".join(f"{rss / 2**20:.0f}" for rss in self.rss())
        peaks = ", ".join(
            f"{max((int(each[name]) for each in self.samples), default=0)} {name}"
            for name in ("tasks", "threads", "fds")
        )
        rows = {
            "clients, seconds, seed": f"{self.clients}, {self.seconds:g} ({took_s:.0f} in all), "
            f"{self.seed}",
            "connections": f"{stats['connections']:,}, of these {stats['refused']} refused",
            "of stock clients": ", ".join(f"{stats['by ' + way]:,} {way}" for way in WAYS)
            + f" ({stats['went over']:,} went over)",
            "came back": f"{stats['resumed']:,} resumed, {stats['unknown']} unknown, "
            f"{stats['too old']} too old; {stats['replayed']:,} events replayed, "
            f"{stats['skipped']:,} skipped",
            "ends": f"{stats['abort']:,} aborts, {stats['close']:,} closed, {stats['bye']:,} sent "
            f"away, {stats['too slow']:,} too slow, {stats['taken over']:,} taken over, "
            f"{stats['late']} late",
            "stalls": f"{stats['flood']:,}",
            "emits": f"{total['emitted']:,} ({total['emitted'] / took_s:,.0f} a second)",
            "receivers": f"{total['sent']:,} sent, {total['queued']:,} queued first "
            f"({(total['sent'] + total['queued']) / took_s:,.0f} a second)",
            "dropped": f"{dropped}; not told, since the connection broke: {stats['untold']}",
            "read by clients": f"{stats['read']:,}",
            "calls": f"{stats['answers']:,} answered",
            "bad packets, failures": f"{stats['bad']:,}, {sum(w.booms for w in self.worlds):,}",
            "RSS at 10/50/100 %": f"{mib} MiB (clients and model included)",
            "most at once": peaks,
            "loop": f"worst lag {self.worst_lag_s * 1000:.0f} ms; a client acts every "
            f"{self.pace_s:.1f} s",
        }  # fmt: skip
        if self.attacks:
            rows |= self.attack_rows()
        lines = [f"{name:24}{value}" for name, value in rows.items()]
        return "\n".join([*lines, *(self.faults or ["nothing lost, nothing twice"])])

    def attack_rows(self) -> dict[str, str]:
        """Return what attackers did, what held them, and what it cost the others."""
        every = max(1, len(self.samples) // 12)
        times = {phase: sorted(found) or [0.0] for phase, found in self.latencies_s.items()}
        middle, worst = (
            {phase: found[int(len(found) * part)] * 1000 for phase, found in times.items()}
            for part in (0.5, 0.99)
        )
        limited: collections.Counter[str] = sum(
            (world.hub.limited for world in self.worlds), collections.Counter()
        )
        return {
            "attacks": ", ".join(f"{count:,} {what}" for what, count in self.attackers.items()),
            "held by limits": ", ".join(f"{count:,} {what}" for what, count in limited.items()),
            "RSS over time": " ".join(
                f"{sample['rss'] / 2**20:.0f}" for sample in self.samples[::every]
            ) + " MiB",
            "answer, quiet": f"median {middle['quiet']:.1f} ms, p99 {worst['quiet']:.1f} ms "
            f"({len(times['quiet']):,})",
            "answer, attacked": f"median {middle['attacked']:.1f} ms, p99 {worst['attacked']:.1f} "
            f"ms ({len(times['attacked']):,})",
        }  # fmt: skip


async def soak(clients: int, seconds: float, seed: int, attacks: bool = False, **more: Any) -> Soak:
    """Run one, and return it; AssertionError with the report where anything was wrong."""
    one = Soak(clients, seconds, seed, attacks, **more)
    await one.run()
    if one.faults:
        raise AssertionError("\n".join(one.faults))
    return one


def main() -> int:
    parser = argparse.ArgumentParser(description="a crowd at random, under a model")
    parser.add_argument("--clients", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--attacks", action="store_true", help="with attackers among the clients")
    parser.add_argument("--carrier", choices=rig.CARRIERS, default=rig.CARRIERS[0])
    arguments = parser.parse_args()
    rig.carrier = arguments.carrier

    async def run() -> Soak:
        one = Soak(arguments.clients, arguments.seconds, arguments.seed, arguments.attacks)
        await one.run()
        return one

    one = asyncio.run(run())
    print(one.table())
    return bool(one.faults)


if __name__ == "__main__":
    sys.exit(main())
