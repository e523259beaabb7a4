"""Values: two values held against each other, place by place.

Its rule: it tells where they differ and what they would bind, and changes nothing. Where a secret
was taken out of the record, anything fits. Values are what JSON can say, or the text of a message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ..wire.http.secret_values import MARKER
from .paths import Paths, step_into

__all__ = ["MAX_BOUND", "MIN_REPLACED", "Scalar", "Values", "is_scalar", "shown"]

Scalar = str | int | float

MAX_BOUND = 4 * 2**10  # characters of a value of this run
MIN_REPLACED = 4  # characters of a text that is replaced wherever it stands
MISSING: Any = object()
_SECRET = re.compile(re.escape(MARKER) + r"(?:[0-9a-f]{8})?\**")
_SHOWN = 40  # characters of a value


class Values:
    """One comparison of two messages' values.

    Args:
        bound: what recorded values stand for.
        pieces: cuts a text into what is around the patterns that bind, and what they match.
        ignore, bind: paths; see :class:`Matcher`.

    Attributes:
        new: what it would bind.
    """

    def __init__(
        self,
        bound: Mapping[Scalar, Scalar],
        pieces: Callable[[str], tuple[list[str], list[str]]],
        ignore: Paths = (),
        bind: Paths = (),
    ) -> None:
        self.new: dict[Scalar, Scalar] = {}
        self._bound = bound
        self._pieces = pieces
        self._paths = ignore, bind

    def is_same(self, expected: Any, seen: Any) -> bool:
        """Tell whether nothing differs that is compared."""
        return next(self.differing(expected, seen), None) is None

    def differing(self, expected: Any, seen: Any) -> Iterator[tuple[str, Any, Any]]:
        """Give the places in which two values differ, each with what is there in both."""
        yield from self._walk(expected, seen, *self._paths, "")

    def _walk(
        self, expected: Any, seen: Any, ignore: Paths, bind: Paths, path: str
    ) -> Iterator[tuple[str, Any, Any]]:
        if () in ignore:
            return
        if isinstance(expected, dict) and isinstance(seen, dict):
            keys: Iterable[Any] = dict.fromkeys([*expected, *seen])
            get: Callable[[Any, Any], Any] = _of_dict
        elif isinstance(expected, list) and isinstance(seen, list):
            keys, get = range(max(len(expected), len(seen))), _of_list
        else:
            if not self._is_same_leaf(expected, seen, is_bound=() in bind):
                yield path or "the whole", expected, seen
            return
        for key in keys:
            below = f"{path}.{key}" if path else str(key)
            both = get(expected, key), get(seen, key)
            yield from self._walk(*both, step_into(ignore, key), step_into(bind, key), below)

    def _is_same_leaf(self, expected: Any, seen: Any, *, is_bound: bool) -> bool:
        if is_bound and is_scalar(expected) and is_scalar(seen):
            return isinstance(expected, str) is isinstance(seen, str) and self._bind(expected, seen)
        if not isinstance(expected, str) or not isinstance(seen, str):
            return isinstance(expected, bool) is isinstance(seen, bool) and bool(
                expected == seen or (expected != expected and seen != seen)  # NaN is not itself
            )
        if MARKER in expected:
            return _is_around_secrets(expected, seen)
        around, values = self._pieces(expected)
        if values:
            others, came = self._pieces(seen)
            return around == others and all(map(self._bind, values, came))
        # The other side gives back what has been bound elsewhere.
        known = self._bound.get(expected) if len(expected) >= MIN_REPLACED else None
        return seen in (expected, known)

    def _bind(self, expected: Scalar, seen: Scalar) -> bool:
        known = self._bound.get(expected, self.new.get(expected, MISSING))
        if known is not MISSING:
            return bool(known == seen)
        if isinstance(seen, str) and len(seen) > MAX_BOUND:
            return False
        self.new[expected] = seen
        return True


def _is_around_secrets(expected: str, seen: str) -> bool:
    """Whether a text is a recorded one that secrets were taken out of: anything fits there."""
    first, *others = _SECRET.split(expected)
    if not seen.startswith(first):
        return False
    at = len(first)
    for part in others[:-1]:
        at = seen.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return len(seen) - len(others[-1]) >= at and seen.endswith(others[-1])


def _of_dict(value: dict[str, Any], key: str) -> Any:
    return value.get(key, MISSING)


def _of_list(value: list[Any], index: int) -> Any:
    return value[index] if index < len(value) else MISSING


def is_scalar(value: Any) -> bool:
    """Tell whether a value can be bound: a text or a number."""
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def shown(value: Any) -> str:
    """Return a value in a few words, as it is told where two differ."""
    if value is MISSING:
        return "nothing"
    said = repr(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return said if len(said) <= _SHOWN else said[: _SHOWN - 1] + "…"
