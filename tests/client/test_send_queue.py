"""The send queue by itself."""

from __future__ import annotations

import pytest

from wslab.client.send_queue import SendQueue
from wslab.errors import PortalClosed
from wslab.loops.portal import Portal


def test_a_loop_that_has_ended_takes_no_message():
    mine = Portal("short-lived")
    loop = mine.loop
    mine.close()
    sending = SendQueue(type("Websocket", (), {"sends_plainly": True})(), loop)
    with pytest.raises(PortalClosed):
        sending.put("too late")
