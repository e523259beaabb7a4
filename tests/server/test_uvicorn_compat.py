"""What wslab relies on inside uvicorn: each name, and what it does.

A uvicorn that has changed fails here, with the name and what stands on it.
"""

from __future__ import annotations

import asyncio
import email.utils
import inspect
import time

import pytest
import uvicorn.config
import uvicorn.protocols.utils
import uvicorn.server
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from tests.network.rig import run
from wslab.server import uvicorn_compat
from wslab.server.uvicorn_compat import HANDED_ON, STREAM, config_of, protocol_maker, says_gone


async def nobody(scope, receive, send):
    raise AssertionError("nobody asked")


def test_the_keywords_of_its_config():
    known = inspect.signature(uvicorn.config.Config).parameters
    ours = ("http", "ws", "interface", "lifespan", "log_config", *config_of({}), *HANDED_ON)
    assert [name for name in ours if name not in known] == []


def test_what_it_is_told():
    assert config_of({}) == {
        "proxy_headers": False,
        "ws_max_size": 2**20,
        "ws_ping_interval": 20.0,
        "ws_ping_timeout": 20.0,
        "ws_per_message_deflate": False,
    }
    told = config_of(
        {"max_size": None, "compression": "deflate", "proxy_headers": True, "origins": []}
    )
    assert told["ws_max_size"] > 2**40
    assert (told["ws_per_message_deflate"], told["proxy_headers"]) == (True, True)
    assert "origins" not in told


def test_the_protocols_are_made_so():
    for kind in (H11Protocol, WebSocketsSansIOProtocol):
        names = list(inspect.signature(kind).parameters)
        assert names[:3] == ["config", "server_state", "app_state"]

    async def main():
        protocol = protocol_maker(nobody, config_of({}))("stream")
        assert type(protocol) is H11Protocol
        assert protocol.ws_protocol_class is WebSocketsSansIOProtocol
        # What is called, and nothing of uvicorn's around it.
        assert protocol.app.args == ("stream", nobody)
        assert WebSocketsSansIOProtocol(protocol.config, protocol.server_state, {}).app is (
            protocol.app
        )

    run(main)


def test_the_headers_that_its_server_would_set(monkeypatch):
    now_s = [1_000_000_000.2]
    monkeypatch.setattr(uvicorn_compat.time, "time", lambda: now_s[0])

    async def main():
        state = protocol_maker(nobody, config_of({"headers": [("X-Ours", "1")]}))(None).server_state
        first = state.default_headers
        assert first == [
            (b"date", b"Sun, 09 Sep 2001 01:46:40 GMT"),
            (b"server", b"uvicorn"),
            (b"x-ours", b"1"),
        ]
        assert state.default_headers is first  # made once a second
        now_s[0] += 1
        [date, *_] = state.default_headers
        assert date == (b"date", b"Sun, 09 Sep 2001 01:46:41 GMT")
        bare = protocol_maker(nobody, config_of({"date_header": False, "server_header": False}))(
            None
        )
        assert bare.server_state.default_headers == []

    run(main)
    assert email.utils.formatdate(1_000_000_000, usegmt=True).startswith("Sun, 09")
    assert time.monotonic() > 0


def test_no_thread_no_signal_handler_and_no_logging_of_its_own():
    import logging
    import signal

    before = signal.getsignal(signal.SIGINT), logging.getLogger("uvicorn").handlers[:]

    async def main():
        protocol_maker(nobody, config_of({}))(None)

    run(main)
    assert before == (signal.getsignal(signal.SIGINT), logging.getLogger("uvicorn").handlers)
    [handler] = logging.getLogger("uvicorn.error").handlers
    assert isinstance(handler, logging.NullHandler)


def test_what_sending_raises_when_a_client_has_gone():
    assert says_gone(uvicorn.protocols.utils.ClientDisconnected())
    assert not says_gone(OSError())


def test_an_upgrade_hands_the_connection_over():
    # By transport.set_protocol(), after connection_made() and the head again: `Stream` follows.
    source = inspect.getsource(H11Protocol.handle_websocket_upgrade)
    assert "self.transport.set_protocol(protocol)" in source
    assert "protocol.connection_made(self.transport)" in source


@pytest.mark.parametrize(
    "options", [{}, {"reset_contextvars": True}, {"proxy_headers": True}], ids=str
)
def test_each_request_knows_its_connection(options):
    seen, done = [], asyncio.Event()

    async def app(scope, receive, send):
        seen.append(scope[STREAM])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})
        done.set()

    class Transport(asyncio.Transport):
        def write(self, data):
            pass

        def is_closing(self):
            return False

        def close(self):
            pass

    async def main():
        protocol = protocol_maker(app, config_of({}) | options)("here")
        protocol.connection_made(Transport())
        protocol.data_received(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        await done.wait()
        protocol.connection_lost(None)
        assert seen == ["here"]

    run(main)
