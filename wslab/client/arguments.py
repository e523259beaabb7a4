"""What connect() is asked for: refuses, before anybody is asked, what could not work."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from websockets.datastructures import Headers

__all__ = ["check_headers"]


def check_headers(kwargs: Mapping[str, Any]) -> None:
    """Refuse what a request's head cannot carry (RFC 9110 §5.1, §5.5), before anybody is asked.

    Args:
        kwargs: the keywords of ``websockets.connect``: ``additional_headers``, ``origin``,
            ``user_agent_header`` and ``subprotocols`` are looked at.

    Raises:
        ValueError: which header, what HTTP allows in it, and what it holds.
    """
    additional: Any = kwargs.get("additional_headers") or ()
    if isinstance(additional, Headers):
        pairs = list(additional.raw_items())
    else:
        pairs = list(additional.items() if isinstance(additional, Mapping) else additional)
    for keyword, name in (("origin", "Origin"), ("user_agent_header", "User-Agent")):
        if kwargs.get(keyword) is not None:
            pairs.append((name, kwargs[keyword]))
    for protocol in kwargs.get("subprotocols") or ():
        if not isinstance(protocol, str) or not _TOKEN.fullmatch(protocol):
            raise ValueError(
                f"expected subprotocols= to be names made of letters, digits and !#$%&'*+-.^_`|~ "
                f"(RFC 6455 §4.1), got {protocol!r:.60}"
            )
    for name, value in pairs:
        if not isinstance(name, str) or not _TOKEN.fullmatch(name):
            raise ValueError(
                f"expected a header's name made of letters, digits and !#$%&'*+-.^_`|~ "
                f"(RFC 9110 §5.1), got {name!r:.60}"
            )
        if not isinstance(value, str):
            raise TypeError(
                f"expected the header {name!r} to hold a str, got {type(value).__name__}"
            )
        bad = _NOT_IN_A_VALUE.search(value)
        if bad is not None:
            # Its value may be a secret: only the character is shown.
            raise ValueError(
                f"expected the header {name!r} to hold characters that HTTP can carry (Latin-1, "
                f"no line's end; RFC 9110 §5.5), got {bad[0]!r} at {bad.start()}: encode it, for "
                "example with urllib.parse.quote"
            )


_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_NOT_IN_A_VALUE = re.compile(r"[^\t\x20-\x7e\x80-\xff]")
