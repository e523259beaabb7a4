"""HTTP Archives read back: those that `har` has written, and what Chrome exports.

Its rule: wslab's own bytes are taken as they are from ``log._wslab``; without them, bytes are made
up in `chrome_har`.
"""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Iterable, Iterator
from typing import Any

from ..tape.snapshot import BadFile, Snapshot
from .chrome_har import from_entries

__all__ = ["read_har"]


def read_har(text: str, where: str) -> Snapshot:
    """Read what `har` has written, or what Chrome has.

    Chrome's file has no bytes, only what they meant. They are made up from it: heads from the
    headers that it lists, a frame for each message (uncompressed, in one piece, the client's masked
    with a key of zeros), bodies without their compression. Pings, fragments and close frames are
    not in such a file: of a WebSocket that has ended it tells when, and not how.

    Args:
        text: the file's text.
        where: its name, for error messages.

    Raises:
        BadFile: it is no HTTP Archive.
    """
    try:
        har = json.loads(text)
        log = har["log"]
        entries = log["entries"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadFile(
            f"expected an HTTP Archive, JSON with log.entries, in {where}, got something else "
            f"({error!r}): in Chrome's network panel, export one with the arrow that points down"
        ) from error
    if "_wslab" not in log:
        return from_entries(entries, where)
    own = log["_wslab"]
    saved = Snapshot.from_json(own, where)
    try:
        data = base64.b64decode(own["data"], validate=True)
        ends = itertools.accumulate(own["size_bytes"])
        columns = zip(own["at_s"], own["connection"], own["what"], ends, strict=True)
        saved.chunks = list(_cut(columns, data, len(saved.tracks)))
    except (LookupError, TypeError, ValueError) as error:
        raise BadFile(
            f"expected the bytes of a tape in log._wslab in {where}, got something changed "
            f"({error!r}): load the original file"
        ) from error
    return saved


def _cut(
    columns: Iterable[tuple[Any, Any, Any, Any]], data: bytes, tracks: int
) -> Iterator[tuple[float, int, int, bytes]]:
    start = 0
    for at_s, index, what, end in columns:
        if not 0 <= index < tracks or not 0 <= what < 4 or not start <= end <= len(data):
            raise ValueError("a chunk that points nowhere")
        yield float(at_s), index, what, data[start:end]
        start = end
