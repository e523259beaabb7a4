"""Stock clients of Socket.IO against a Hub, as the Inspector shows them: one lane, no faults."""

from __future__ import annotations

import asyncio
import re

import pytest

import wslab
from tests.hub import stock
from tests.node import need
from tests.peers import until
from tests.widgets.inspector.tapes import rows_of
from wslab.hub import Args

CLIENTS = {"node": stock.node, "python": stock.python}
# What python-socketio's client says on its way out, behind its own close frame.
ITS_OWN = {"python": {"data-after-close"}, "node": set()}


def talk(name: str, transports: list[str] | None) -> list[dict]:
    """Return the rows of one client's visit."""
    hub = wslab.Hub()
    hub.on("echo", lambda client, *args: Args(*args))

    async def visit(url: str) -> None:
        options = {} if transports is None else {"transports": transports}
        async with CLIENTS[name](url, **options) as client:
            assert (await client.hear())[0] == "connect"
            assert await client.call("echo", "hi", {"n": 1}) == ["hi", {"n": 1}]
            assert await client.call("echo", b"\x00\x01", [b"\x02"]) == [b"\x00\x01", [b"\x02"]]

    with wslab.serve(hub, name="chat") as server:
        asyncio.run(visit(f"http://127.0.0.1:{server.port}"))
        until(lambda: re.search("attachment 2 of 2, ack", str(rows_of(server.tape))))
        return rows_of(server.tape)


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize("transports", [None, ["polling"], ["websocket"]],
                         ids=lambda value: "-".join(value or ["default"]))  # fmt: skip
def test_a_visit_is_one_conversation(name, transports):
    if name == "node":
        need("socket.io-client")
    rows = talk(name, transports)
    faults = [fault for row in rows for fault in row.get("faults", ())]
    assert {rule for rule, *_ in faults} <= ITS_OWN[name], faults
    peeled = [row for row in rows if "layers" in row]
    assert len({row["lane"] for row in rows}) == 1
    assert {row["layers"]["session"] for row in peeled} == {1}
    packets = [packet for row in peeled for packet in row["layers"].get("packets", ())]
    assert not any("bytes of something before" in packet["says"] for packet in packets)
    said = [re.sub(r"id \d+|ack \d+", "N", packet["says"]) for packet in packets]
    wanted = [
        "open", "connect", "connect", "event echo, N", "N", "event echo, N",
        "attachment 1 of 2, event echo, N", "attachment 2 of 2, event echo, N", "N",
        "attachment 1 of 2, N", "attachment 2 of 2, N",
    ]  # fmt: skip
    left = iter(said)
    assert all(any(each == found for found in left) for each in wanted), said
    kinds = {row["what"] for row in peeled}
    assert ("frame" in kinds) == (transports != ["polling"])
    if transports is None:
        assert {"ping probe", "pong probe", "upgrade"} <= set(said)
