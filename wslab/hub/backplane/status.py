"""How a hub's backplane is, for whoever looks: `hub.backplane`.

Its rule: what went wrong with it is a number here, so that nothing is lost without a word.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

__all__ = ["BackplaneStatus", "without_password"]


@dataclass(slots=True, eq=False)
class BackplaneStatus:
    """What is shared between the processes of a hub, and how well that goes.

    Attributes:
        node_id: the name of this process among them.
        url: of Redis, without its password; None where there is one process.
        status: "memory" for one process; else "connecting", "up" or "down".
        why: why it is not up, in words.
        published: events of this process that Redis has numbered.
        received: events that came from it, those of this process too.
        filled: events that were not heard and were read from the stream.
        gaps: how often something was missing, also where all of it could be filled.
        lost: how often clients were told of a gap, since what was missing was no longer there.
        refused: emits that were not taken: too large, too many waiting, or ``when_down="refuse"``.
        queued: emits that wait until it is up.
        queued_bytes: bytes of them.
        reconnects: how often it came up again.
        fenced: sessions that went on at another process while their connection here was open.
    """

    node_id: str
    url: str | None = None
    status: Literal["memory", "connecting", "up", "down"] = "memory"
    why: str = field(default="", repr=False)
    published: int = 0
    received: int = 0
    filled: int = 0
    gaps: int = 0
    lost: int = 0
    refused: int = 0
    queued: int = 0
    queued_bytes: int = 0
    reconnects: int = 0
    fenced: int = 0

    @property
    def line(self) -> str:
        """How it is, in a line for a view; "" where there is one process."""
        if self.status == "memory":
            return ""
        counts = [f"{self.published:,} published", f"{self.received:,} received"]
        for count, what in (
            (self.filled, "read behind others"),
            (self.queued, "waiting"),
            (self.refused, "refused"),
            (self.lost, "times something was lost"),
            (self.reconnects, "times reconnected"),
        ):
            counts += [f"{count:,} {what}"] * (count > 0)
        return f"node {self.node_id}, Redis {self.status}: {', '.join(counts)}"


def without_password(url: str) -> str:
    """Return a URL as it may be shown."""
    scheme, mark, rest = url.partition("://")
    whole, at, host = rest.rpartition("@")
    user = whole.partition(":")[0]
    return f"{scheme}{mark}{user}{':...' * (':' in whole)}{at}{host.partition('?')[0]}"
