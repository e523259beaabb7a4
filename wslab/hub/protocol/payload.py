"""Data of events and answers as JSON text, and the bytes in it as frames of their own.

Its rule: what cannot be sent is refused before anything is; bytes are taken care of before a
``dumps`` or ``loads`` of the user's, which never sees them. What came is as strict: JSON as RFC
8259 has it, and no number that could not be sent on.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from ...errors import BadPacket
from .arguments import Args

__all__ = [
    "MAX_BINARY",
    "Dumps",
    "Loads",
    "dumps",
    "from_json",
    "put_binary",
    "reloaded",
    "to_json",
]

MAX_BINARY = 64  # binary frames of one packet
Dumps: TypeAlias = Callable[[Any], str | bytes]  # such as json.dumps
Loads: TypeAlias = Callable[[str], Any]  # such as json.loads


class _HasBinary(Exception):
    pass


def _refuse(value: Any) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        raise _HasBinary
    raise TypeError(
        f"expected data that JSON can hold (text, numbers, lists, dicts, None) or bytes, got "
        f"{type(value).__name__} {value!r:.60}"
    )


_encode = json.JSONEncoder(
    ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_refuse
).encode


def to_json(value: Any) -> str:
    """Return JSON text, without white space."""
    return _escaped(_encode(value))


def _escaped(text: str) -> str:
    # JSON may hold half a surrogate pair, UTF-8 may not: it stays the escape that it came as.
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return text.encode(errors="backslashreplace").decode()
    return text


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), -float("inf")):  # which could be read, but not sent on
        raise ValueError(f"{digits:.20} is too large a number")
    return number


def _not_json(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


from_json = json.JSONDecoder(parse_constant=_not_json, parse_float=_finite).decode


_PLACEHOLDER = (
    'expected no key "$binary" in data that carries bytes, nor "_placeholder": they stand for them'
)
_TOO_DEEP = "expected data that JSON can hold, got some that holds itself or is nested too deeply"


def dumps(data: Any, own: Dumps | None = None) -> tuple[str, list[bytes]]:
    """Return data as JSON text, and the binary frames that must follow it.

    Args:
        data: what to encode.
        own: what makes the text, in place of ours; it never sees bytes.

    Raises:
        TypeError, ValueError: JSON cannot hold it, and it is not bytes; or what ``own`` raised.
    """
    if own is not None:
        return _dumped_by(own, data)
    try:
        return to_json(data), []
    except _HasBinary:
        pass
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    except ValueError as exc:
        if "Circular" in str(exc):
            raise ValueError(_TOO_DEEP) from None
        raise ValueError(f"expected data that JSON can hold, got {data!r:.60}: {exc}") from None
    attachments: list[bytes] = []

    def put(value: Any) -> Any:
        if not isinstance(value, bytes | bytearray | memoryview):
            return _refuse(value)
        attachments.append(bytes(value))
        return {"$binary": len(attachments) - 1}

    try:
        has_placeholder = _has_placeholder(data)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if has_placeholder:
        raise ValueError(_PLACEHOLDER)
    encoder = json.JSONEncoder(
        ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=put
    )
    text = _escaped(encoder.encode(data))
    _check_count(attachments)
    return text, attachments


def _check_count(attachments: Sequence[bytes]) -> None:
    if len(attachments) > MAX_BINARY:
        raise ValueError(
            f"expected at most {MAX_BINARY} values of bytes in one event, got {len(attachments)}"
        )


def _dumped_by(own: Dumps, data: Any) -> tuple[str, list[bytes]]:
    attachments: list[bytes] = []
    try:
        if _has_bytes(data):
            if _has_placeholder(data):
                raise ValueError(_PLACEHOLDER)
            data = _without_bytes(data, attachments)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    text = own(data)
    if isinstance(text, bytes | bytearray):
        text = text.decode()
    # Whatever stands here stands in a packet, which the other side could not read.
    told = f"expected dumps= to return JSON text, got {type(text).__name__} {text!r:.60}"
    if not isinstance(text, str):
        raise TypeError(told)
    try:
        from_json(text)
    except (ValueError, RecursionError) as exc:
        raise ValueError(f"{told}: {exc}") from None
    _check_count(attachments)
    return _escaped(text), attachments


def _has_bytes(data: Any) -> bool:
    if isinstance(data, dict):
        return any(map(_has_bytes, data.values()))
    if isinstance(data, list | tuple):
        return any(map(_has_bytes, data))
    return isinstance(data, bytes | bytearray | memoryview)


def _without_bytes(data: Any, attachments: list[bytes]) -> Any:
    if isinstance(data, dict):
        return {name: _without_bytes(value, attachments) for name, value in data.items()}
    if isinstance(data, list | tuple):
        return [_without_bytes(value, attachments) for value in data]
    if not isinstance(data, bytes | bytearray | memoryview):
        return data
    attachments.append(bytes(data))
    return {"$binary": len(attachments) - 1}


def put_binary(data: Any, attachments: Sequence[bytes]) -> Any:
    """Put bytes where ``{"$binary": i}`` stands for them."""
    if isinstance(data, list):
        return [put_binary(value, attachments) for value in data]
    if not isinstance(data, dict):
        return data
    if data.keys() != {"$binary"}:
        return {name: put_binary(value, attachments) for name, value in data.items()}
    nth = data["$binary"]
    if type(nth) is not int or not 0 <= nth < len(attachments):
        raise BadPacket(
            f'expected "$binary" to be one of {len(attachments)} frames, got {nth!r:.60}'
        )
    return attachments[nth]


def reloaded(data: Any, own: Loads) -> Any:
    """Return data as a ``loads`` of the user's makes it of its JSON; each argument of several."""
    if type(data) is Args:
        return Args(*[reloaded(each, own) for each in data])
    attachments: list[bytes] = []
    data = own(to_json(_without_bytes(data, attachments)))
    return put_binary(data, attachments) if attachments else data


def _has_placeholder(data: Any) -> bool:
    if isinstance(data, dict):
        # The second is Socket.IO's: its clients would take it for one.
        return (
            "$binary" in data or "_placeholder" in data or any(map(_has_placeholder, data.values()))
        )
    return isinstance(data, list | tuple) and any(map(_has_placeholder, data))
