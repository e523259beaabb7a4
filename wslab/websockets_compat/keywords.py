"""Keywords that are handed on: whether anybody knows them, and which one was meant.

serve() and connect() hand on what they don't take themselves, and a typo would otherwise come to
light somewhere in an event loop. Its rule: what websockets or the event loop takes passes, whatever
version of them is installed; their signatures are asked.
"""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = ["check_keywords"]

# What older versions of websockets, and other libraries, call it.
_ONCE = {
    "extra_headers": "additional_headers",
    "headers": "additional_headers",
    "klass": "create_connection",
    "max_message_size": "max_size",
    "ping_interval_s": "ping_interval",
    "ping_timeout_s": "ping_timeout",
    "read_limit": "max_queue",
    "ssl_context": "ssl",
    "subprotocol": "subprotocols",
    "timeout": "open_timeout",
}


def check_keywords(
    given: Mapping[str, object],
    what: str,
    *takers: Callable[..., Any],
    also: Iterable[str] = (),
) -> None:
    """Refuse a keyword that nobody takes, and name the nearest that somebody does.

    Args:
        given: the keywords that would be handed on.
        what: the function that was called, such as ``"serve()"``.
        takers: functions whose parameters are known, the called one among them.
        also: further names.

    Raises:
        TypeError: which keyword, and which one may have been meant.
    """
    known = {*also, *(name for taker in takers for name in _taken_by(taker))}
    for name in given:
        if name in known:
            continue
        once = _ONCE.get(name)
        near = [once] if once in known else difflib.get_close_matches(name, sorted(known), 1, 0.6)
        hint = f"did you mean {near[0]}=...?" if near else f"help(wslab.{what[:-2]}) lists them"
        raise TypeError(
            f"expected a keyword that {what} or websockets knows, got {name}=...: {hint}"
        )


@functools.lru_cache(maxsize=32)
def _taken_by(taker: Callable[..., Any]) -> tuple[str, ...]:
    # Asked at each connect(), and a signature is slow to make.
    kinds = inspect.Parameter
    return tuple(
        name
        for name, one in inspect.signature(taker).parameters.items()
        if one.kind in (kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY)
    )
