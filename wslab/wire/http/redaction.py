"""Taking secrets out of bytes that are no whole head: bodies, and heads that cannot be read.

Its rule: as many bytes come out as went in, so that a Content-Length stays true and what breaks the
rules of HTTP breaks them still. Left out: whole heads, which `headers.redact` reads and redacts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from .headers import _IN_BODY, MARKER

__all__ = ["conceal", "conceal_head", "hide_in_body"]

# In bytes that are no whole head, secrets cannot be told from the rest: all that could be one goes,
# and what breaks the rules stays, so that the same Problem is found again.
_VISIBLE = bytes(byte if byte <= 0x20 or byte == 0x7F else ord("x") for byte in range(256))
_VISIBLE_IN_TARGET = re.compile(rb"[^\x00-\x20\x7f/]")
_ALPHANUMERIC = re.compile(rb"[0-9A-Za-z]")
_PUBLIC = re.compile(rb"[A-Z]{1,16}|HTTP/[0-9]\.[0-9]\r?|[0-9]{3}")
_MIN_PIECE = 4  # of a secret at the end of a piece of a body; shorter ones are too common
_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,40}[ \t]*")


def conceal(data: bytes) -> bytes:
    """Replace what could be a secret in bytes that are no part of a head."""
    return data.translate(_VISIBLE)


def conceal_head(data: bytes) -> bytes:
    """Replace what could be a secret in the beginning of a head; names and shape stay."""
    first, *others = data.split(b"\n")
    blank = [first] if first == b"\r" and others else []  # a request may have one before it
    if blank:
        first, *others = others
    words = first.split(b" ")
    for nth, word in enumerate(words):
        if nth in (0, 1, len(words) - 1) and _PUBLIC.fullmatch(word):
            continue
        if nth:
            words[nth] = _VISIBLE_IN_TARGET.sub(b"x", word)
        else:  # the first byte alone tells HTTP from other protocols
            words[nth] = word[:1] + _ALPHANUMERIC.sub(b"x", word[1:])
    lines = [*blank, b" ".join(words)]
    for line in others:
        name, colon, value = line.partition(b":")
        if colon and _NAME.fullmatch(name):
            lines.append(name + colon + conceal(value))
        else:
            lines.append(_ALPHANUMERIC.sub(b"x", line))
    return b"\n".join(lines)


def hide_in_body(data: bytes, secrets: Iterable[str], before: bytes = b"") -> bytes:
    """Overwrite secrets in a piece of a body; its length stays.

    Args:
        data: bytes of a body.
        secrets: texts to hide, beside what is named like a secret.
        before: the last bytes of the body before these, as they came: a secret may be cut in two.
    """
    text = (before + data).decode("latin-1")
    # The longest first, or a piece of it would leave the rest standing.
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, _marker(len(secret)))
        for size in range(len(secret) - 1, _MIN_PIECE - 1, -1):
            if text.endswith(secret[:size]):
                text = text[:-size] + _marker(len(secret))[:size]
                break
    text = _IN_BODY.sub(lambda match: match[1] + _marker(len(match[2])), text)
    return text.encode("latin-1")[len(before) :]


def _marker(size: int) -> str:
    return MARKER[:size].ljust(size, "*")
