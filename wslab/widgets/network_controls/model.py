"""What there is to see of connections' networks, as plain JSON: settings, cable, both ends' clocks.

Pure reading, from any thread, as in `panels.model`: rows are bounded and the rest is counted. Its
rule: what it shows of an end is what that end can know, which is how long ago it heard something;
so the reader notes when the number of bytes that came has grown. The other end's clock is known
where that end is in this process. An end that is over, and whose other end has not heard of it,
keeps its row: the cable can still be joined.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ...client.client import Client
from ...network.line_conditions import LineConditions
from ...network.presets import PRESETS, Preset
from ...network.traffic import Traffic, other_end
from ..panels.model import duration, one_line, size

if TYPE_CHECKING:
    from ...server.server import Server
    from ...taps.tap import Tap

__all__ = ["DELAYS_S", "RATES", "NetworkReader", "presets", "said", "steps"]

DELAYS_S = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
RATES: tuple[float | None, ...] = (100, 1_000, 5_000, 20_000, 100_000, 1_000_000, 10_000_000, None)

MAX_ROWS = 12
MAX_LEFT = 3
MAX_NAME = 40  # characters

Json = dict[str, Any]
_NEW = "new"  # the key of the row for connections to come


def _seconds(value_s: float) -> str:
    """Return a delay in words: "0", "20 ms", "1.5 s"."""
    if value_s == 0:
        return "0"
    return f"{value_s:g} s" if value_s >= 1 else f"{value_s * 1e3:g} ms"


def _rate(bytes_per_s: float | None) -> str:
    return "no limit" if bytes_per_s is None else f"{size(int(bytes_per_s))}/s".replace(".0 ", " ")


def steps() -> Json:
    """Return what each slider can be set to: the values, and what each is called."""
    delays = [{"value": value, "text": _seconds(value)} for value in DELAYS_S]
    rates = [{"value": value, "text": _rate(value)} for value in RATES]
    return {"delay_s": delays, "jitter_s": delays, "bytes_per_s": rates}


def said(setting: str) -> str:
    """Return what a setting is called in words."""
    return {"delay_s": "delay", "jitter_s": "jitter", "bytes_per_s": "rate"}[setting]


def presets() -> list[Json]:
    """Return the networks that one can choose: ``name``, ``label``, and in ``title`` what it is."""
    return [{"name": name, "label": name, "title": _figures(one)} for name, one in PRESETS.items()]


def _figures(preset: Preset) -> str:
    ways = [
        f"{_rate(one.bytes_per_s)}, {_seconds(one.delay_s)}" for one in (preset.down, preset.up)
    ]
    jitter = f", jitter {_seconds(preset.jitter_s)}" if preset.jitter_s else ""
    return f"to the client {ways[0]}; from it {ways[1]}{jitter}"


@dataclass(slots=True)
class _Clock:
    """When one end last heard something, as far as its count of bytes tells."""

    traffic: Traffic
    heard_s: float = field(default_factory=time.monotonic)
    heard_bytes: int = -1

    def ago_s(self, now_s: float) -> float:
        if self.traffic.received_bytes != self.heard_bytes:
            self.heard_bytes, self.heard_s = self.traffic.received_bytes, now_s
        return now_s - self.heard_s


@dataclass(slots=True)
class _Known:
    """A connection that has a row: who it is, its network, and the clocks of its ends."""

    handle: Any  # of a server's connection, or the client
    network: LineConditions
    end: Any  # has its close code
    label: str
    here: _Clock
    there: _Clock | None = None
    is_over: bool = False


class NetworkReader:
    """Reads the networks of a server's connections, or a client's; it remembers who was there.

    One reader serves one view: clocks count from when it looked first.
    """

    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._left: list[str] = []
        self._left_seen = 0

    def network_of(self, target: Server | Tap | Client, key: str) -> tuple[str, LineConditions]:
        """Return whose network a row's key stands for, in words, and the network.

        Raises:
            LookupError: that connection is gone.
        """
        if key == _NEW and not isinstance(target, Client):
            return "connections to come", target.network
        known = self._known.get(key)
        if known is None:
            raise LookupError("this connection is gone, and its network with it")
        return known.label, known.network

    def look(self, target: Server | Tap | Client, now_s: float | None = None) -> Json:
        """Return a row a connection, and what settings connections to come begin with.

        Args:
            target: the server or the client.
            now_s: ``time.monotonic()``, if that shall be another moment than now.
        """
        now_s = time.monotonic() if now_s is None else now_s
        is_server = not isinstance(target, Client)
        here = _client_ends(target) if isinstance(target, Client) else self._server_ends(target)
        for key, found in here.items():
            self._known.setdefault(key, found)
        self._let_go(here)
        rows = [
            _row(key, known, now_s, is_server=is_server)
            for key, known in list(self._known.items())[:MAX_ROWS]
        ]
        connected, new = len(here), None
        if not isinstance(target, Client):
            connected = len(target.connections)
            new = _settings(_NEW, target.network, is_server=True)
        more = connected - sum(not row["is_over"] for row in rows)
        return {
            "name": one_line(target.name, MAX_NAME),
            "kind": "server" if is_server else "client",
            "rows": rows,
            "more": f"and {more:,} more" if more > 0 else "",
            "left": list(self._left),
            "left_more": f"{self._left_seen - MAX_LEFT:,} before" * (self._left_seen > MAX_LEFT),
            "new": new,
        }

    def _server_ends(self, server: Server | Tap) -> dict[str, _Known]:
        """Return as many of the open connections as there are rows for."""
        ends: dict[str, _Known] = {}
        for one in server.connections:
            if len(ends) == MAX_ROWS:
                break
            known = self._known.get(one.id)
            if known is None:
                label = one_line(one.label or one.id, MAX_NAME)
                end = getattr(one, "websocket", None)  # a tap's has none
                known = _Known(one, one.network, end, label, _Clock(one.traffic))
            elif one.label:  # of a client in this process, whose handle came later
                known.label = one_line(one.label, MAX_NAME)
            ends[one.id] = known
        return ends

    def _let_go(self, here: dict[str, _Known]) -> None:
        for key, known in list(self._known.items()):
            if known.there is None:
                other = other_end(known.here.traffic)
                known.there = _Clock(other) if other is not None else None
            if key in here:
                continue
            known.is_over = True
            if known.there is not None and other_end(known.here.traffic) is known.there.traffic:
                continue  # it believes to be connected
            del self._known[key]
            self._left_seen += 1
            code = getattr(known.end, "close_code", None)  # a tap knows none
            self._left.insert(0, f"{known.label} closed" + (f" with {code}" if code else ""))
            del self._left[MAX_LEFT:]


def _client_ends(client: Client) -> dict[str, _Known]:
    websocket = client.websocket
    if websocket is None or client.state.name not in ("OPEN", "CLOSING"):
        return {}
    traffic = websocket.traffic  # type: ignore[attr-defined]
    label = one_line(client.name, MAX_NAME)
    return {traffic.id: _Known(client, client.network, websocket, label, _Clock(traffic))}


def _row(key: str, known: _Known, now_s: float, *, is_server: bool) -> Json:
    network = known.network
    clocks = [_heard(known.there, now_s), _heard(known.here, now_s)]
    is_cut, is_stopped = bool(network.is_cut), bool(network.is_stopped)
    held = network.held_bytes
    here, there = ("the server", known.label) if is_server else (known.label, "the server")
    code = getattr(known.end, "close_code", None)
    if known.is_over:
        over = "closing" if code is None else f"over ({code})"
        words = f"{over} for {here}; {there} has not heard of it"
        clocks[1] = "closing" if code is None else f"closed: {code}"
    elif is_cut:
        words = "cut: nothing passes, and neither end is told"
    elif is_stopped:
        words = f"{here} reads nothing: what comes waits"
    else:
        words = _at_other_end(known.there, there) or "joined"
    if not is_server:
        clocks.reverse()
    return {
        **_settings(key, network, is_server=is_server),
        "client": known.label,
        "id": known.here.traffic.id,
        "client_heard": clocks[0],
        "server_heard": clocks[1],
        "is_cut": is_cut,
        "is_stopped": is_stopped,
        "is_over": known.is_over,
        "words": words,
        "held": f"{size(held)} held" if held else "",
    }


def _at_other_end(clock: _Clock | None, who: str) -> str:
    """Say what is set at the other end, where that is in this process: its own handle has it."""
    network = clock.traffic.network if clock is not None else None
    if network is None or network.is_plain:
        return ""
    verbs = ["is cut"] * network.is_cut + ["reads nothing"] * network.is_stopped
    return f"{who}'s end {' and '.join(verbs or ['is slowed down'])}"


def _heard(clock: _Clock | None, now_s: float) -> str:
    return "" if clock is None else f"heard {duration(clock.ago_s(now_s))} ago"


def _settings(key: str, network: LineConditions, *, is_server: bool) -> Json:
    ways = _pair(network.delay_s), _pair(network.jitter_s), _pair(network.bytes_per_s)
    return {
        "key": key,
        "delay_s": _setting(ways[0], DELAYS_S, _seconds),
        "jitter_s": _setting(ways[1], DELAYS_S, _seconds),
        "bytes_per_s": _setting(ways[2], RATES, _rate),
        "preset": _preset_of(ways, is_server=is_server),
        "is_plain": ways == ((0, 0), (0, 0), (None, None)),
    }


def _pair(value: Any) -> tuple[Any, Any]:
    """Return a setting as (sending, receiving), as this end sees it."""
    return (value[0], value[1]) if isinstance(value, tuple | list) else (value, value)


def _setting(ways: tuple[Any, Any], known: tuple[Any, ...], words: Callable[[Any], str]) -> Json:
    """Return at which of the slider's steps a setting is, or nearest to, and what it is called."""
    out, back = ways
    text = words(out) if out == back else f"{words(out)} out, {words(back)} in"

    def distance(step: Any) -> float:
        if out is None or step is None:
            return 0.0 if step is out else float("inf")
        return abs(float(step) - float(out))

    return {"at": min(range(len(known)), key=lambda nth: distance(known[nth])), "text": text}


def _preset_of(ways: tuple[tuple[Any, Any], ...], *, is_server: bool) -> str:
    """Return which network of a name has these figures, or ""."""
    for name, one in PRESETS.items():
        out, back = (one.down, one.up) if is_server else (one.up, one.down)
        if ways == (
            (out.delay_s, back.delay_s),
            (one.jitter_s, one.jitter_s),
            (out.bytes_per_s, back.bytes_per_s),
        ):
            return name
    return ""
