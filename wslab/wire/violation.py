"""What bytes can do that the protocols of Engine.IO and Socket.IO forbid: one exception.

Its rule: who receives such bytes ends the connection, and who would send them is kept from it. It
carries a rule's short name, which stays the same, and says what was expected and what came.
"""

from __future__ import annotations

import reprlib
from typing import Any, Final

__all__ = ["ProtocolViolation", "shown"]


class ProtocolViolation(ValueError):
    """A packet that must end its connection, or must not be sent.

    Args:
        rule: a short name that stays the same, such as ``unknown-type``.
        expected: in words, such as ``a packet's type, 0 to 6``.
        got: what came in its place.
    """

    def __init__(self, rule: str, expected: str, got: str) -> None:
        super().__init__(rule, expected, got)
        self.rule = rule
        self.expected = expected
        self.got = got

    def __str__(self) -> str:
        return f"expected {self.expected}, got {self.got}"


_REPR: Final = reprlib.Repr()
_REPR.maxlevel = _REPR.maxdict = _REPR.maxlist = _REPR.maxtuple = 3
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 60


def shown(value: Any) -> str:
    """Return a value's repr, short and at a bounded cost, however large or deep it is."""
    return _REPR.repr(value)
