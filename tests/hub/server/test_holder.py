"""Which connection has a session."""

from __future__ import annotations

import gc
from types import SimpleNamespace

from wslab.hub.dialects.plain_json import PLAIN_JSON
from wslab.hub.server.holder import Holder
from wslab.hub.server.prepared_message import PLAIN, Form


class Connection:
    def __init__(self, is_open=True):
        self.is_open, self.sent = is_open, []
        self.send_queue = SimpleNamespace(put=self.put)

    def put(self, message, *, is_essential):
        assert is_essential
        self.sent += message.prepare(Form.of(PLAIN_JSON, PLAIN))


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


def test_an_answer_goes_to_whoever_has_the_session_when_it_is_there():
    holder = Holder()
    holder.send((b"{}", []))  # nobody
    first, second = Connection(), Connection()
    holder.client = first
    holder.send((b"{}", [b"a"]))
    holder.client = second
    holder.send((b"[]", []))
    second.is_open = False
    holder.send((b"[]", []))
    assert first.sent == [b"\x81\x02{}", b"\x82\x01a"]
    assert second.sent == [b"\x81\x02[]"]
