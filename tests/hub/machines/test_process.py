"""A node from outside: it answers, fails aloud, is held and killed, and nobody waits for it."""

from __future__ import annotations

import asyncio

import pytest

from tests.hub.machines.process import NodeGone, NodeProcess
from tests.hub.rig import aio

BOUND_S = 60.0


@pytest.mark.parametrize("carrier", ["websockets", "uvicorn"])
@aio
async def test_a_node_answers_until_it_is_killed_and_ends_with_its_input(carrier):
    async with asyncio.timeout(BOUND_S):
        node, other = (NodeProcess(lambda line: None) for _ in range(2))
        await asyncio.gather(node.start(None, carrier), other.start(None, carrier))
        assert (await node.ask("state"))["here"] == []
        assert await node.ask("everybody") == []
        with pytest.raises(RuntimeError, match="KeyError"):
            await node.ask("emit", uid=1)
        node.hold()
        assert not node.is_alive
        waiting = asyncio.ensure_future(node.ask("state"))
        await asyncio.sleep(0)
        await node.kill()
        with pytest.raises(NodeGone):
            await waiting
        await node.close()
        await other.close()
