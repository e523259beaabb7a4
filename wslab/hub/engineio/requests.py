"""What a request for Engine.IO asks for, and whether it may: from its query and its headers.

Its rule: pure. The checks and their order are the reference server's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.parse import parse_qsl, urlsplit

from .answers import (
    BAD_METHOD,
    BAD_REQUEST,
    UNKNOWN_SID,
    UNKNOWN_TRANSPORT,
    UNSUPPORTED_VERSION,
)

__all__ = ["PYTHON_PACKETS", "Asked", "asked", "is_of_python", "is_own_page", "judge"]

MAX_FIELDS = 50  # of a query
PROTOCOL = "4"
PYTHON_PACKETS = 16
_OF_PYTHON = re.compile(r"[?&]transport=\w+&EIO=")


class Asked(NamedTuple):
    """What a query says: ``?EIO=4&transport=polling&sid=...``."""

    transport: str
    sid: str
    version: str


def asked(target: str) -> Asked:
    """Read the query of a request's target; one that can't be read asks for nothing."""
    try:
        query = dict(parse_qsl(urlsplit(target).query, max_num_fields=MAX_FIELDS))
    except ValueError:
        query = {}
    return Asked(query.get("transport", ""), query.get("sid", ""), query.get("EIO", ""))


def is_of_python(target: str) -> bool:
    """Whether a client of python-engineio asks, by what all of them have and others have not.

    In their query the transport comes before the version. They read no more than `PYTHON_PACKETS`
    of a polling body, and end the connection beyond that.
    """
    return _OF_PYTHON.search(target) is not None


def judge(
    asked: Asked, method: str, transport_of: Callable[[str], str | None], *, is_socket: bool
) -> int | None:
    """Return the code of what is wrong with a request; None where nothing is.

    Args:
        asked: what it asks for.
        method: of the request.
        transport_of: returns what a session goes by now; None for one that is not known.
        is_socket: whether it asks for a WebSocket.
    """
    if asked.transport not in ("polling", "websocket"):
        return UNKNOWN_TRANSPORT
    if asked.sid:
        transport = transport_of(asked.sid)
        if transport is None:
            return UNKNOWN_SID
        if (not is_socket and transport != asked.transport) or asked.version != PROTOCOL:
            return BAD_REQUEST
    elif method != "GET":
        return BAD_METHOD
    elif (asked.transport == "websocket") is not is_socket:
        return BAD_REQUEST
    elif asked.version != PROTOCOL:
        return UNSUPPORTED_VERSION
    if is_socket and asked.transport != "websocket":
        return BAD_REQUEST
    return None


def is_own_page(origin: str, host: str | None, allowed: Sequence[str] | None) -> bool:
    """Tell whether pages of an Origin may come, where no server has judged that (RFC 6454 §7).

    Args:
        origin: as the header says it.
        host: what the Host header says.
        allowed: Origins that may; None for the page's own host alone.
    """
    if allowed is not None:
        return "*" in allowed or origin in allowed
    return host is not None and urlsplit(origin).netloc.lower() == host.lower()
