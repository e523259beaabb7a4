"""What a session is, as data: what another process needs to continue it.

Pure. Its rule: JSON can hold it, and all that is in it is bounded, so that what strangers make a
hub write down is bounded, too. Left out: the token, which is a secret; the number of packets, which
changes with each of them, and answers, which are written one by one; and events, which every
process reads where they were said.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import Any, Final

from .payload import to_json
from .stays import StaysState
from .untold import UntoldState

__all__ = ["SessionState", "is_same", "portable"]

VERSION: Final = 1
_NOTHING_LOST: Final[UntoldState] = ((0, 0, []), [])


@dataclass(frozen=True, slots=True)
class SessionState:
    """One session.

    Args:
        received: the number of its last packet that was taken up, and whose handler has ended.
        began_offset: of the latest event when it began.
        offset_before: that it came with, of another life of the hub, if it may not know so yet.
        stayed_s: seconds that it was connected.
        user_id: who it is, for everybody to see.
        client_id: what its client went by last.
        name: the client's.
        stays: the rooms that it is in, and was in.
        untold: what it has lost, and may not know of.
        data: the client's, as JSON text of an object; see `portable`.
    """

    received: int
    began_offset: int
    offset_before: int | None = None
    stayed_s: float = 0.0
    user_id: str = ""
    client_id: str = ""
    name: str | None = None
    stays: StaysState = field(default_factory=lambda: StaysState({}, [], 0))
    untold: UntoldState = _NOTHING_LOST
    data: str = "{}"

    def spans(self, since: int, to: int) -> list[tuple[str | None, int, int]] | None:
        """Return where its client may have missed something: room, after which offset, up to which.

        Args:
            since: the offset of the last event that it has seen.
            to: where to stop; in a room that it is in, and among those to everybody (None), it
                goes on from there.

        Returns:
            What to read, beside its own events; None where that is not known any more.
        """
        here, left, left_dropped_to = self.stays
        if left_dropped_to > since:
            return None
        whole = [(None, self.began_offset, to), *((room, at, to) for room, at in here.items())]
        whole += [(room, joined, min(until, to)) for room, joined, until in left]
        read = [(room, max(joined, since), until) for room, joined, until in whole]
        return [(room, after, until) for room, after, until in read if after < until]

    def to_json(self) -> str:
        """Return it as JSON text, but for what it has received."""
        told = {
            "v": VERSION,
            "began": self.began_offset,
            "before": self.offset_before,
            "stayed_s": round(self.stayed_s, 3),
            "user": self.user_id,
            "client": self.client_id,
            "name": self.name,
            "stays": self.stays,
            "untold": None if self.untold == _NOTHING_LOST else self.untold,
        }
        return f'{to_json(told)[:-1]},"data":{self.data}}}'

    @classmethod
    def from_json(cls, text: str | bytes, received: int) -> SessionState:
        """Return what such a text holds.

        Args:
            text: as `to_json` returned it.
            received: the number of the last packet.

        Raises:
            ValueError: it is no session, or one that another version of wslab has written.
        """
        try:
            told = json.loads(text)
            if told["v"] != VERSION:
                raise ValueError(f"expected version {VERSION}, got {told['v']!r:.20}")
            here, left, left_dropped_to = told["stays"]
            stays = StaysState(dict(here), [(str(a), int(b), int(c)) for a, b, c in left],
                               int(left_dropped_to))  # fmt: skip
            untold = _NOTHING_LOST
            if told["untold"] is not None:
                lost, earlier = told["untold"]
                untold = tuple(lost), [(int(at), tuple(each)) for at, each in earlier]
            return cls(
                received, told["began"], told["before"], told["stayed_s"], told["user"],
                told["client"], told["name"], stays, untold, to_json(told["data"]),
            )  # fmt: skip
        except (KeyError, TypeError, ValueError) as exc:
            raise ValueError(
                f"expected a session as wslab {VERSION} writes it, got {text!r:.80} ({exc}): do "
                "all processes of the hub run the same version?"
            ) from None


def is_same(one: str, other: str) -> bool:
    """Return whether two texts of `SessionState.to_json` differ in no more than the seconds here.

    Raises:
        ValueError: one of them is none.
    """
    if one == other:
        return True
    first, second = (
        replace(SessionState.from_json(each, 0), stayed_s=0.0) for each in (one, other)
    )
    return first == second


def portable(data: dict[Any, Any], most_bytes: int) -> tuple[str, list[str]]:
    """Return as much of a client's ``data`` as another process can have.

    Args:
        data: what handlers have put there, by any key.
        most_bytes: of the text.

    Returns:
        JSON text of an object; and the keys of what is left behind, since JSON cannot hold it, its
        key is no text, or there is no room for it.
    """
    parts: list[str] = []
    left_behind: list[str] = []
    size_bytes = 2
    for key, value in tuple(data.items()):
        try:
            part = f"{to_json(key)}:{to_json(value)}" if isinstance(key, str) else None
        except Exception:  # JSON cannot hold it: bytes, objects, what holds itself
            part = None
        if part is None or size_bytes + len(part.encode()) + 1 > most_bytes:
            left_behind.append(str(key)[:60] if isinstance(key, str) else f"{key!r:.60}")
            continue
        size_bytes += len(part.encode()) + 1
        parts.append(part)
    return f"{{{','.join(parts)}}}", left_behind
