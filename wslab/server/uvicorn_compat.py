"""What we rely on inside uvicorn: how the protocols are made that speak HTTP and WebSocket.

Its rule: no server of uvicorn's runs, so none of its signal handlers, its logging or its loops: a
`Listener` of ours listens, and uvicorn's protocol classes turn bytes into ASGI and back.
`tests/server/test_uvicorn_compat.py` lists each name, and what it does.
"""

from __future__ import annotations

import asyncio
import copy
import functools
import logging
import sys
import time
from collections.abc import Callable, Mapping
from email.utils import formatdate
from typing import Any

__all__ = ["HANDED_ON", "STREAM", "config_of", "protocol_maker", "says_gone"]

STREAM = "wslab.stream"  # in a scope: the connection that it came on

# The keywords of uvicorn.Config that say how it speaks, and not how it runs.
HANDED_ON = (
    "date_header", "forwarded_allow_ips", "h11_max_incomplete_event_size", "headers",
    "limit_concurrency", "proxy_headers", "root_path", "server_header",
    "timeout_keep_alive",
)  # fmt: skip


def config_of(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what ``uvicorn.Config`` is told, from the keywords of ``serve``."""
    handed_on = {name: kwargs[name] for name in HANDED_ON if name in kwargs}
    return {
        "proxy_headers": False,  # what is recorded is what an application sees
        "ws_max_size": kwargs.get("max_size", 2**20) or 2**63,
        "ws_ping_interval": kwargs.get("ping_interval", 20.0),
        "ws_ping_timeout": kwargs.get("ping_timeout", 20.0),
        "ws_per_message_deflate": kwargs.get("compression") == "deflate",
        **handed_on,
    }


def protocol_maker(
    application: Callable[..., Any], config: Mapping[str, Any]
) -> Callable[[Any], asyncio.Protocol]:
    """Return what makes a protocol for each connection that comes, given that.

    Args:
        application: called with scope, receive and send, for each request and each WebSocket; the
            connection is in the scope, as `STREAM`.
        config: of ``uvicorn.Config``.

    Raises:
        ImportError: uvicorn is not installed; it says how to get it.
    """
    try:
        from uvicorn.config import Config
        from uvicorn.server import ServerState
    except ImportError as exc:
        raise ImportError(
            "expected uvicorn, which runs ASGI applications for serve(), and it is not installed: "
            "pip install 'wslab[asgi]'"
        ) from exc

    # Silent unless the user configures logging, as websockets is under a server of ours.
    if not (log := logging.getLogger("uvicorn.error")).handlers:
        log.addHandler(logging.NullHandler())

    class State(ServerState):
        # uvicorn's own server sets them once a second.
        def __init__(self) -> None:
            self._second, self._headers = 0, [(b"", b"")]
            super().__init__()

        @property
        def default_headers(self) -> list[tuple[bytes, bytes]]:
            now_s = int(time.time())
            if self._second != now_s:
                date = [(b"date", formatdate(now_s, usegmt=True).encode())]
                known = list(made.encoded_headers)
                self._second, self._headers = now_s, (date if made.date_header else []) + known
            return self._headers

        @default_headers.setter
        def default_headers(self, _headers: object) -> None:
            pass

    made = Config(
        application,
        http="h11",
        ws="websockets-sansio",
        interface="asgi3",
        lifespan="off",
        log_config=None,
        **config,
    )
    made.load()
    state, kind = State(), made.http_protocol_class

    def make(stream: Any) -> asyncio.Protocol:
        # A protocol calls its config's application. By a context it could not be told apart:
        # some versions start each request in an empty one.
        own = copy.copy(made)
        own.loaded_app = functools.partial(_called_on, stream, made.loaded_app)
        return kind(config=own, server_state=state, app_state={})  # type: ignore[call-arg]

    return make


async def _called_on(stream: Any, application: Any, scope: Any, receive: Any, send: Any) -> None:
    scope[STREAM] = stream
    await application(scope, receive, send)


def says_gone(exc: BaseException) -> bool:
    """Whether this is what sending raises once a WebSocket has ended."""
    utils = sys.modules.get("uvicorn.protocols.utils")
    return utils is not None and isinstance(exc, utils.ClientDisconnected)
