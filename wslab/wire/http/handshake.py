"""The opening handshake of a WebSocket: a request and what came back, judged (RFC 6455 §4).

Its rule: it never raises for what came over the wire. The rules are in `checks`, the words for a
refusal in `refusals`, Accept in `accept`, heads made by hand in `building`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from .checks import Check, check_request, check_response, read_extensions
from .extensions import Extension
from .heads import HeadOf, Request, Response
from .refusals import explain_refusal

__all__ = ["Handshake"]


def _with_faults(head: HeadOf, checks: Iterable[Check]) -> HeadOf:
    """Return the head with every broken rule written on the headers that it is about."""
    faults = {
        check.header.lower(): f"Expected {check.expected}; got {check.got} ({check.section})."
        for check in checks
        if check.header is not None and not check.ok
    }
    headers = tuple(
        replace(header, fault=faults.get(header.name.lower())) for header in head.headers
    )
    return replace(head, headers=headers)


@dataclass(frozen=True)
class Handshake:
    """A request and what came back, judged as a WebSocket handshake (RFC 6455 §4).

    The headers of `request` and `response` carry their `fault` here. No text that this makes
    shows a secret, but the heads are kept as given: make it from redacted ones to show them.

    Attributes:
        request: what the client sent.
        response: what came back, or None where nothing did.
        checks: every rule on both sides, in the order of the RFC.
    """

    request: Request
    response: Response | None
    checks: tuple[Check, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        asked = check_request(self.request)
        answered = check_response(self.request, self.response)
        object.__setattr__(self, "checks", (*asked, *answered))
        object.__setattr__(self, "request", _with_faults(self.request, asked))
        if self.response is not None:
            object.__setattr__(self, "response", _with_faults(self.response, answered))

    @property
    def accepted(self) -> bool:
        """Whether the answer is 101 and every rule was kept on both sides."""
        return all(check.ok for check in self.checks)

    @property
    def broken(self) -> tuple[Check, ...]:
        """The checks that failed."""
        return tuple(check for check in self.checks if not check.ok)

    @property
    def is_upgraded(self) -> bool:
        """Whether the answer is 101, right or wrong."""
        return self.response is not None and self.response.status == 101

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that the server picked, or None."""
        if self.response is None or not self.is_upgraded:
            return None
        return self.response.get("Sec-WebSocket-Protocol")

    @property
    def extensions(self) -> list[Extension]:
        """The extensions in force: [(name, [(parameter, value or None), ...]), ...]."""
        if self.response is None or not self.is_upgraded:
            return []
        return read_extensions(self.response) or []

    @property
    def why_refused(self) -> str:
        """Why there is no WebSocket, as far as two heads can tell; empty if accepted."""
        return explain_refusal(self.request, self.response, self.checks)[0]

    @property
    def suspect(self) -> str | None:
        """The request's header that led to the refusal, surely or probably; None if untold."""
        return explain_refusal(self.request, self.response, self.checks)[1]
