"""What goes through one connection at its transport: how much each way, since when, and whose.

Counted there, for views. Its rule: it only counts; what the bytes mean is for `wire` to say. Two
ends in this process know of each other here, so that both go by the client's name.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, cast

from ..wire.tape.track import Track

if TYPE_CHECKING:
    from .line_conditions import LineConditions

__all__ = ["Traffic", "forget", "introduce", "other_end"]


class Traffic:
    """One connection as seen at its transport: when, who, and how much each way.

    ``received`` and ``sent`` count whole messages (text and binary), from this side's view.
    """

    __slots__ = (
        "address",
        "began_s",
        "fileno",
        "id",
        "label",
        "last_pong_s",
        "network",
        "received",
        "received_bytes",
        "sent",
        "sent_bytes",
        "track",
    )

    def __init__(self, connection_id: str) -> None:
        self.id = connection_id
        self.label: str | None = None
        self.address: tuple[str, int] | None = None  # the client's end of it
        self.track: Track | None = None
        self.fileno = -1
        self.began_s = time.monotonic()
        self.last_pong_s: float | None = None
        self.network: LineConditions | None = None  # under this end, if somebody has asked for it
        self.received = self.received_bytes = 0
        self.sent = self.sent_bytes = 0


# The two ends of a connection within this process, by the address that the client connects from:
# so both are called by the client's name, whichever end is made first.
_ENDS: dict[tuple[str, int], list[Traffic]] = {}


def introduce(traffic: Traffic) -> None:
    if traffic.address is None:
        return
    ends = _ENDS.setdefault(traffic.address, [])
    ends.append(traffic)
    label = next((end.label for end in ends if end.label is not None), None)
    for end in ends:
        end.label = label
        if end.track is not None:
            end.track.label = label


def forget(traffic: Traffic) -> None:
    ends = _ENDS.get(traffic.address) if traffic.address is not None else None
    if ends is not None and traffic in ends:
        ends.remove(traffic)
        if not ends:
            del _ENDS[cast("tuple[str, int]", traffic.address)]


def other_end(traffic: Traffic) -> Traffic | None:
    """Return the connection's other end where it is in this process and not over; from any thread.

    It may be there when this end is over: then it has not heard of that.
    """
    ends = _ENDS.get(traffic.address, ()) if traffic.address is not None else ()
    return next((end for end in tuple(ends) if end is not traffic), None)
