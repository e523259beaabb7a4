"""What a click does to a connection's network.

Its rule: what comes from a page is held against the list of what it may say, before anything is
done; from any thread, and without waiting. Where a view shows a row, `model` knows its network.
"""

from __future__ import annotations

from typing import Any

from ...client.client import Client
from ...server.server import Server
from ...taps.tap import Tap
from .model import DELAYS_S, RATES, NetworkReader, said, steps

__all__ = ["act"]

_DONE = {
    "cut": "cut",
    "restore": "joined again",
    "reset": "reset: the other end gets an RST",
    "stop_reading": "does not read",
    "resume_reading": "reads again",
}
_SETTINGS: dict[str, tuple[Any, ...]] = {
    "delay_s": DELAYS_S,
    "jitter_s": DELAYS_S,
    "bytes_per_s": RATES,
}


def act(reader: NetworkReader, target: Server | Tap | Client, data: Any) -> str:
    """Do what a row's control asks for; return in words what was done.

    Args:
        reader: of the view that was clicked.
        target: the view's server or client.
        data: ``key`` of the row, ``verb``, and ``value`` where the verb is a setting or "use".

    Raises:
        LookupError: that connection is gone.
        ValueError: no control asks for this.
    """
    verb, value = str(data["verb"]), data.get("value")
    who, network = reader.network_of(target, str(data["key"]))
    if verb in _DONE:
        getattr(network, verb)()
        return f"{who}: {_DONE[verb]}"
    if verb in _SETTINGS and value in _SETTINGS[verb]:
        setattr(network, verb, value)
        text = next(step["text"] for step in steps()[verb] if step["value"] == value)
        return f"{who}: {said(verb)} {text}"
    if verb == "plain":
        network.delay_s = network.jitter_s = 0.0
        network.bytes_per_s = None
        return f"{who}: nothing in between"
    if verb == "use":
        network.use(str(value))
        return f"{who}: as over {value}"
    raise ValueError(f"expected something that a control asks for, got {verb!r:.40} {value!r:.40}")
