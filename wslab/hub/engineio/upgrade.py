"""From polling to a WebSocket: ``2probe``, ``3probe``, and ``5``.

Its rule: until the 5 the session lives by polling, whatever becomes of the WebSocket. From the
probe on each poll is answered at once, so that none is held when the client goes over; what is said
meanwhile waits, and goes out on the WebSocket first.
"""

from __future__ import annotations

import asyncio
import contextlib

from ...wire import engineio
from ...wire.engineio import Packet, PacketType
from ...wire.violation import ProtocolViolation
from .life import EngineEvent, EngineState
from .link import Link, Message
from .polling import Polling

__all__ = ["carried", "upgraded"]

PROBE = Packet(PacketType.PING, "probe")
UPGRADE = Packet(PacketType.UPGRADE)


async def upgraded(polling: Polling, link: Link, probed: Message, timeout_s: float) -> bool:
    """Let a session go over to a WebSocket; return whether it has.

    Args:
        polling: of a session that is polling.
        link: a WebSocket that came with its id.
        probed: the answer to a probe.
        timeout_s: seconds that it may take in all.
    """
    session = polling.session
    session.move(EngineEvent.PROBE)
    is_trying, has_asked = True, False
    session.when_lost(lambda: link.abort() if is_trying else None)
    try:
        async with asyncio.timeout(timeout_s):
            while True:
                came = await link.receive()
                packet = engineio.decode_text(came) if isinstance(came, str) else None
                if packet == UPGRADE and has_asked and session.state is not EngineState.CLOSED:
                    session.go_over(link)  # also where this side has begun to close it
                    return True
                if session.state is not EngineState.UPGRADING:
                    break
                if packet == PROBE and link.write(probed):
                    has_asked = polling.is_probed = True
                    polling.wake()
                else:
                    break
    except (TimeoutError, ProtocolViolation, link.closed_error):
        pass
    finally:
        is_trying = polling.is_probed = False
        if session.state is EngineState.UPGRADING:
            session.move(EngineEvent.STAY)
    return False


async def carried(polling: Polling, link: Link) -> None:
    """Bring what comes on the WebSocket of a session that has gone over, until it ends."""
    session = polling.session
    assert session.inbox is not None
    link.when_lost(session.link_lost)
    with contextlib.suppress(link.closed_error):
        while True:
            came = await link.receive()
            if session.state is not EngineState.WEBSOCKET:
                continue  # behind it is the answer to our close frame
            data = session.take_frame(came)
            if data is not None:
                session.inbox.put(data)
                await session.inbox.room()
    session.link_lost()
