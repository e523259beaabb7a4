"""Whether the loop of this thread listens at an address: asyncio's own loops, and uvloop's."""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

import pytest

from wslab.loops.listening import loop_here_serves
from wslab.loops.portal import Portal

pytestmark = pytest.mark.skipif(not os.path.isdir("/dev/fd"), reason="names no descriptors")


def test_the_loop_of_this_thread_and_no_other(portal: Portal) -> None:
    async def ask() -> list[bool]:
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            asked = [("127.0.0.1", port), ("localhost", port), ("192.0.2.1", port)]
            other = port - 1 if port > 1025 else port + 1
            here = [loop_here_serves(*address) for address in [*asked, ("127.0.0.1", other)]]
            return [*here, await asyncio.to_thread(loop_here_serves, "127.0.0.1", port)]

    assert portal.call(ask) == [True, True, False, False, False]


def test_another_loop_of_this_process_listens(portal: Portal) -> None:
    server: Any = portal.call(asyncio.start_server, lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def ask() -> bool:
        return loop_here_serves("127.0.0.1", port)

    assert asyncio.run(ask()) is False
    assert portal.call(loop_here_serves, "127.0.0.1", port) is True
    assert threading.get_ident() != portal.thread_id
    portal.call(server.close)
