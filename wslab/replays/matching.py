"""Matching: whether what came is what the record has, and which values stand for which.

Its rule: a value that is made anew in each run (an id, a time, a token) is bound when it is first
seen: from then on the recorded one stands for the one of this run, in what is compared and in what
is played. Pure: it knows two messages and nothing of connections.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import json
import re
from collections.abc import Callable, Iterable
from typing import Any, Literal

from ..wire.http.secret_values import MARKER
from .paths import Paths, parse_paths, step_into
from .values import MIN_REPLACED, Scalar, Values, is_scalar, shown

__all__ = ["Match", "Matcher", "Message", "new_matcher"]

Message = str | bytes
Match = Literal["exact", "json"] | Callable[[Message, Message], bool]

# What stands before the JSON of a packet of Engine.IO or Socket.IO: `42/admin,7["chat"]`.
_PREFIX = re.compile(r"[\w/,\-]{0,64}(?=[\[{])")
_SHORT = 4 * 2**10  # characters of a message that is read once and kept


def new_matcher(
    match: Match, ignore: Iterable[str] = (), bind: Iterable[str | re.Pattern[str]] = ()
) -> Matcher:
    """Return what compares messages, from the keywords of ``replay``.

    Raises:
        TypeError, ValueError: which one is wrong.
    """
    if match not in ("exact", "json") and not callable(match):
        raise ValueError(
            f'expected match= to be "exact", "json" or a function of two messages, got {match!r}'
        )
    if isinstance(bind, str | re.Pattern):
        raise TypeError(f"expected bind= to be a list, got one: [{bind!r}]")
    bind = list(bind)
    patterns = [each for each in bind if isinstance(each, re.Pattern)]
    for pattern in patterns:
        if not isinstance(pattern.pattern, str) or pattern.groups > 1:
            raise ValueError(
                "expected a pattern in bind= to be one of text, with at most one group, got "
                f"{pattern.pattern!r:.60}"
            )
    named = [each for each in bind if not isinstance(each, re.Pattern)]
    matcher = Matcher(match, parse_paths(ignore, "ignore"), parse_paths(named, "bind"), patterns)
    if callable(match) and (matcher.ignore or bind):
        raise ValueError(
            "expected no ignore= and bind= beside match=function: the function decides alone"
        )
    return matcher


class Matcher:
    """Compares messages, and remembers what is bound.

    Args:
        match: "exact"; "json": what both say as JSON, where both are JSON; or a function of the
            recorded message and the one that came.
        ignore: paths that are not compared, with all below them; they imply "json".
        bind: paths whose values are bound; they imply "json".
        patterns: what is bound in text, wherever it stands: the group, or the whole match.
    """

    def __init__(
        self,
        match: Match = "exact",
        ignore: Paths = (),
        bind: Paths = (),
        patterns: Iterable[re.Pattern[str]] = (),
    ) -> None:
        self.match = match
        self.ignore = ignore
        self.paths = bind
        self.patterns = tuple(patterns)
        self.bound: dict[Scalar, Scalar] = {}
        self._guessed: dict[Scalar, Scalar] = {}  # of a message that may stand for another
        self._is_json = match == "json" or bool(ignore or bind)
        self._latest: tuple[str, tuple[str, Any] | None] = "", None

    def fresh(self) -> Matcher:
        """Return one that compares likewise, with nothing bound."""
        return Matcher(self.match, self.ignore, self.paths, self.patterns)

    def matches(self, expected: Message, seen: Message) -> bool:
        """Tell whether a message may stand for a recorded one; binds nothing."""
        return self._compare(expected, seen) is not None

    def bind(self, expected: Message, seen: Message) -> bool:
        """Bind what a message has in the places that are bound, if it matches; tell whether."""
        new = self._compare(expected, seen)
        self.bound |= new or {}
        return new is not None

    def guess(self, expected: Message, seen: Message) -> None:
        """Play on with what a changed message has in the places that are bound."""
        self._guessed |= self._bound_by(expected, seen)

    def bind_changed(self, expected: Message, seen: Message) -> None:
        """Bind what a changed message has in the places that are bound."""
        self.bound = {**self._bound_by(expected, seen), **self.bound}

    def forget_guesses(self) -> None:
        """Forget what was guessed: it is known now what stands for what."""
        self._guessed = {}

    def _bound_by(self, expected: Message, seen: Message) -> dict[Scalar, Scalar]:
        both = self._both_in_json(expected, seen)
        if both is None or not self.paths:
            return {}
        comparison = self._values(in_json=True)
        with contextlib.suppress(RecursionError):
            for _ in comparison.differing(*both):
                pass
        return comparison.new

    def _values(self, *, in_json: bool) -> Values:
        paths = (self.ignore, self.paths) if in_json else ()
        return Values(self.bound, self.pieces, *paths)

    def _both_in_json(self, expected: Message, seen: Message) -> tuple[Any, Any] | None:
        """Return what two messages say as JSON, where both are that, behind the same prefix."""
        if callable(self.match) or not isinstance(expected, str) or not isinstance(seen, str):
            return None
        parsed, came = _parse_short(expected), self._parse_seen(seen)
        if parsed is None or came is None or parsed[0] != came[0]:
            return None
        return parsed[1], came[1]

    def explain(self, expected: Message, seen: Message) -> str:
        """Say where two messages differ, as far as that can be told in a line; else ""."""
        if isinstance(expected, str) is not isinstance(seen, str):
            return f"{_kind(expected)} was expected, {_kind(seen)} came"
        both = self._both_in_json(expected, seen)
        if both is None:
            return ""
        comparison = self._values(in_json=True)
        try:
            found = list(itertools.islice(comparison.differing(*both), 4))
        except RecursionError:
            return ""
        said = "; ".join(f"{path}: {shown(was)} → {shown(now)}" for path, was, now in found[:3])
        return said + ("; and more" if len(found) > 3 else "")

    def replaced(self, message: Message) -> Message:
        """Return a message of the record with this run's values, to be played.

        What is in a bound place and has not been seen is what this run has from now on: the other
        side is expected to give it back.
        """
        if not isinstance(message, str) or not (self.paths or self.patterns):
            return message
        parsed = _parse(message) if self.paths else None
        if parsed is not None:
            try:
                value, is_changed = self._put(parsed[1], self.paths)
            except RecursionError:
                return message
            if not is_changed:
                return message
            tight = '": ' not in message
            separators = (",", ":") if tight else None
            return parsed[0] + json.dumps(value, ensure_ascii=False, separators=separators)
        return self._replaced_text(message)

    def _compare(self, expected: Message, seen: Message) -> dict[Scalar, Scalar] | None:
        """Return what a matching message binds; None for one that does not match."""
        if callable(self.match):
            return {} if self.match(expected, seen) else None
        if not isinstance(expected, str) or not isinstance(seen, str):
            return {} if type(expected) is type(seen) and expected == seen else None
        both = None
        if self._is_json or MARKER in expected:
            both = self._both_in_json(expected, seen)
        comparison = self._values(in_json=both is not None)
        try:
            is_same = comparison.is_same(*(both or (expected, seen)))
        except RecursionError:
            is_same = expected == seen
        return comparison.new if is_same else None

    def _parse_seen(self, seen: str) -> tuple[str, Any] | None:
        # One message that came is held against many of the record's.
        if self._latest[0] is not seen:
            self._latest = seen, _parse(seen)
        return self._latest[1]

    def pieces(self, text: str) -> tuple[list[str], list[str]]:
        """Return what of a text is around the patterns, and what they match."""
        spans = sorted(
            match.span(pattern.groups) for pattern in self.patterns
            for match in pattern.finditer(text)
        )  # fmt: skip
        around, values, at = [], [], 0
        for begin, end in spans:
            if at <= begin < end:
                around.append(text[at:begin])
                values.append(text[begin:end])
                at = end
        return [*around, text[at:]], values

    def _replaced_text(self, text: str) -> str:
        if not self.patterns:
            known = {**self._guessed, **self.bound}.get(text, text)
            return str(known) if len(text) >= MIN_REPLACED else text
        around, values = self.pieces(text)
        new = [str(self._known(value)) for value in values]
        return "".join(itertools.chain(*itertools.zip_longest(around, new, fillvalue="")))

    def _known(self, value: Scalar) -> Scalar:
        """Return what stands for a value in a bound place; from now on it is itself, at least."""
        if value in self._guessed:
            return self.bound.get(value, self._guessed[value])
        return self.bound.setdefault(value, value)

    def _put(self, value: Any, paths: Paths) -> tuple[Any, bool]:
        if isinstance(value, dict | list):
            items: Iterable[tuple[Any, Any]] = (
                value.items() if isinstance(value, dict) else enumerate(value)
            )
            done = [(key, *self._put(each, step_into(paths, key))) for key, each in items]
            if not any(is_changed for _, _, is_changed in done):
                return value, False
            if isinstance(value, dict):
                return {key: new for key, new, _ in done}, True
            return [new for _, new, _ in done], True
        if () in paths and is_scalar(value):
            known = self._known(value)
            return known, known != value
        if isinstance(value, str):
            new = self._replaced_text(value)
            return new, new != value
        return value, False


def _parse(text: str) -> tuple[str, Any] | None:
    """Return what stands before JSON, and what it says; None for other text."""
    prefix = _PREFIX.match(text)
    start = prefix.end() if prefix is not None else 0
    try:
        return text[:start], json.loads(text[start:])
    except (ValueError, RecursionError):
        return None


_parse_kept = functools.lru_cache(maxsize=256)(_parse)


def _parse_short(text: str) -> tuple[str, Any] | None:
    # The same messages of a record are looked at over and over.
    return _parse_kept(text) if len(text) <= _SHORT else _parse(text)


def _kind(message: Message) -> str:
    return "text" if isinstance(message, str) else "binary"
