"""A history: nodes, a Redis, people and a seed; one fault after another, and what came of each.

    python -m tests.hub.machines --seconds 1200 --seed 1

Its rule: people act, a fault happens and is repaired, people rest, and then there is so much time
until all is right again: every node says so, everybody hears every node, and every node knows who
is there. Only then are the books closed. The decisions come from the seed, the timing does not.
"""

from __future__ import annotations

import asyncio
import collections
import concurrent.futures
import contextlib
import random
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.hub.machines.books import EVERYBODY, Books
from tests.hub.machines.clients import MAKES
from tests.hub.machines.faults import FAULTS, Fault
from tests.hub.machines.people import ROOMS, Person
from tests.hub.machines.process import NodeGone, NodeProcess
from tests.hub.machines.relay import Relay
from tests.redis_server import RedisServer

__all__ = ["Histories"]

RIGHT_S = 20.0  # in which all must be right again
SLOW_S = 2.0  # beyond it, the table says what was not right
ACT_S = 2.0  # before a fault
SMALL_BUFFER = 16_384  # so that Redis's own buffer fills
CARRIERS = ("websockets", "websockets", "uvicorn")


class Histories:
    """All of it, for one run.

    Args:
        seed: of all decisions.
        people: how many.
        nodes: how many processes; one alone has no Redis.
        pace_s: how long a person waits between two things, on average.
        makes: of clients, in turn.
        act_s: for how long people act before each fault.
    """

    def __init__(
        self,
        seed: int,
        people: int,
        nodes: int,
        pace_s: float = 0.1,
        makes: Sequence[Any] = tuple(MAKES.values()),
        act_s: float = ACT_S,
    ) -> None:
        self.makes, self.act_s = makes, act_s
        self.seed, self.count, self.node_count, self.pace_s = seed, people, nodes, pace_s
        self.has_redis = nodes > 1
        self.random = random.Random(seed)
        self.books = Books()
        self.answers: collections.Counter[str] = collections.Counter()
        self.handled: collections.Counter[int] = collections.Counter()
        self.mourned: collections.Counter[str] = collections.Counter()  # by "node/client"
        self.dead: set[str] = set()  # who is to be mourned
        self.people: list[Person] = []
        self.nodes: list[NodeProcess] = []
        self.wires: dict[NodeProcess, Relay] = {}
        self.is_pausing = self.is_closing = False
        self.door_url = ""
        self.slowest: dict[str, str] = {}  # what was right last, by fault
        self.latest = ""  # of what was not right, when it was looked at last

    def fail(self, text: str) -> None:
        self.books.page.fail(text)

    @property
    def wrong(self) -> list[str]:
        """All that went wrong, in words."""
        return [
            f"seed {self.seed}, {name or 'in between'}: {text}"
            for name, page in self.books.pages.items()
            for text in page.wrong
        ]

    # The machines.

    @contextlib.asynccontextmanager
    async def running(self) -> Any:
        """Have Redis, the nodes, the door and the people."""
        asyncio.get_running_loop().set_default_executor(
            concurrent.futures.ThreadPoolExecutor(2 * self.count + 8)
        )
        async with contextlib.AsyncExitStack() as stack:
            if self.has_redis:
                folder = stack.enter_context(tempfile.TemporaryDirectory())
                self.redis = RedisServer(Path(folder))
                await asyncio.to_thread(self.redis.start)
                stack.callback(self.redis.kill)
            self._stack = stack
            stack.push_async_callback(self._end_nodes)
            await asyncio.gather(*(self._start(nth) for nth in range(self.node_count)))
            door = await stack.enter_async_context(Relay(self._choose))
            self.door_url = f"ws://127.0.0.1:{door.port}/"
            self.people += (
                Person(self, self.makes[n % len(self.makes)], f"p{n}", self.random.randrange(2**62))
                for n in range(self.count)
            )
            tasks = [asyncio.create_task(self._life(person)) for person in self.people]
            try:
                yield
            finally:
                self.is_closing = True
                _, late = await asyncio.wait(tasks, timeout=RIGHT_S)
                for task in late:
                    self.fail(f"a person does not end: {task}")
                    task.cancel()
                await asyncio.wait(tasks)

    async def _life(self, person: Person) -> None:
        try:
            await person.live()
        except Exception:
            self.fail(f"{person.name} failed: {traceback.format_exc()} {list(person.steps)}")

    def _choose(self) -> int | None:
        alive = [node.port for node in self.nodes if node.is_alive]
        return self.random.choice(alive) if alive else None

    async def _start(self, nth: int) -> NodeProcess:
        node = NodeProcess(self._happened)
        url = None
        if self.has_redis:
            wire = await self._stack.enter_async_context(
                Relay(lambda: self.redis.port, buffer_bytes=16_384)
            )
            self.wires[node] = wire
            url = f"redis://127.0.0.1:{wire.port}/0"
        await node.start(url, CARRIERS[nth % len(CARRIERS)])
        self.nodes.append(node)
        return node

    async def replace(self, node: NodeProcess) -> None:
        """Start another in place of one that is dead."""
        nth = self.nodes.index(node)
        self.nodes.remove(node)
        await self._start(nth)

    async def _end_nodes(self) -> None:
        for node in self.nodes:
            try:
                await node.close()
            except NodeGone as exc:
                self.fail(str(exc))

    def _happened(self, line: dict[str, Any]) -> None:
        if "handled" in line:
            self.handled[line["handled"]] += 1
        elif "lost" in line:
            self.mourned[line["lost"]] += 1
            if self.mourned[line["lost"]] > 1:
                self.fail(f"member_lost was told twice of {line['lost']}")

    def mourn(self, members: list[str]) -> None:
        """Expect that some node is told of each of these that it is lost."""
        self.dead.update(members)

    async def chatter(self, size_bytes: int) -> None:
        """Have a node's own program say something large to everybody."""
        node = self.random.choice([node for node in self.nodes if node.is_alive])
        await self._say(node, EVERYBODY, size_bytes)

    async def _say(self, node: NodeProcess, room: str, size_bytes: int = 0) -> None:
        said = self.books.say(None, room)
        try:
            await node.ask("emit", uid=said.uid, room=room, pad="x" * size_bytes)
            self.books.done(said)
        except (NodeGone, RuntimeError) as exc:
            self.books.doubt(said)
            self.latest = repr(exc)

    # One after another.

    async def run(self, seconds: float, faults: tuple[Fault, ...] | None = None) -> None:
        """Have faults happen for so long, each at least once; those that were named, once each."""
        known = [each for each in FAULTS if self.has_redis or not each.needs_redis]
        end_s = time.monotonic() + seconds
        async with self.running():
            order = list(faults or known)
            while order or (faults is None and time.monotonic() < end_s):
                if not order:
                    order = list(known)
                    self.random.shuffle(order)
                if not await self.endure(order.pop(0)):
                    break

    async def endure(self, fault: Fault) -> bool:
        """Have one happen; whether all was right again."""
        await asyncio.sleep(self.act_s)
        self.books.fault = fault.name
        self.books.page.rounds += 1
        await fault.happen(self)
        repaired_s = time.monotonic()
        self.is_pausing, self.latest = True, ""
        try:
            async with asyncio.timeout(RIGHT_S):
                await self._until_right()
            took_s = time.monotonic() - repaired_s
            if took_s > max(self.books.page.right_s, default=SLOW_S):
                self.slowest[fault.name] = f"{took_s:.1f} s until right: {self.latest}"
            self.books.page.right_s.append(took_s)
            is_right = True
        except TimeoutError:
            self.fail(f"not right {RIGHT_S:g} s after it was repaired: {self.latest}")
            is_right = False
        self.books.close()
        self._tell_trails()
        self._judge(fault)
        self.books.fault = ""
        self.is_pausing = False
        return is_right

    def _tell_trails(self) -> None:
        wrong = self.books.page.wrong
        for person in self.people:
            name = person.member.name if person.member is not None else person.name
            if any(text.startswith(f"lost: {name} ") for text in wrong):
                self.fail(f"the last steps of {name}: {list(person.steps)}")

    def _judge(self, fault: Fault) -> None:
        page = self.books.page
        if page.told and not fault.may_lose:
            self.answers[f"told, though nothing had to be missing ({fault.name})"] = page.told
        again = sum(times - 1 for times in self.handled.values())
        self.handled.clear()
        self.answers["lost members told of"] += sum(self.mourned.values())
        self.dead.clear()
        self.mourned.clear()
        if again:
            self.answers[f"handled again ({fault.name})"] += again

    # Whether all is right again.

    async def _until_right(self) -> None:
        while True:
            try:
                if await self._is_right():
                    return
            except (NodeGone, RuntimeError) as exc:  # it does not answer, or says that it cannot
                self.latest = str(exc)
            await asyncio.sleep(0.1)

    async def _is_right(self) -> bool:
        restless = [each.name for each in self.people if not each.is_idle]
        if restless:
            steps = [list(each.steps)[-4:] for each in self.people if each.name in restless[:2]]
            self.latest = f"{restless} do not come to rest: {steps}"
            return False
        for node in self.nodes:
            state = await node.ask("state")
            if state["errors"]:
                self.fail(f"a node's handler failed {state['seen']} times: {state['errors'][-1]}")
            if state["status"] != ("up" if self.has_redis else "memory"):
                self.latest = f"a node says that its backplane is {state['status']}"
                return False
        for node in self.nodes:
            for room in (EVERYBODY, *ROOMS):
                await self._say(node, room)
        for _ in range(50):
            if not self.books.waiting():
                break
            await asyncio.sleep(0.1)
        else:
            late = list(self.books.missing())
            missing = [f"{member.name} {said.uid} to {said.room}, said in {said.fault or 'peace'}"
                       for said, member in late]  # fmt: skip
            theirs = {member for _, member in late}
            nodes = [(await node.ask("state"))["backplane"] for node in self.nodes]
            steps = [list(each.steps)[-12:] for each in self.people if each.member in theirs][:2]
            self.latest = f"{len(missing)} have not come: {missing[:5]}; {nodes}; {steps}"
            return False
        if not await self._is_known_who_is_there():
            return False
        unmourned = [each for each in self.dead if not self.mourned[each]]
        if len(unmourned) > 1:  # one may have left in the moment before its node died
            self.latest = f"no node was told that these are lost: {unmourned}, of {len(self.dead)}"
            return False
        return True

    async def _is_known_who_is_there(self) -> bool:
        there = sorted((each.user_id, sorted(each.member.rooms)) for each in self.people
                       if each.member)  # fmt: skip
        for node in self.nodes:
            found = sorted((user, sorted(rooms)) for user, rooms in await node.ask("everybody"))
            if found != there:
                wrong = [each for each in found if each not in there]
                missing = [each for each in there if each not in found]
                self.latest = (
                    f"a node finds {len(found)} there, of {len(there)}: not expected {wrong[:5]}, "
                    f"missing {missing[:5]}"
                )
                return False
        return True

    def table(self) -> str:
        """Return the table, as Markdown, and below it what else was counted."""
        rows = [
            "| fault | rounds | messages | due | lost | twice | told | gaps | unsure | "
            "out of order | seconds until right again |",
            "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        ]
        for name, page in self.books.pages.items():
            times = sorted(page.right_s) or [float("nan")]
            right = f"{times[len(times) // 2]:.1f} (at most {times[-1]:.1f})"
            rows.append(
                f"| {name or 'in between'} | {page.rounds or ''} | {page.messages:,} | "
                f"{page.due:,} | {page.lost} | {page.twice} | {page.told} | {page.gaps} | "
                f"{page.unsure} | {page.disordered} | {right if name else ''} |"
            )
        counted = [f"{what}: {count:,}" for what, count in sorted(self.answers.items())]
        counted += [f"{name}: {text:.300}" for name, text in self.slowest.items()]
        wrong = self.wrong or ["nothing lost without a word, nothing twice"]
        return "\n".join([*rows, "", *counted, *wrong])
