"""Calls between nodes, against a real Redis: each ends, whatever happens on the way."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.hub.backplane.redis.rig import fresh_name, linked
from tests.hub.backplane.redis.test_presence import QUICK, Node
from tests.hub.rig import aio, until
from wslab.errors import BackplaneDown, CallFailed, ClientGone
from wslab.hub.backplane.redis import questions as module
from wslab.hub.backplane.redis.questions import MAX_BYTES, NodeQuestions
from wslab.hub.dialects.dialect import Said


class Asking(Node):
    """A node whose clients answer as `answer` does; by default with what they were asked."""

    def __init__(self, link: Any, **options: Any) -> None:
        super().__init__(link, **options)
        self.asked: list[tuple[str, Said, float | None]] = []
        self.failures: list[BaseException] = []
        self.questions = NodeQuestions(link, self._answer, self.failures.append)
        link.down_listeners.append(self.questions.down)
        link.beat_listeners.append(self.questions.beat)

    async def _answer(self, to: str, said: Said, timeout_s: float | None) -> Said:
        self.asked.append((to, said, timeout_s))
        return await self.answer(said)

    async def answer(self, said: Said) -> Said:
        return said._replace(event="")


@contextlib.asynccontextmanager
async def node(url: str, name: str, **options: Any) -> AsyncIterator[Asking]:
    async with linked(url, name) as link:
        one = Asking(link, **(QUICK | options))
        await one.presence.up()
        await one.questions.start()
        try:
            yield one
        finally:
            await one.questions.close()


@aio
async def test_a_client_elsewhere_answers(redis_url: str) -> None:
    name = fresh_name()
    async with node(redis_url, name) as here, node(redis_url, name) as there:
        there.came("c1", user_id="u\ud800")
        await there.presence.everybody()
        said = Said("pick", b'[{"$binary":0},1]', (b"\x00\xff",), is_several=True)
        for to in ("c1", "u\ud800"):
            answer = await here.questions.ask(to, said, 5.0)
            assert answer == Said("", said.data, said.attachments, None, True)
        assert there.asked == [("c1", said, 5.0)] * 2
        assert (await there.questions.ask("c1", Said("own", b"null"), None)).data == b"null"
        assert here.failures == there.failures == []


@aio
async def test_of_several_clients_of_a_user_the_last_is_asked(redis_url: str) -> None:
    name = fresh_name()
    async with node(redis_url, name) as one, node(redis_url, name) as two:
        for where, id in ((one, "c1"), (two, "c2"), (one, "c3")):
            where.came(id, user_id="ana")
            await where.presence.everybody()
        for nobody_left, (where, id) in enumerate([(one, "c3"), (two, "c2"), (one, "c1")]):
            await two.questions.ask("ana", Said("who", b"1"), 5.0)
            assert where.asked[-1][0] == id, nobody_left
            where.presence.went(id)
            await where.presence.everybody()
        with pytest.raises(ClientGone, match=r"nobody goes by 'ana' .* hub\.everybody\(\)"):
            await two.questions.ask("ana", Said("who", b"1"), 5.0)


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (CallFailed("no card", code="refused"), (CallFailed, "no card")),
        (ClientGone("it left"), (ClientGone, "it left")),
        (TimeoutError("too slow"), (TimeoutError, "too slow")),
        (RuntimeError("a bug"), (CallFailed, "could not ask it: RuntimeError")),
    ],
    ids=repr,
)
@aio
async def test_errors_come_back_as_they_were(redis_url: str, raised: Any, expected: Any) -> None:
    name = fresh_name()
    async with node(redis_url, name) as here, node(redis_url, name) as there:
        there.came("c1")
        await there.presence.everybody()

        async def answer(said: Said) -> Said:
            raise raised

        there.answer = answer  # type: ignore[method-assign]
        with pytest.raises(expected[0], match=expected[1]) as found:
            await here.questions.ask("c1", Said("pick", b"1"), 5.0)
        if isinstance(raised, CallFailed):
            assert found.value.code == "refused"
        assert there.failures == ([raised] if isinstance(raised, RuntimeError) else [])


@aio
async def test_an_answer_has_a_deadline(redis_url: str) -> None:
    name = fresh_name()
    async with node(redis_url, name) as here, node(redis_url, name) as there:
        there.came("c1")
        await there.presence.everybody()
        late = asyncio.Event()

        async def answer(said: Said) -> Said:
            await late.wait()
            return said

        there.answer = answer  # type: ignore[method-assign]
        with pytest.raises(TimeoutError, match="did not answer 'pick' within 0.05 s"):
            await here.questions.ask("c1", Said("pick", b"1"), 0.05)
        late.set()  # what comes now is nobody's
        await until(lambda: not there.questions._at_work)
        assert not here.questions._open
        assert (await here.questions.ask("c1", Said("pick", b"2"), 5.0)).data == b"2"


async def stuck(there: Asking) -> None:
    """Let a node's clients answer never."""

    async def answer(said: Said) -> Said:
        await asyncio.Event().wait()
        raise AssertionError

    there.answer = answer  # type: ignore[method-assign]
    there.came("c1")
    await there.presence.everybody()


@aio
async def test_a_node_that_dies_is_noticed_while_its_lease_runs(redis_url: str) -> None:
    name = fresh_name()
    async with node(redis_url, name) as here:
        async with node(redis_url, name, lease_s=60.0) as there:
            await stuck(there)
            asking = asyncio.ensure_future(here.questions.ask("c1", Said("pick", b"1"), None))
            await until(lambda: there.asked)
        # As of a process that was killed: its connections have ended, and no more.
        with pytest.raises(ClientGone, match="is there no more: whether it was handled, nobody"):
            async with asyncio.timeout(10):
                await asking
        with pytest.raises(ClientGone, match="that hears nothing now"):  # its lease still runs
            await here.questions.ask("c1", Said("pick", b"1"), 5.0)


@aio
async def test_a_node_that_stands_still_is_noticed_when_its_lease_ends(redis_url: str) -> None:
    name = fresh_name()
    async with node(redis_url, name) as here, linked(redis_url, name, beat_s=60) as link:
        there = Asking(link, **QUICK)  # which renews nothing
        await there.presence.up()
        await there.questions.start()
        await stuck(there)
        with pytest.raises(ClientGone, match="is there no more"):
            async with asyncio.timeout(10):
                await here.questions.ask("c1", Said("pick", b"1"), None)
        await there.questions.close()


@aio
async def test_where_the_link_breaks_it_is_said_that_nobody_knows(redis_url: str) -> None:
    name = fresh_name()
    async with node(redis_url, name) as here, node(redis_url, name) as there:
        await stuck(there)
        asking = asyncio.ensure_future(here.questions.ask("c1", Said("pick", b"1"), None))
        await until(lambda: there.asked)
        clients = (await there.link.command("CLIENT", "LIST")).decode().splitlines()
        for client in clients:
            if f"name=wslab:{here.link.node_id}:" in client:
                [id] = [word[3:] for word in client.split() if word.startswith("id=")]
                await there.link.command("CLIENT", "KILL", "ID", id)
        with pytest.raises(BackplaneDown, match="whether it was handled, nobody knows"):
            await asking
        await until(lambda: here.link.status == "up")
        there.answer = Asking.answer.__get__(there)  # type: ignore[method-assign]
        assert (await here.questions.ask("c1", Said("pick", b"2"), 5.0)).data == b"2"


@aio
async def test_what_is_too_large_is_refused_both_ways(redis_url: str) -> None:
    name = fresh_name()
    async with node(redis_url, name) as here, node(redis_url, name) as there:
        there.came("c1")
        await there.presence.everybody()
        with pytest.raises(ValueError, match=f"at most {MAX_BYTES:,} bytes to ask"):
            await here.questions.ask("c1", Said("pick", b"x" * MAX_BYTES), 5.0)

        async def answer(said: Said) -> Said:
            return Said("", b"x" * MAX_BYTES)

        there.answer = answer  # type: ignore[method-assign]
        with pytest.raises(CallFailed, match="an answer of at most") as found:
            await here.questions.ask("c1", Said("pick", b"1"), 5.0)
        assert found.value.code == "too-large"


@aio
async def test_a_flood_of_questions_is_bounded_in_bytes(redis_url: str, monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "AT_WORK_BYTES", 10_000)
    name = fresh_name()
    async with node(redis_url, name) as here, node(redis_url, name) as there:
        await stuck(there)
        said = Said("pick", b"x" * 2000)
        asking = [asyncio.ensure_future(here.questions.ask("c1", said, 30)) for _ in range(20)]
        await until(lambda: sum(each.done() for each in asking) == 16)
        for each in asking:
            if each.done():
                with pytest.raises(CallFailed, match="too many questions"):
                    each.result()
        assert there.questions._at_work_bytes <= 10_000
        await there.questions.close()
        for each in asking:
            each.cancel()
        await asyncio.gather(*asking, return_exceptions=True)


@aio
async def test_what_is_no_question_is_seen(redis_url: str) -> None:
    async with node(redis_url, fresh_name()) as here:
        channel = here.link.keys.channel(here.link.node_id, module.TOPIC)
        for payload in (b"", b"?", b"!3", b"?2:c13:abc", b"!7:[1,2,3]"):
            await here.link.command("PUBLISH", channel, payload)
        here.came("c1")
        await here.presence.everybody()
        assert (await here.questions.ask("c1", Said("pick", b"2"), 5.0)).data == b"2"
        assert len(here.failures) == 3  # and one answer to nobody
