"""The bench: its bytes are the wire's, its memory is counted, and what it compares is so."""

from __future__ import annotations

import random
import tracemalloc

import pytest

import wslab
from tests.outline import Outline
from wslab.widgets import CompressionBench
from wslab.widgets.compression.bench import SETTINGS

PRICES = [f'{{"symbol": "tea", "price": {n % 7 + 0.25}, "at": {1000 + n}}}' for n in range(20)]
OFF, ALONE, CONTEXT, LARGEST = (setting.words for setting in SETTINGS)


@pytest.fixture(autouse=True)
def closed():
    yield
    wslab.shutdown()


def test_its_bytes_are_those_that_a_connection_sends():
    async def send_all(websocket):
        for price in PRICES:
            await websocket.send(price)
        await websocket.wait_closed()

    bench = CompressionBench({"prices": PRICES})
    for compression, setting in ((None, OFF), ("deflate", CONTEXT)):
        with wslab.serve(send_all, compression=compression, keep=True) as server:
            with wslab.connect(server, compression=compression, keep=True) as client:
                assert [client.recv(timeout=5) for _ in PRICES] == PRICES
                sent = [f for f in server.tape.frames if f.sender == "server" and f.opcode == 1]
        assert {frame.rsv1 for frame in sent} == {compression is not None}
        row = bench.row("prices", setting)
        assert row.wire_bytes == sum(frame.size_bytes for frame in sent) / len(PRICES)


def test_context_saves_where_messages_are_alike_and_nothing_where_they_are_random():
    noise = [random.Random(n).randbytes(500) for n in range(10)]
    bench = CompressionBench({"prices": PRICES, "noise": noise})
    assert len(bench.rows) == 2 * len(SETTINGS)
    assert bench.row("prices", OFF).ratio < 1
    assert bench.row("prices", CONTEXT).ratio > 2 * bench.row("prices", ALONE).ratio
    assert bench.row("noise", CONTEXT).ratio < 1


def test_memory_is_what_is_held_between_messages():
    bench = CompressionBench({"prices": PRICES})
    held = {row.setting: row.memory_bytes for row in bench.rows}
    assert held[OFF] == 0
    # Of zlib's own account: 2^(window bits + 2) + 2^(level + 9), and 2^window bits to inflate.
    assert 2**14 + 2**14 + 2**12 < held[CONTEXT] < 2**17 + 2**16
    assert 2**17 + 2**17 + 2**15 < held[LARGEST] < 2**19
    assert held[ALONE] < 2**13 < held[CONTEXT] < held[LARGEST]
    assert not tracemalloc.is_tracing()


def test_it_leaves_the_tracing_of_others_on():
    tracemalloc.start()
    try:
        CompressionBench({"prices": PRICES})
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()


def test_it_shows_itself_as_text_and_as_html():
    bench = CompressionBench({"<prices>": PRICES})
    outline = Outline(bench._repr_html_())
    for part in ("<prices>", CONTEXT, "memory a client"):
        assert part in str(bench)
        assert part in outline.text
    assert outline.open == []


def test_no_message_and_no_such_row_are_said():
    with pytest.raises(ValueError, match="at least one message of the shape 'none'"):
        CompressionBench({"none": []})
    with pytest.raises(KeyError, match="largest context"):
        CompressionBench({"prices": PRICES}).row("prices", "zip")
