"""Pages: which page of the notebook has a Browser's sockets, and what the others are told.

Its rule: one page has the sockets, the first that showed the Browser; the others look on. It keeps
them until it lets go, or takes its last view away, or is silent while another page shows that it is
there; what became of its sockets is said, and what was open is opened again by the page that is
next. A page that crashes, or is closed while it is busy, says no last word, so the page that has
the sockets is asked now and then while others look on; and it is not taken for gone before another
one has answered, since a kernel that is busy with a cell hears none of them. A batch
of what it tells is taken once, in its turn, and answered; those that overtook others on the
kernel's threads wait, as many as a page of ours can be ahead, and no more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from .commands import CommandsUnderWay
from .page_sockets import PageSockets
from .record import STATES, bytes_of, to_page

__all__ = ["Batches", "Pages"]

RETURN_S = 0.8  # for a page that takes its last view away only to draw it again
SILENCE_S = 3.0  # of the page that has the sockets, until it is asked; as long again until all are
ROLL_CALL_S = 2.0  # for it to answer once another page has
MAX_PAGES = 64
HISTORY = 100  # events that a page gets when it is loaded again
MAX_EARLY = 8  # batches that overtook others, and at most so many bytes of them:
MAX_EARLY_BYTES = 32 * 2**20

Json = dict[str, Any]


class Pages:
    """The pages that show one Browser. Its user holds the lock.

    Args:
        page_sockets: whose sockets these are.
        send: tells the pages something; its ``to`` says which.
        on_owner: called when another page, or no page any more, has the sockets.

    Attributes:
        owner: the page that has the sockets, or None.
        shown: all of them.
        under_way: the commands that the owner has not run yet.
    """

    def __init__(
        self, page_sockets: PageSockets, send: Callable[[Json], None], on_owner: Callable[[], None]
    ) -> None:
        self.owner: str | None = None
        self.shown: set[str] = set()
        self.under_way = CommandsUnderWay()
        self._page_sockets, self._send, self._on_owner = page_sockets, send, on_owner
        self._left_s: float | None = None  # when the owner took its last view away
        self._heard_s = 0.0  # when the owner last spoke
        self._asked_s = 0.0  # when it was last asked whether it is there
        self._asked_all_s = 0.0  # when the others were, too
        self._candidate: str | None = None  # a page that has answered, and the owner has not,
        self._candidate_s = 0.0  # and since when
        self._reopen: list[int] = []

    @property
    def active(self) -> str | None:
        """The owner, where it is there and not just being drawn anew."""
        return self.owner if self._left_s is None else None

    @property
    def is_expected(self) -> bool:
        """Whether the owner may come back in a moment."""
        return self._left_s is not None

    def arrive(self, page: str, *, holds: bool) -> None:
        """A page shows it.

        Args:
            page: its name.
            holds: whether it has sockets of ours that live.
        """
        self.shown.add(page)
        while len(self.shown) > MAX_PAGES:  # of some the last word never came
            self.shown.discard(next(one for one in self.shown if one not in (page, self.owner)))
        if self._page_sockets.ended:
            self._send({"type": "ended", "to": page})
        elif self.owner is None or self.owner == page or self.is_expected:
            self._give_to(page, holds=holds)
        else:
            self._send({"type": "look on", "to": page, "history": self._history()})
            self._ask(everybody=True)

    def hear(self, page: str) -> None:
        """The owner has spoken, or another page has answered: it is there."""
        if page == self.owner:
            self._heard_s, self._candidate = time.monotonic(), None
        elif self._candidate is None and page in self.shown and self._heard_s < self._asked_all_s:
            self._candidate, self._candidate_s = page, time.monotonic()

    def leave(self, page: str) -> None:
        """A page has taken its last view away."""
        self.shown.discard(page)
        if page == self._candidate:
            self._candidate = None
        if page == self.owner:
            self._left_s = time.monotonic()

    def take_over(self, page: str) -> None:
        """A page gets the sockets for itself; one that had them, and is there, lets go."""
        other = self.owner
        if other is not None:
            self._send({"type": "let go", "to": other})
        self._give_to(page, holds=False)
        if other is not None:
            self._send({"type": "look on", "to": other, "history": []})

    def tick(self) -> None:
        """See whether an owner that left has come back, and whether one that is silent is there."""
        now_s = time.monotonic()
        if self._left_s is not None and now_s - self._left_s >= RETURN_S:
            self._lose("its last view was closed, or its page left, and the sockets with it")
            self._left_s = None
            heir = next(iter(self.shown), None)  # one that looked on
            if heir is not None:
                self._give_to(heir, holds=False)
        if self._candidate is not None and now_s - self._candidate_s >= ROLL_CALL_S:
            self.take_over(self._candidate)
        if self.active is not None and len(self.shown) > 1:
            silent_s = now_s - self._heard_s
            if silent_s >= SILENCE_S and now_s - self._asked_s >= SILENCE_S:
                self._ask(everybody=silent_s >= 2 * SILENCE_S)

    def _ask(self, *, everybody: bool) -> None:
        """Ask the owner whether it is there, and then perhaps those that look on."""
        self._asked_s = time.monotonic()
        self._send({"type": "roll", "to": self.owner})
        if everybody:
            self._asked_all_s = self._asked_s
            for page in self.shown - {self.owner}:
                self._send({"type": "roll", "to": page})

    def _give_to(self, page: str, *, holds: bool) -> None:
        is_back = page == self.owner and holds
        if self.owner is not None and not is_back:
            self._lose("its page was left or loaded again, and the sockets with it")
        self._left_s = self._candidate = None
        if is_back:
            self._send({"type": "own", "to": page, "is_back": True})
            return
        self._own(page)
        page_sockets = self._page_sockets
        reopen, self._reopen = self._reopen, []
        self._send(
            {
                "type": "own",
                "to": page,
                "routes": page_sockets.routes.to_page(),
                "reopen": reopen,
                "made": [
                    page_sockets.connections(index) for index in range(len(page_sockets.states))
                ],
                "history": self._history(),
                "seen": page_sockets.record.seen,
            }
        )

    def _lose(self, why: str) -> None:
        """Say what became of the sockets of a page that is gone, and keep what to open again."""
        self._own(None)
        self._reopen = []
        for index, socket in enumerate(self._page_sockets.states):
            state = socket.ready_state
            if state in (None, "CLOSED"):
                continue
            if state != "CLOSING":
                self._reopen.append(index)
            words = {**socket.words, "ready_state": STATES[3], "buffered_amount": 0}
            self._page_sockets.describe(index, words)
            self._page_sockets.note(index, why)
        lost = self.under_way.clear()
        if lost:
            self._page_sockets.note(
                0,
                f"{lost:,} command{'s were' if lost != 1 else ' was'} on the way to that page: "
                "whether they ran is not known",
            )

    def _own(self, page: str | None) -> None:
        self.owner, self._heard_s = page, time.monotonic()
        self._page_sockets.is_shown = page is not None
        self._on_owner()

    def _history(self) -> list[Json]:
        return [to_page(event) for event in self._page_sockets.record.events[-HISTORY:]]


class Batches:
    """The numbered batches of the page that has the sockets.

    Attributes:
        ack: the last one that was taken, which is what the page is told.
    """

    def __init__(self) -> None:
        self.ack = 0
        self.early: dict[int, tuple[Json, list[Any]]] = {}
        self.early_bytes = 0

    def put(self, said: Json, buffers: list[Any]) -> bool:
        """Take a batch in; False where it is too far ahead of the others to be kept."""
        number, size = int(said["number"]), _size_bytes(said, buffers)
        if number <= self.ack or number in self.early:
            return True
        is_early = number > self.ack + 1
        is_full = len(self.early) >= MAX_EARLY or self.early_bytes + size > MAX_EARLY_BYTES
        if is_early and is_full:
            return False  # no page of ours is so far ahead: after a few it waits for an answer
        self.early[number] = said, buffers
        self.early_bytes += size
        return True

    def take(self) -> Iterator[tuple[Json, list[Any]]]:
        """Take out those whose turn it is, in order."""
        while self.ack + 1 in self.early:
            self.ack += 1
            said, buffers = self.early.pop(self.ack)
            self.early_bytes -= _size_bytes(said, buffers)
            yield said, buffers


def _size_bytes(said: Json, buffers: list[Any]) -> int:
    """Return about how much memory a batch stands for."""
    parts = [*said["events"], *said.get("orders", ())]
    texts = sum(bytes_of(str(part.get("data") or "")) for part in parts)
    return 300 * len(parts) + texts + sum(map(len, buffers))
