"""Files read back: what format one is in, and a recorder with what it holds.

Its rule: the formats are told apart by what is in a file, not by its name. What is malformed is one
kind of error, which says what to do.
"""

from __future__ import annotations

import os
from pathlib import Path

from ..tape.recorder import Recorder
from ..tape.snapshot import BadFile, Snapshot
from .har_reader import read_har
from .pcapng_blocks import SECTION
from .pcapng_reader import read_pcapng

__all__ = ["load"]


def load(path: str | os.PathLike[str]) -> tuple[Snapshot, Recorder]:
    """Read a file; return what it says and a recorder with its bytes; see :meth:`Tape.load`.

    Raises:
        BadFile: the file is something else, cut off or changed.
        OSError: it cannot be read.
    """
    where = Path(path).name
    data = Path(path).read_bytes()
    if data[:4] == SECTION.to_bytes(4, "little"):
        snapshot = read_pcapng(data, where)
    elif data.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"{":
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise BadFile(f"expected UTF-8 in {where}, got {error.reason}: copy it anew") from error
        snapshot = read_har(text, where)
    else:
        raise BadFile(
            f"expected a .har or .pcapng file, got {where}, which begins with {data[:8]!r}"
            f"{_advice(data)}"
        )
    try:
        return snapshot, Recorder.restore(snapshot)
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise BadFile(
            f"expected what wslab writes about a connection in {where}, got something changed "
            f"({error!r}): load the original file"
        ) from error


def _advice(data: bytes) -> str:
    if data[:2] == b"\x1f\x8b":
        return ": it is compressed, so unpack it first (gunzip)"
    if data[:4] in (b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\xc3\xd4", b"\x4d\x3c\xb2\xa1"):
        return ": that is pcap, the older format, and no file of wslab's"
    if not data:
        return ": it is empty"
    return ": write one with tape.to_har(path) or tape.to_pcapng(path)"
