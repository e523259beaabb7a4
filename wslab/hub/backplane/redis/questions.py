"""Calls from one node of a hub to a client of another, and the answers on their way back.

Its rule: whoever asks hears something in the end: an answer, an error, that nobody is there, or
that it took too long. A node that can answer no more is noticed within two seconds where its
connections have ended, else when its lease does. A question is put once, and never again by itself:
where it or its answer is lost with a connection, nobody knows whether it was handled, and that is
what the error says.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import itertools
import json
import math
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, NamedTuple

from ....errors import BackplaneDown, CallFailed, ClientGone
from ...dialects.dialect import Said
from .link import RedisLink
from .packing import packed, unpacked
from .script import Script

__all__ = ["NodeQuestions"]

TOPIC: Final = "questions"
MAX_BYTES = 2**20  # of one question or answer: well below Redis's own output buffers
MAX_AT_WORK = 10_000  # questions of other nodes that are being answered
AT_WORK_BYTES = 64 * 2**20  # of these
SILENCES = 2  # looks, a second apart, at which a node heard nothing: then it is gone
_ASK, _ALIVE = Script("ask"), Script("alive")
_ERRORS = {"gone": ClientGone, "late": TimeoutError}

Answer = Callable[[str, Said, float | None], Awaitable[Said]]


class _Open(NamedTuple):
    node: str
    answer: asyncio.Future[Said]


class NodeQuestions:
    """One node's questions to others, and theirs to it; on the link's loop only.

    Args:
        link: to Redis.
        answer: asks a client of this node by its id, within so many seconds, and returns its
            answer; it raises CallFailed, ClientGone or TimeoutError.
        failed: called with what else it lets through, and with what comes and is no question.
    """

    def __init__(
        self, link: RedisLink, answer: Answer, failed: Callable[[BaseException], object]
    ) -> None:
        self._link, self._answer, self._failed = link, answer, failed
        keys = link.keys
        self._prefix = keys.channel("", TOPIC).removesuffix(f":{TOPIC}")
        self._numbers = itertools.count(1)
        self._open: dict[int, _Open] = {}
        self._silences: collections.Counter[str] = collections.Counter()
        self._at_work: dict[asyncio.Task[None], int] = {}
        self._at_work_bytes = 0

    async def start(self) -> None:
        """Hear what other nodes ask, from when Redis has confirmed it."""
        await self._link.listen(self._link.keys.channel(self._link.node_id, TOPIC), self._heard)

    async def close(self) -> None:
        """Ask and answer no more."""
        self._link.unlisten(self._link.keys.channel(self._link.node_id, TOPIC))
        self._fail_all("this process has ended its part")
        tasks = list(self._at_work)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    # Asking.

    async def ask(self, to: str, said: Said, timeout_s: float | None) -> Said:
        """Ask a client of whichever node, and return its answer.

        Args:
            to: a client's id, or a user's: of several clients, the one that came last.
            said: what it is asked.
            timeout_s: how long that may take.

        Raises:
            BackplaneDown: Redis is not there, or it broke off: then nobody knows the outcome.
            CallFailed: the client answered with an error.
            ClientGone: nobody goes by that, or it or its node has gone.
            TimeoutError: no answer came in time.
            ValueError: the question is too large.
        """
        number = next(self._numbers)
        rest = _question(number, self._link.node_id, said, timeout_s)
        answer: asyncio.Future[Said] = asyncio.get_running_loop().create_future()
        self._open[number] = _Open("", answer)  # its answer may come before what Redis says
        name = to.encode(errors="surrogatepass")
        try:
            async with asyncio.timeout(timeout_s):
                keys = [self._link.keys.nodes, self._link.keys.who(""), self._prefix]
                found = await self._link.run(_ASK, keys, [name, f":{TOPIC}", rest])
                if not found:
                    raise ClientGone(
                        f"nobody goes by {to!r:.80} at any process of this hub: expected the id of "
                        "a client that is connected, or its user_id; hub.everybody() lists them"
                    )
                node = found[0].decode()
                if not found[1]:
                    raise ClientGone(f"{to!r:.80} is at a process ({node}) that hears nothing now")
                self._open[number] = _Open(node, answer)
                return await answer
        except TimeoutError:
            if answer.done() and not answer.cancelled():
                raise  # its own words
            raise TimeoutError(
                f"{to!r:.80} did not answer {said.event!r} within {timeout_s:g} s. On the other "
                "side, a handler of that event returns the answer"
            ) from None
        finally:
            del self._open[number]
            answer.cancel()

    async def beat(self) -> None:
        """Look whether those who were asked can still answer; to be called once a second.

        Raises:
            BackplaneDown, redis.RedisError: Redis is not there.
        """
        nodes = list(dict.fromkeys(each.node for each in self._open.values() if each.node))
        if not nodes:
            self._silences.clear()
            return
        keys = [self._link.keys.nodes, self._prefix]
        alive = await self._link.run(_ALIVE, keys, [f":{TOPIC}", *nodes])
        for node, (is_leased, is_heard) in zip(nodes, alive, strict=True):
            self._silences[node] = 0 if is_heard else self._silences[node] + 1
            if not is_leased or self._silences[node] >= SILENCES:
                self._fail(node)

    def _fail(self, node: str) -> None:
        for each in tuple(self._open.values()):
            if each.node == node and not each.answer.done():
                each.answer.set_exception(
                    ClientGone(
                        f"it was asked, and its process ({node}) is there no more: whether it was "
                        "handled, nobody knows"
                    )
                )

    def down(self) -> None:
        """Note that Redis is not there: what is answered meanwhile is not heard."""
        self._fail_all(f"Redis is {self._link.status}")

    def _fail_all(self, why: str) -> None:
        for each in tuple(self._open.values()):
            if not each.answer.done():
                told = f"{why}, so that no answer can come: whether it was handled, nobody knows"
                each.answer.set_exception(BackplaneDown(told))

    # Hearing.

    def _heard(self, payload: bytes) -> None:
        kind, rest = payload[:1], payload[1:]
        try:
            if kind == b"?":
                self._asked(rest)
            elif kind == b"!":
                self._answered(rest)
        except (ValueError, TypeError, LookupError) as exc:  # it is none of ours
            self._failed(exc)

    def _answered(self, payload: bytes) -> None:
        head, *parts = unpacked(payload)
        number, error, is_several = json.loads(head)
        entry = self._open.get(number)
        if entry is None or entry.answer.done():
            return  # too late
        if error is None:
            entry.answer.set_result(Said("", parts[0], tuple(parts[1:]), None, is_several))
        else:
            entry.answer.set_exception(_exception(*error))

    def _asked(self, payload: bytes) -> None:
        to, head, *parts = unpacked(payload)
        number, asker, event, timeout_s, is_several = json.loads(head)
        size_bytes = len(payload)
        if len(self._at_work) >= MAX_AT_WORK or self._at_work_bytes + size_bytes > AT_WORK_BYTES:
            busy = "its process answers too many questions of others already"
            self._start(self._tell(asker, _reply(number, ("failed", "busy", busy))), 0)
            return
        said = Said(event, parts[0], tuple(parts[1:]), None, is_several)
        self._start(self._work(to.decode(), asker, number, said, timeout_s), size_bytes)

    def _start(self, work: Coroutine[Any, Any, None], size_bytes: int) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._at_work[task] = size_bytes
        self._at_work_bytes += size_bytes
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._at_work_bytes -= self._at_work.pop(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            self._failed(exc)

    async def _work(
        self, to: str, asker: str, number: int, said: Said, timeout_s: float | None
    ) -> None:
        error = None
        try:
            reply = _reply(number, None, await self._answer(to, said, timeout_s))
            if len(reply) > MAX_BYTES:
                told = f"expected an answer of at most {MAX_BYTES:,} bytes, got {len(reply):,}"
                error = ("failed", "too-large", told)
        except CallFailed as exc:
            error = ("failed", exc.code, str(exc))
        except ClientGone as exc:
            error = ("gone", "", str(exc))
        except TimeoutError as exc:
            error = ("late", "", str(exc))
        except Exception as exc:
            self._failed(exc)
            error = ("failed", "failed", f"its process could not ask it: {type(exc).__name__}")
        await self._tell(asker, reply if error is None else _reply(number, error))

    async def _tell(self, asker: str, reply: bytes) -> None:
        with contextlib.suppress(BackplaneDown):  # who asks will know it by then, or soon
            await self._link.command("PUBLISH", self._link.keys.channel(asker, TOPIC), reply)


def _question(number: int, asker: str, said: Said, timeout_s: float | None) -> bytes:
    if timeout_s is not None and not math.isfinite(timeout_s):
        timeout_s = None
    head = json.dumps([number, asker, said.event, timeout_s, said.is_several]).encode()
    question = packed([head, said.data, *said.attachments])
    if len(question) > MAX_BYTES:
        raise ValueError(
            f"expected at most {MAX_BYTES:,} bytes to ask a client of another process, got "
            f"{len(question):,}: Redis holds it for each that reads slowly. Ask in parts"
        )
    return question


def _reply(number: int, error: tuple[str, str, str] | None, said: Said | None = None) -> bytes:
    if error is not None:
        kind, code, told = error
        error = (kind, code, told[:2000])
    head = json.dumps([number, error, said is not None and said.is_several]).encode()
    parts = () if said is None else (said.data, *said.attachments)
    return b"!" + packed([head, *parts])


def _exception(kind: str, code: str, told: str) -> Exception:
    if kind == "failed":
        return CallFailed(told, code=code)
    return _ERRORS[kind](told)
