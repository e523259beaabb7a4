"""Which connection has a session."""

from __future__ import annotations

import gc

from wslab.hub.server.holder import Holder


class Connection:
    pass


def test_it_keeps_no_connection_in_memory():
    holder = Holder()
    assert holder.client is None
    connection = Connection()
    holder.client = connection
    assert holder.client is connection
    del connection
    gc.collect()
    assert holder.client is None
    holder.client = None
    assert holder.client is None
    assert not holder.turn.locked()
