"""Bytes in JSON, as Socket.IO has them: beside it, with placeholders in their places.

Its rule: strict both ways. Text is JSON as RFC 8259 has it, without numbers that could not be sent
on, and names each attachment once; data that could be read as another than it is, is not sent.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final, NoReturn, TypeAlias

from .violation import ProtocolViolation, shown

__all__ = ["Place", "escaped", "from_json", "places_of", "put", "to_json"]

# A list or dict, and where in it which attachment belongs.
Place: TypeAlias = tuple[Any, Any, int]
_TOO_DEEP: Final = ("too-deep", "data of a sensible depth", "some that is nested too deep")


def _no_json(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), -float("inf")):  # it could be read, but not sent on
        raise ValueError(f"{digits:.20} is too large a number")
    return number


_read = json.JSONDecoder(parse_constant=_no_json, parse_float=_finite).decode


def from_json(text: str) -> Any:
    """Return what JSON says.

    Raises:
        ProtocolViolation: bad-json or too-deep.
    """
    if text[0] in " \t\r\n":  # JSON may begin so; but stock parsers take it for an id, which is 0
        raise ProtocolViolation("bad-json", "JSON without white space before it", shown(text))
    try:
        return _read(text)
    except RecursionError:
        raise ProtocolViolation(*_TOO_DEEP) from None
    except ValueError as exc:
        raise ProtocolViolation("bad-json", "JSON", f"{shown(text)}: {exc!s:.100}") from None


def places_of(data: Any, count: int) -> list[Place]:
    """Return where in a packet's array the attachments belong, once each.

    Raises:
        ProtocolViolation: bad-placeholder.
    """
    places: list[Place] = []
    missing = set(range(count))
    inner = [data]
    while inner:  # no recursion: JSON may be nested deeper than that goes
        outer = inner.pop()
        for key, value in enumerate(outer) if isinstance(outer, list) else outer.items():
            if not isinstance(value, list | dict):
                continue
            if isinstance(value, list) or not _is_placeholder(value):
                inner.append(value)
                continue
            number = value.get("num")
            if type(number) is not int or number not in missing or len(value) != 2:
                raise _bad_placeholder(count, shown(value))
            missing.remove(number)
            places.append((outer, key, number))
    if missing:
        raise _bad_placeholder(count, f"{len(places)} places for {count} attachments")
    return places


def _is_placeholder(value: dict[Any, Any]) -> bool:
    return value.get("_placeholder") is True


def _bad_placeholder(count: int, got: str) -> ProtocolViolation:
    return ProtocolViolation(
        "bad-placeholder",
        'each attachment\'s place once, {"_placeholder":true,"num":N} with N '
        + ("0" if count == 1 else f"0 to {count - 1}"),
        got,
    )


def put(places: Iterable[Place], attachments: Sequence[bytes]) -> None:
    """Put attachments where they belong; the data that was looked at is changed."""
    for container, key, number in places:
        container[key] = attachments[number]


def to_json(data: Any, attachments: list[bytes]) -> str:
    """Return data as JSON, without white space; its bytes are added to ``attachments``.

    Raises:
        ProtocolViolation: bad-json, bad-placeholder or too-deep.
        TypeError: JSON cannot hold it, and it is not bytes.
    """

    def place(value: Any) -> Any:
        if not isinstance(value, bytes | bytearray | memoryview):
            raise TypeError(
                "expected data that JSON can hold (text, numbers, lists, dicts, None) or bytes, "
                f"got {value.__class__.__name__} {shown(value)}"
            )
        attachments.append(bytes(value))
        return {"_placeholder": True, "num": len(attachments) - 1}

    encoder = json.JSONEncoder(
        ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=place
    )
    try:
        text = escaped(encoder.encode(data))
        if attachments and _has_placeholder(data):
            raise ProtocolViolation(
                "bad-placeholder",
                'no "_placeholder" in data that carries bytes: there it stands for them',
                shown(data),
            )
    except RecursionError:
        raise ProtocolViolation(*_TOO_DEEP) from None
    except ProtocolViolation:
        raise
    except ValueError as exc:  # NaN, or a circle
        raise ProtocolViolation("bad-json", "data that JSON can hold", f"{exc!s:.100}") from None
    return text


def _has_placeholder(data: Any) -> bool:
    if isinstance(data, dict):
        return _is_placeholder(data) or any(map(_has_placeholder, data.values()))
    return isinstance(data, list | tuple) and any(map(_has_placeholder, data))


def escaped(text: str) -> str:
    """Return JSON that UTF-8 can hold."""
    # JSON may hold half a surrogate pair, UTF-8 may not: it stays the escape that it came as.
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return text.encode(errors="backslashreplace").decode()
    return text
