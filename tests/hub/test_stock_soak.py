"""The stock clients' soak, short; and the proof that it notices what it is there to notice."""

from __future__ import annotations

import pytest

from tests.hub.rig import aio
from tests.hub.stock_soak import soak
from wslab.hub.server.namespace_link import NamespaceLink
from wslab.hub.server.prepared_message import PLAIN, Form


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "asgi"), [(1, False), (2, False), (3, True)])
@aio
async def test_stock_clients_that_come_and_go_lose_nothing_and_get_nothing_twice(seed, asgi):
    found = await soak(24, 4.0, seed, asgi)
    for what in ("recovered", "answers", "asked by the hub", "heard"):
        assert found.stats[what], f"{what} did not occur: {found.table()}"
    assert "nothing lost, nothing twice" in found.table()


@pytest.mark.parametrize("how", ["lost", "twice"])
@aio
async def test_it_notices_one_event_that_is(how, monkeypatch):
    true_write, numbers = NamespaceLink.write, iter(range(10**6))

    def write(self, message):
        if b'"count","all"' in b"".join(message.prepare(Form.of(self.dialect, PLAIN))):
            nth = next(numbers)
            if nth % 40 == 39 and how == "lost":
                return True
            if nth % 40 == 39:
                true_write(self, message)
        return true_write(self, message)

    monkeypatch.setattr(NamespaceLink, "write", write)
    with pytest.raises(AssertionError, match=r"heard \d+ of all after"):
        await soak(6, 4.0, 7)
