"""The portals of the process: one of each, and a fresh one after its end."""

from __future__ import annotations

from typing import Any

import pytest

from wslab.errors import NestingRefused
from wslab.loops import portals
from wslab.loops.shutdown import shutdown


def test_the_lab_is_fresh_after_shutdown() -> None:
    first = portals.lab()
    assert first.call(lambda: "first") == "first"
    assert portals.lab() is first
    shutdown()
    shutdown()
    assert not first.is_running
    second = portals.lab()
    assert second is not first
    assert second.call(lambda: "second") == "second"


def test_the_kernels_loop_outside_a_kernel_is_refused() -> None:
    import wslab

    async def handler(websocket: Any) -> None:
        await websocket.wait_closed()

    with pytest.raises(NestingRefused, match=r'loop="kernel" needs.*notebook kernel'):
        wslab.serve(handler, loop="kernel")
