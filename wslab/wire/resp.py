"""RESP: what a program and Redis say to each other, as values (RESP 2 and RESP 3).

Its rule: bytes in, whole values out, however the bytes were cut. A peer that claims more than may
be kept is an error at once, before its bytes are here. What a value means is not here: a command is
an array of bulk strings, and its answer is the next value that is no push.
"""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["RespDecoder", "RespError", "RespFailure", "RespPush", "RespValue"]

MAX_BYTES = 4 * 2**20  # of one value
MAX_ITEMS = 100_000  # of one array
MAX_DEPTH = 16
_END = b"\r\n"
_LENGTHS = b"$!=*%~>|"  # types whose line says how much follows


class RespError(ValueError):
    """What came is no RESP, or more than is kept of one value."""


class RespFailure(str):
    """An error that Redis answered with, such as ``NOSCRIPT No matching script``."""

    __slots__ = ()


class RespPush(list[Any]):
    """What Redis says unasked, in RESP 3: a message of a channel, for instance."""

    __slots__ = ()


class RespValue(NamedTuple):
    """One whole value: bytes, str, int, float, bool, None, list, `RespFailure` or `RespPush`.

    Args:
        value: the value.
        size_bytes: what it took on the wire.
    """

    value: Any
    size_bytes: int


class _Short(Exception):
    """More has to come first."""


class RespDecoder:
    """Values out of one direction of one connection.

    Args:
        max_bytes: what one value may take.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self._data = bytearray()
        self._wanted = 0  # nothing is whole before so many bytes are here

    @property
    def held_bytes(self) -> int:
        """What is kept of a value that is not whole yet."""
        return len(self._data)

    def add(self, data: bytes) -> list[RespValue]:
        """Take bytes, and return the values that are whole now.

        Raises:
            RespError: these bytes are no RESP, or a value is larger than is kept.
        """
        self._data += data
        values: list[RespValue] = []
        while len(self._data) > self._wanted:
            try:
                value, end = self._read(0, 0)
            except _Short:
                if len(self._data) > self.max_bytes:
                    raise self._too_large(len(self._data)) from None
                break
            del self._data[:end]
            self._wanted = 0
            values.append(RespValue(value, end))
        return values

    def _line(self, start: int) -> tuple[int, bytes, int]:
        at = self._data.find(_END, start)
        if at < 0:
            raise _Short
        return self._data[start], bytes(self._data[start + 1 : at]), at + 2

    def _read(self, start: int, depth: int) -> tuple[Any, int]:
        kind, line, end = self._line(start)
        if kind in _LENGTHS:
            return self._read_long(kind, _number(line), end, depth)
        match kind:
            case 0x2B:  # +
                return line.decode("utf-8", "replace"), end
            case 0x2D:  # -
                return RespFailure(line.decode("utf-8", "replace")), end
            case 0x3A | 0x28:  # : (
                return _number(line), end
            case 0x2C:  # ,
                try:
                    return float(line), end
                except ValueError:
                    raise RespError(f"expected a float after ',', got {line[:20]!r}") from None
            case 0x23:  # #
                return line == b"t", end
            case 0x5F:  # _
                return None, end
        raise RespError(
            f"expected a RESP value, got {bytes(self._data[start : start + 20])!r}: "
            "this is no connection to Redis, or its beginning is missing"
        )

    def _read_long(self, kind: int, count: int, end: int, depth: int) -> tuple[Any, int]:
        if count < 0:
            return None, end
        if kind in b"$!=":
            if count > self.max_bytes:
                raise self._too_large(count)
            after = end + count + 2
            if len(self._data) < after:
                self._wanted = after - 1
                raise _Short
            data = bytes(self._data[end : end + count])
            if kind == 0x21:  # !
                return RespFailure(data.decode("utf-8", "replace")), after
            return (data[4:] if kind == 0x3D else data), after  # =: "txt:" stands before the text
        if count > MAX_ITEMS or depth >= MAX_DEPTH:
            raise RespError(
                f"expected an array of at most {MAX_ITEMS:,} values and {MAX_DEPTH} levels, got "
                f"one of {count:,} on level {depth + 1}"
            )
        items: list[Any] = []
        for _ in range(count * (2 if kind in b"%|" else 1)):
            item, end = self._read(end, depth + 1)
            items.append(item)
        if kind == 0x7C:  # |: attributes stand before the value that they are of
            return self._read(end, depth)
        if kind == 0x25:  # %
            return list(zip(items[::2], items[1::2], strict=True)), end
        return (RespPush(items) if kind == 0x3E else items), end

    def _too_large(self, size_bytes: int) -> RespError:
        return RespError(
            f"expected a value of at most {self.max_bytes:,} bytes, got one of {size_bytes:,}"
        )


def _number(line: bytes) -> int:
    try:
        return int(line)
    except ValueError:
        raise RespError(f"expected a number, got {line[:20]!r}") from None
