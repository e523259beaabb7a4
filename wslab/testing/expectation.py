"""Expectation: exceptions of handlers that a test means to cause.

Its rule: each kind that is named has to come, as with ``pytest.raises``; a handler runs beside the
test, so the end of the block waits for it, within a bound. It sees failures, never exceptions.
"""

from __future__ import annotations

import re
import threading

from ..calls.waiting import is_set_within
from ..failures import Failure

__all__ = ["Expectation"]


class Expectation:
    """Exceptions that handlers are expected to let through.

    Args:
        kinds: classes of exceptions; their subclasses fit, too.
        match: a regular expression that is found in what the exception says.
        count: how many of each are to come, at the least.

    Attributes:
        failures: those that came, in order.
    """

    def __init__(
        self, kinds: tuple[type[BaseException], ...], match: str | None, count: int
    ) -> None:
        self.failures: list[Failure] = []
        self._kinds = kinds
        self._match = match
        self._count = count
        self._all_came = threading.Event()

    def take(self, failure: Failure) -> bool:
        """Take a failure if it fits; whether it does."""
        fits = any(map(failure.is_a, self._kinds)) and (
            self._match is None or re.search(self._match, failure.message) is not None
        )
        if fits:
            self.failures.append(failure)
            if all(self._came(kind) >= self._count for kind in self._kinds):
                self._all_came.set()
        return fits

    def _came(self, kind: type[BaseException]) -> int:
        return sum(failure.is_a(kind) for failure in self.failures)

    def missing_after(self, timeout: float) -> str:
        """Wait until all have come; say what is missing, "" for nothing."""
        if is_set_within(self._all_came, timeout):
            return ""
        missing = [
            f"{kind.__name__} ({came} of {self._count} came)" if came else kind.__name__
            for kind in self._kinds
            if (came := self._came(kind)) < self._count
        ]
        matching = f" that says {self._match!r}" if self._match is not None else ""
        return (
            f"expected a handler to raise {' and '.join(missing)}{matching} within {timeout:g} s, "
            "but none did; the frames below show what happened"
        )
