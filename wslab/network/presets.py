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
    # WebPageTest's profile "3G": 1.6 Mbit/s down, 768 kbit/s up, 300 ms round trip.
    "3g": Preset(Rate(_mbit(0.768), 0.15), Rate(_mbit(1.6), 0.15)),
    # WebPageTest's "3G Slow": 400 kbit/s both ways, 400 ms round trip.
    "slow 3g": Preset(Rate(_mbit(0.4), 0.2), Rate(_mbit(0.4), 0.2)),
    # WebPageTest's "4G": 9 Mbit/s both ways, 170 ms round trip.
    "4g": Preset(Rate(_mbit(9), 0.085), Rate(_mbit(9), 0.085)),
    # A geostationary one: RFC 2488 §2 has at least 558 ms for there and back by light alone. The
    # rates are those that the FCC called broadband from 2015 to 2024, and that providers sell:
    # 25 Mbit/s down, 3 up.
    "satellite": Preset(Rate(_mbit(3), 0.279), Rate(_mbit(25), 0.279)),
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
