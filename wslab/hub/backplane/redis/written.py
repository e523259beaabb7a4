"""What is known to be written down in Redis of one session of this node.

Its rule: it says what Redis has, and whether anything is on its way; it writes nothing.
"""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import TypeAlias

from ..backplane import Session

__all__ = ["Then", "Written"]

Then: TypeAlias = Callable[[], object]


class Written:
    """Of one session.

    Args:
        session: it.
        name: what stands for its token in Redis.
        claim: by which Redis knows that this node has it.
        how: of the next write: "open", "whole" or "part".

    Attributes:
        visits: by which Redis knows when its client came here last; two while that is written.
        handled, state: as they were written last.
        answers: the numbers of the packets whose answers Redis has.
        waiting: called when all of it is written.
        written_s: when Redis last heard of it, on a monotonic clock.
        is_ahead: whether its client may have been told of more than that, since Redis was away.
    """

    __slots__ = (
        "answers", "claim", "handled", "how", "is_ahead", "is_dirty", "is_writing", "name",
        "session", "state", "visits", "waiting", "written_s",
    )  # fmt: skip

    def __init__(self, session: Session, name: str, claim: str, how: str) -> None:
        self.session, self.name, self.claim, self.how = session, name, claim, how
        self.visits: tuple[str, ...] = (claim,)
        self.state, self.handled = "", session.handled
        self.answers: collections.deque[int] = collections.deque()
        self.is_ahead = self.is_dirty = self.is_writing = False
        self.waiting: list[Then] = []
        self.written_s = 0.0

    def comes(self, visit: str) -> None:
        """Note that its client comes, which Redis is being told by that word."""
        self.visits = (*self.visits[:1], visit)

    def came(self, *, is_noted: bool) -> None:
        """Keep the word by which Redis knows it: the new one, if Redis has noted that."""
        self.visits = self.visits[-1:] if is_noted else self.visits[:1]

    def must_be_whole(self) -> None:
        """Note that Redis has nothing of it any more."""
        self.how, self.state, self.visits = "whole", "", (self.claim,)
        self.answers.clear()
