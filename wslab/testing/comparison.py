"""Why the messages of one side are not what they should be: where they differ, and the frames.

Its rule: text only, one line an entry, as pytest asks for it; of long messages the beginning.
"""

from __future__ import annotations

from itertools import zip_longest

from ..wire.tape.sent import Sent

__all__ = ["explained"]

_NOTHING = object()


def explained(op: str, left: object, right: object) -> list[str] | None:
    """Return lines for a failed ``left op right``; None where neither is a :class:`Sent`."""
    sent = left if isinstance(left, Sent) else right
    if not isinstance(sent, Sent):
        return None
    lines = [f"{_cut(left, 60)} {op} {_cut(right, 60)}"]
    if op == "==" and isinstance(left, list | tuple) and isinstance(right, list | tuple):
        pairs = enumerate(zip_longest(left, right, fillvalue=_NOTHING))
        at = next((n for n, (one, other) in pairs if one is _NOTHING or one != other), None)
        if at is not None:
            lines.append(f"At message {at}: {_item(left, at)} != {_item(right, at)}")
        else:
            lines.append("The messages are the same; the kinds of the two lists differ")
    return [*lines, "", "What both sides said:", *sent.conversation.splitlines()]


def _item(items: list[object] | tuple[object, ...], at: int) -> str:
    return _cut(items[at], 80) if at < len(items) else "nothing"


def _cut(value: object, chars: int) -> str:
    text = repr(value)
    return text if len(text) <= chars else f"{text[:chars]}..."
