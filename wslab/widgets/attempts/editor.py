"""AttemptEditor: what the editors of a handshake and of a frame have in common.

Its rule: from the browser come custom messages only, on any thread; each click is an attempt of its
own, whose id comes back in ``done``, also where nothing could be sent. The last twenty are kept.
What is sent, and how it is judged, is each editor's own.
"""

from __future__ import annotations

import html
import threading
from typing import Any, Generic, Protocol, TypeVar

import traitlets

from ..static_html import table
from ..widget import Widget

__all__ = ["MAX_ATTEMPTS", "AttemptEditor", "Attempted"]

MAX_ATTEMPTS = 20
_MAX_DONE = 50


class Attempted(Protocol):
    """What was sent once, and what came back."""

    @property
    def label(self) -> str:
        """How it differs from a good one."""

    @property
    def outcome(self) -> str:
        """The answer in a few words."""

    @property
    def reasons(self) -> str:
        """Why, in one paragraph."""


A = TypeVar("A", bound=Attempted)


class AttemptEditor(Widget, Generic[A]):
    """The widget: attempts that were made, clicks that have come, and both as text.

    Args:
        what: what is edited: "handshake" or "frame".
        target: whom it is sent to, as text calls it.
        traits: what they are at first.
    """

    # Kernel to browser only: trait sync the other way jams while a cell awaits.
    title = traitlets.Unicode().tag(sync=True)
    shown: traitlets.List[Any] = traitlets.List().tag(sync=True)
    done: traitlets.List[Any] = traitlets.List().tag(sync=True)
    said = traitlets.Unicode().tag(sync=True)

    def __init__(self, what: str, target: str, **traits: Any) -> None:
        self._what, self._named = what, target
        self._attempts: list[tuple[int, A]] = []
        self._count = 0
        self._mutex = threading.RLock()
        super().__init__(**traits)
        self.on_msg(self._on_msg)

    @property
    def attempts(self) -> tuple[A, ...]:
        """What was sent so far and what came back, oldest first; the last twenty."""
        with self._mutex:
            return tuple(one for _, one in self._attempts)

    # What each editor does by itself.

    def _click(self, content: Any) -> None:
        """Send what a click asks for, and :meth:`_keep` what came of it."""
        raise NotImplementedError

    def _to_json(self, attempt: A, number: int, /) -> dict[str, Any]:
        """Return all that a page draws of an attempt."""
        raise NotImplementedError

    def _good_text(self) -> str:
        """Return what is sent where nothing is changed."""
        raise NotImplementedError

    # What is the same.

    def _keep(self, attempt: A, **traits: Any) -> A:
        """Enter an attempt, and change traits together with what is shown."""
        with self._mutex:
            self._count += 1
            self._attempts = [*self._attempts, (self._count, attempt)][-MAX_ATTEMPTS:]
            with self.hold_sync():
                self.shown = [self._to_json(one, number) for number, one in self._attempts]
                for name, value in traits.items():
                    setattr(self, name, value)
        return attempt

    def _on_msg(self, _widget: Any, content: Any, _buffers: Any) -> None:
        # On the main thread or on a subshell's; what it raised or printed would appear nowhere.
        if not isinstance(content, dict) or content.get("type") != "send":
            return
        said = "interrupted"
        try:
            self._click(content)
            said = ""
        except Exception as exc:
            notes = "".join(f" {note}" for note in getattr(exc, "__notes__", ()))
            said = f"not sent: {exc}{notes}"
        finally:  # an interrupt, too, ends what was pending
            with self._mutex, self.hold_sync():
                self.done = [*self.done, str(content.get("id"))][-_MAX_DONE:]
                self.said = said

    def forms(self) -> dict[str, str]:
        attempts = self.attempts
        count = "1 try" if len(attempts) == 1 else f"{len(attempts)} tries"
        lines = [f"{self._what} editor for {self._named}, {count}"]
        width = max((len(one.label) for one in attempts), default=0)
        lines += [f"  {one.label:<{width}}  {one.outcome}" for one in attempts]
        parts = [f"<p><b>{self._what.capitalize()} editor</b> for {html.escape(self.title)}</p>"]
        if attempts:
            rows = [[one.label, one.outcome, one.reasons] for one in attempts]
            parts.append(table([self._what, "answer", "why"], rows, wraps="why"))
        else:
            good = html.escape(self._good_text())
            parts.append(f"<pre>{good}</pre><p>Nothing was sent yet.</p>")
        return {"text/plain": "\n".join(lines), "text/html": "".join(parts)}
