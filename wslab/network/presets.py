"""Networks with a name: their rates and delays, each with the source of its figures.

Its rule: a figure is somebody's who has measured or agreed upon it, and its comment says whose. A
round trip is halved, since delays here are one way. What is lost on the way is not here: TCP sends
it again, and that is in the delay and the jitter.
"""

from __future__ import annotations

import difflib
from typing import Final, NamedTuple

__all__ = ["PRESETS", "Preset", "Rate", "preset_named"]


class Rate(NamedTuple):
    """One direction."""

    bytes_per_s: float | None
    delay_s: float


class Preset(NamedTuple):
    """A network as its client has it.

    Attributes:
        up: from the client to the server.
        down: from the server to the client.
        jitter_s: added at random, each way.
    """

    up: Rate
    down: Rate
    jitter_s: float = 0.0


def _mbit(rate: float) -> float:
    return rate * 1_000_000 / 8


PRESETS: Final[dict[str, Preset]] = {
    # WebPageTest's profile "3G" (its www/settings/connectivity.ini.sample): 1.6 Mbit/s down,
    # 768 kbit/s up, 300 ms round trip.
    "3g": Preset(Rate(_mbit(0.768), 0.15), Rate(_mbit(1.6), 0.15)),
    # WebPageTest's "3GSlow": 780 kbit/s down, 330 up, 200 ms round trip.
    "slow 3g": Preset(Rate(_mbit(0.33), 0.1), Rate(_mbit(0.78), 0.1)),
    # WebPageTest's "Edge": 240 kbit/s down, 200 up, 840 ms round trip.
    "edge": Preset(Rate(_mbit(0.2), 0.42), Rate(_mbit(0.24), 0.42)),
    # WebPageTest's "Cable": 5 Mbit/s down, 1 up, 28 ms round trip.
    "cable": Preset(Rate(_mbit(1), 0.014), Rate(_mbit(5), 0.014)),
    # A geostationary one: RFC 2488 §2 has at least 558 ms for there and back by light alone. The
    # rates are those that the FCC called broadband from 2015 to 2024, and that providers sell:
    # 25 Mbit/s down, 3 up.
    "satellite": Preset(Rate(_mbit(3), 0.279), Rate(_mbit(25), 0.279)),
    # Put together: 375 kbit/s is the middle of what blog.wirelessmoves.com found on an ICE at 150
    # to 200 km/h where radio was poor (in 2007, 250 to 500 kbit/s); the delay is that of "3g"; and
    # a handover that loses a packet costs TCP its retransmission timeout, 1 s at the least
    # (RFC 6298 §2.4), so jitter is up to 1 s. A tunnel is cut() and restore().
    "train": Preset(Rate(_mbit(0.375), 0.15), Rate(_mbit(0.375), 0.15), jitter_s=1.0),
}


def preset_named(name: str) -> Preset:
    """Return the network of that name.

    Raises:
        ValueError: there is none; it says which there are.
    """
    preset = PRESETS.get(name)
    if preset is None:
        near = difflib.get_close_matches(str(name), PRESETS, 1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"expected one of {', '.join(map(repr, PRESETS))}, got {name!r}{hint}")
    return preset
