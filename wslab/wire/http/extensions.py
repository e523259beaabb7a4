"""The grammar of Sec-WebSocket-Extensions, offered and agreed (RFC 6455 §9.1).

Its rule: what breaks the grammar is an error that shows no secret. What an extension's parameters
mean is not known here; permessage-deflate's are in `frames.deflate`.
"""

from __future__ import annotations

import re

from .field_values import TOKEN, TOKEN_FORM
from .secret_values import hide_secrets

__all__ = ["Extension", "parse_extensions"]

Extension = tuple[str, list[tuple[str, str | None]]]

_PARAMETER_FORM = rf'({TOKEN_FORM})(?:[ \t]*=[ \t]*(?:({TOKEN_FORM})|"((?:[^"\\]|\\.)*)"))?'
_NAME_OR_PARAMETER = re.compile(rf"[ \t]*{_PARAMETER_FORM}[ \t]*")


def parse_extensions(value: str) -> list[Extension]:
    """Parse a Sec-WebSocket-Extensions value into [(name, [(parameter, value or None), ...]), ...].

    Raises:
        ValueError: the value does not follow the grammar (RFC 6455 §9.1).
    """
    extensions: list[Extension] = []
    at = 0
    separator = ","
    while True:
        match = _NAME_OR_PARAMETER.match(value, at)
        if match:
            name, token, quoted = match.groups()
            if quoted is not None:
                token = re.sub(r"\\(.)", r"\1", quoted)
            if separator == "," and token is None:
                extensions.append((name, []))
            elif separator == ";" and (token is None or TOKEN.fullmatch(token)):
                extensions[-1][1].append((name, token))
            else:
                match = None
        if match:
            at = match.end()
        elif separator == "," and value[at:].lstrip(" \t")[:1] in ("", ","):
            at = len(value) - len(value[at:].lstrip(" \t"))  # an empty part of a list is allowed
        else:
            break
        if at == len(value):
            return extensions
        separator = value[at]
        if separator not in ",;":
            break
        at += 1
    raise ValueError(
        'expected extensions such as "permessage-deflate; client_max_window_bits=12, other", got '
        f"{hide_secrets('', value)!r} (wrong from character {at} on); see RFC 6455 §9.1"
    )
