"""RedisTalk: what nodes and Redis have said to each other, out of a tape of RESP.

Its rule: a command and its answer are one exchange, by their order on one connection; what Redis
says unasked is another. What only keeps a connection is counted and not shown. What a tape has
dropped unread is gone: of connections that were open then nothing more is understood, and it says
so.
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ...wire.resp import RespDecoder, RespError, RespFailure, RespPush
from ...wire.tape.segment import ENDED, KINDS, OPENED
from ...wire.tape.tape import Tape
from ...wire.tape.track import Position, Track
from .scripts import UPKEEP, Scripts, is_own_channel, without_prefix

__all__ = ["Exchange", "RedisTalk", "in_words"]

MAX_CHUNKS = 4000  # in one look
MAX_PENDING = 1000  # commands of one connection that have no answer yet
MAX_WORD = 60  # characters of one value
MAX_WORDS = 12  # of one array

# What a library says when it connects, and what asks whether the other side is there.
QUIET = frozenset(
    {"HELLO", "CLIENT", "AUTH", "SELECT", "PING", "INFO", "COMMAND", "SCRIPT", "TIME"}
)
# Commands that wait for something: worth a line when it has come.
WAITING = frozenset({"XREAD", "XREADGROUP", "BLPOP", "BRPOP", "BZPOPMIN"})


@dataclass(slots=True)
class Exchange:
    """A command with its answer, or what Redis has said unasked.

    Attributes:
        at_s: seconds since the epoch: of a command that waits, when its answer came.
        node: the label of the connection.
        words: the command, or what was said, each part as text.
        answer: as text; None before there is one, and where none is due.
        is_push: Redis said it unasked.
        is_quiet: it only keeps the connection, or brought nothing.
        size_bytes: on the wire, of both.
    """

    at_s: float
    node: str
    words: list[str]
    answer: str | None = None
    is_push: bool = False
    is_quiet: bool = False
    size_bytes: int = 0

    @property
    def verb(self) -> str:
        """The command's name, in capitals."""
        return self.words[0].upper() if self.words else ""

    @property
    def waits(self) -> bool:
        """Whether it is a command whose answer comes when there is something to say."""
        return not self.is_push and self.verb in WAITING


class _Side:
    """One connection."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.decoders = {"client": RespDecoder(), "server": RespDecoder()}
        self.pending: collections.deque[Exchange] = collections.deque()


class RedisTalk:
    """Reads a tape on, look by look.

    Args:
        tape: of a `RedisServer`.

    Attributes:
        unread: connections of which nothing more is understood.
    """

    def __init__(self, tape: Tape) -> None:
        self._tape = tape
        self._position = Position()
        self._sides: dict[int, _Side | None] = {}
        self._scripts = Scripts()
        self.unread = 0

    def look(self) -> list[Exchange]:
        """Return what has been said since the last look; answers come into earlier ones, too."""
        batch = self._tape.recorder.take(self._position, max_chunks=MAX_CHUNKS)
        self._position = batch.end
        if batch.begun is not None:
            self.unread += sum(side is not None for side in self._sides.values())
            self._sides = dict.fromkeys(batch.begun)
        found: list[Exchange] = []
        for segment in batch.segments:
            for at_s, number, kind, data in segment.chunks():
                track = batch.tracks.get(number)
                if kind == OPENED and track is not None:
                    self._sides[number] = _Side(track.label or "")
                elif kind == ENDED:
                    self._sides.pop(number, None)
                elif track is not None:
                    found += self._read(track, KINDS[kind], data, self._tape.began_at + at_s)
        return found

    def _read(self, track: Track, sender: str, data: bytes, at_s: float) -> Iterator[Exchange]:
        side = self._sides.get(track.number)
        if side is None:
            return
        try:
            values = side.decoders[sender].add(data)
        except RespError:
            self._sides[track.number] = None
            self.unread += 1
            return
        for value, size_bytes in values:
            if sender == "client":
                yield from self._asked(side, value, size_bytes, at_s)
            elif _is_push(value):
                one = Exchange(at_s, side.node, _parts(value), is_push=True, size_bytes=size_bytes)
                is_reply = one.verb in ("SUBSCRIBE", "UNSUBSCRIBE")
                one.is_quiet = is_reply or one.verb == "PONG" or is_own_channel(one.words[1])
                one.words[1:] = map(without_prefix, one.words[1:])
                yield one
                if is_reply and side.pending:  # RESP 2 and 3 answer SUBSCRIBE like this
                    side.pending.popleft().answer = "subscribed"
            elif side.pending:
                one = side.pending.popleft()
                one.answer, one.size_bytes = _answer(one, value), one.size_bytes + size_bytes
                if isinstance(value, RespFailure) and value.startswith("NOSCRIPT"):
                    one.is_quiet = True  # it is sent as a text next
                if one.waits:
                    one.at_s, one.is_quiet = at_s, value is None
                    one.answer = " ".join(itertools.islice(_leaves(value), MAX_WORDS))
                    yield one

    def _asked(self, side: _Side, value: Any, size_bytes: int, at_s: float) -> Iterator[Exchange]:
        """Take a command; give it, unless it waits for something."""
        one = Exchange(at_s, side.node, _parts(value), size_bytes=size_bytes)
        is_script = one.verb in ("EVAL", "EVALSHA") and len(one.words) > 2
        if one.verb == "SCRIPT" and len(one.words) > 2:
            self._scripts.learn(value[2])
        if is_script:
            title = (
                self._scripts.learn(value[1])
                if one.verb == "EVAL"
                else self._scripts.title(one.words[1])
            )
            # Of what it is given, the end of the last one tells most: there stands what is said.
            quoted = f"\N{LEFT DOUBLE QUOTATION MARK}{title}\N{RIGHT DOUBLE QUOTATION MARK}"
            one.words[1:] = [quoted, _tail(one.words[-1])]
            one.is_quiet = title.startswith(UPKEEP)
        elif len(one.words) > 1 and one.verb == "PUBLISH":
            one.is_quiet = is_own_channel(one.words[1])
        else:
            one.is_quiet = one.verb in QUIET
        one.words[1:] = map(without_prefix, one.words[1:])
        side.pending.append(one)
        if len(side.pending) > MAX_PENDING:
            side.pending.popleft()
        if not one.waits:
            yield one


def _answer(one: Exchange, value: Any) -> str:
    """Return the answer to a command as a short text: of a whole table, how much it holds."""
    if one.verb != "HGETALL" or not isinstance(value, list):
        return in_words(value)
    count = len(value) if any(isinstance(each, tuple) for each in value) else len(value) // 2
    return "1 field" if count == 1 else f"{count:,} fields"


def _leaves(value: Any) -> Iterator[str]:
    """Give what is in arrays of arrays, one by one."""
    if isinstance(value, list | tuple):
        for each in value:
            yield from _leaves(each)
    else:
        yield in_words(value)


def _is_push(value: Any) -> bool:
    if isinstance(value, RespPush):
        return True
    # In RESP 2 what is pushed looks like any other array.
    kinds = (b"message", b"pmessage", b"smessage", b"subscribe", b"unsubscribe")
    return isinstance(value, list) and len(value) >= 3 and value[0] in kinds


def _parts(value: Any) -> list[str]:
    parts = value if isinstance(value, list) else [value]
    return [in_words(part) for part in parts[: 4 * MAX_WORDS]]


def in_words(value: Any) -> str:
    """Return a value of RESP as a short text."""
    if isinstance(value, list):
        more = [f"and {len(value) - MAX_WORDS:,} more"] if len(value) > MAX_WORDS else []
        return f"[{', '.join([*map(in_words, value[:MAX_WORDS]), *more])}]"
    if isinstance(value, tuple):
        return ": ".join(map(in_words, value))
    if isinstance(value, bytes):
        try:
            text = value.decode() if len(value) <= 4 * MAX_WORD else _ends(value)
        except UnicodeDecodeError:
            text = f"{len(value):,} bytes {value[:8].hex(' ')}"
    else:
        text = "nil" if value is None else str(value)
        text = f"error {text}" if isinstance(value, RespFailure) else text
    text = "".join(sign if sign.isprintable() else "\N{MIDDLE DOT}" for sign in text)
    if len(text) <= MAX_WORD:
        return text
    return f"{text[: MAX_WORD // 2]}\N{HORIZONTAL ELLIPSIS}{text[1 - MAX_WORD // 2 :]}"


def _tail(word: str) -> str:
    """Return a word, or the end of a long one."""
    most = MAX_WORD // 2
    return word if len(word) <= most else f"\N{HORIZONTAL ELLIPSIS}{word[1 - most :]}"


def _ends(value: bytes) -> str:
    """Return the beginning and the end of a long value as text."""
    head, tail = value[: 2 * MAX_WORD], value[-2 * MAX_WORD :]
    return head.decode("utf-8", "ignore") + tail.decode("utf-8", "ignore")
