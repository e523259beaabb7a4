"""What a hub was told when it was made, checked; whoever works for it reads it here.

Its rule: they share one object, so that what is changed while clients are there (``hub.limits``,
``hub.show_errors``) holds for the next message.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any, Final, Literal

from ...calls.calling import check_takes
from ..protocol.limits import Limits
from ..protocol.packets import Dumps, Loads

__all__ = ["POLICIES", "HubSettings", "Policy", "WhenDown"]

Policy = Literal["drop-oldest", "keep-latest", "disconnect"]
WhenDown = Literal["queue", "refuse"]
POLICIES: Final = ("drop-oldest", "keep-latest", "disconnect")


@dataclass(slots=True)
class HubSettings:
    """The keywords of `Hub`, which explains them.

    Raises:
        TypeError, ValueError: what was expected, and what came.
    """

    name: str
    history: int
    session_s: float
    slow: Policy
    limits: Limits
    show_errors: bool
    dumps: Dumps | None
    loads: Loads | None
    backplane: str | None = None
    when_down: WhenDown = "queue"

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError(
                f"expected a name for the hub, got {type(self.name).__name__} {self.name!r:.60}"
            )
        if self.slow not in POLICIES:
            raise ValueError(
                f"expected slow= to be one of {', '.join(POLICIES)}, got {self.slow!r}"
            )
        if self.when_down not in ("queue", "refuse"):
            raise ValueError(
                f'expected when_down= as "queue" or "refuse", got {self.when_down!r:.60}'
            )
        if self.backplane is not None and not isinstance(self.backplane, str):
            raise TypeError(
                "expected backplane= as a URL such as redis://127.0.0.1:6379/0, or None for one "
                f"process, got {self.backplane!r:.60}"
            )
        _check_number("history", self.history, (int,), "a whole number")
        _check_number("session_s", self.session_s, (int, float), "a number of seconds")
        if type(self.show_errors) is not bool:
            raise TypeError(f"expected show_errors as True or False, got {self.show_errors!r:.60}")
        for word, function in (("dumps", self.dumps), ("loads", self.loads)):
            if function is not None:
                check_takes(function, 1, f"{word} as a function such as json.{word}")
        if not isinstance(self.limits, Limits):
            raise TypeError(f"expected limits as Limits(...), got {type(self.limits).__name__}")

    @property
    def keywords(self) -> dict[str, Any]:
        """What `Hub` was told, but for its name."""
        return {each.name: getattr(self, each.name) for each in fields(self)[1:]}

    def tighten(self, **given: Any) -> None:
        """Set limits that have a keyword of their own; None leaves one as it is."""
        given = {name: value for name, value in given.items() if value is not None}
        if given:
            self.limits = replace(self.limits, **given)


def _check_number(word: str, number: Any, kinds: tuple[type, ...], what: str) -> None:
    if type(number) not in kinds:
        raise TypeError(f"expected {word} as {what}, got {number!r:.60}")
    if not number >= 0:
        raise ValueError(f"expected {word} of at least 0, got {number!r}")
