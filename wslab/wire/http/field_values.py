"""What the values of HTTP headers are made of: tokens and lists (RFC 9110 §5.6).

Its rule: it judges nothing, so that a wrong value can still be shown.
"""

from __future__ import annotations

import re

__all__ = ["TOKEN", "TOKEN_FORM", "parse_token_list"]

TOKEN_FORM = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
TOKEN = re.compile(TOKEN_FORM)


def parse_token_list(value: str) -> list[str]:
    """Split a comma-separated value such as Connection's; white space and empty parts fall away.

    It judges nothing, so that a wrong value can still be shown (RFC 9110 §5.6.1).
    """
    return [part for part in (part.strip(" \t") for part in value.split(",")) if part]
