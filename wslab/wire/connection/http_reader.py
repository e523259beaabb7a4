"""HttpReader: requests and answers on one connection, until one makes a WebSocket of it.

Its rule: what cannot be read is one fault, and whatever follows on that side is counted and not
read. What the client sends before its answer waits for it: nobody knows what it is.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, replace
from typing import Any

from ..events import BodyEvent, Event, FaultEvent, RequestEvent, ResponseEvent
from ..frames.deflate import Deflate
from ..http.bodies import body_length, is_chunked
from ..http.head_reader import HeadReader
from ..http.heads import HeadOf, Problem, Request, Response
from ..http.redaction import find_secrets, redact, redact_bytes, redact_partial_head
from ..http.secret_values import MARKER
from ..sender import Sender
from .half import Half
from .redacted_copy import RedactedCopy

__all__ = ["TOO_EARLY", "Handover", "HttpReader"]

_MAX_EARLY_BYTES = 2**20
_NO_SECRETS: frozenset[str] = frozenset()

TOO_EARLY = Problem(
    "a request is answered before more follows",
    "RFC 6455 §4.1",
    f"Expected at most {_MAX_EARLY_BYTES} bytes from the client before its request is answered; "
    "more came. A client waits for the 101 before it sends frames. Look why nobody answers.",
    _MAX_EARLY_BYTES,
)


@dataclass(frozen=True, slots=True)
class Handover:
    """The two heads that made a WebSocket of a connection, unredacted, and when they came."""

    request_s: float
    request: bytes
    response_s: float
    response: bytes


class HttpReader:
    """Read the heads and bodies of one connection, in the order in which they came.

    Args:
        connection_id: what the events shall say.
        halves: what each side has sent.
        reveal: leave cookies, credentials and tokens in the heads; else they are redacted.

    Attributes:
        handover: the heads of the handshake, once it is over.
        request: the one that waits for its answer.
        early: sent by the client before its request was answered.
        redacted_copy: where what may be saved is put; None for nowhere.
    """

    __slots__ = (
        "_connection_id", "_halves", "_request_s", "early", "handover", "redacted_copy", "request",
        "reveal",
    )  # fmt: skip

    def __init__(self, connection_id: str, halves: dict[Sender, Half], reveal: bool) -> None:
        self._connection_id = connection_id
        self._halves = halves
        self._request_s = 0.0
        self.reveal = reveal
        self.handover: Handover | None = None
        self.request: Request | None = None
        self.early = b""
        self.redacted_copy: RedactedCopy | None = None

    def copy(self, halves: dict[Sender, Half], reveal: bool) -> HttpReader:
        """Return an independent reader at the same point, of copies of the halves."""
        twin = HttpReader(self._connection_id, halves, reveal)
        twin.handover, twin.early = self.handover, self.early
        twin.request, twin._request_s = self.request, self._request_s
        return twin

    def feed(
        self, events: list[Event], at_s: float, half: Half, data: bytes
    ) -> list[tuple[Half, bytes]]:
        """Take the next bytes of heads and bodies, and add what they complete to ``events``.

        Returns:
            What came behind the handshake that they complete: frames, by who sent them.
        """
        sender = half.sender
        while data:
            if half.heads is None:  # broken: nobody can tell where the next head would begin
                self._save(sender, data if self.reveal else redact_bytes(data))
                break
            if half.body.left != 0:
                body, data = self._body(half, data)
                events.append(BodyEvent(**self._about(at_s, sender), data=body))
                continue
            if sender == "client" and self.request is not None:
                self.early += data
                if len(self.early) <= _MAX_EARLY_BYTES:
                    break
                half.heads, data, self.early = None, self.early, b""
                events.append(FaultEvent(**self._about(at_s, sender), fault=TOO_EARLY))
                continue
            read = half.head + data
            head, data = half.heads.feed(data)
            read = read[: len(read) - len(data)]
            half.head = b"" if head is not None else read
            if isinstance(head, Request):
                self._ask(events, at_s, half, head)
            elif isinstance(head, Response):
                data = self._answer(events, at_s, half, head, data)
                if half.decoder is not None:
                    early, self.early = self.early, b""
                    return [(half, data), (self._halves["client"], early)]
            elif isinstance(head, Problem):
                half.heads = None
                self._save(sender, read if self.reveal else redact_partial_head(read))
                events.append(FaultEvent(**self._about(at_s, sender), fault=head))
        return []

    def _about(self, at_s: float, sender: Sender) -> dict[str, Any]:
        return {"at_s": at_s, "connection_id": self._connection_id, "sender": sender}

    def _save(self, sender: Sender, data: bytes) -> None:
        if self.redacted_copy is not None:
            self.redacted_copy.add(sender, data)

    def _body(self, half: Half, data: bytes) -> tuple[bytes, bytes]:
        """Return what of the bytes belongs to the body, without secrets, and what follows it."""
        body, data = half.body.split(data)
        if not self.reveal:
            body = half.redact_body(body)
        self._save(half.sender, body)
        return body, data

    def _ask(self, events: list[Event], at_s: float, half: Half, head: Request) -> None:
        """Take a request's head."""
        self.request, self._request_s = head, at_s
        secrets = find_secrets(head) if not self.reveal else _NO_SECRETS
        half.begin_body(body_length(head), is_chunked(head), secrets)
        shown = self._redact(head, _NO_SECRETS)
        self._save("client", shown.raw)
        events.append(RequestEvent(**self._about(at_s, "client"), request=shown))

    def _answer(
        self, events: list[Event], at_s: float, half: Half, head: Response, data: bytes
    ) -> bytes:
        """Take a response's head; return the bytes after what belongs to it."""
        request, upgraded = self.request, head.status == 101
        secrets = _NO_SECRETS
        if not self.reveal:
            secrets = find_secrets(head)
            if request is not None:
                secrets |= find_secrets(request)
        shown = self._redact(head, secrets)
        self._save("server", shown.raw)
        if not upgraded:
            half.begin_body(body_length(head, request), is_chunked(head), secrets)
            body, data = self._body(half, data)
            shown = replace(shown, body=body)
        asked = self._redact(request, _NO_SECRETS) if request is not None else None
        about = self._about(at_s, "server")
        events.append(ResponseEvent(**about, response=shown, request=asked))
        if 100 <= head.status < 200 and not upgraded:
            return data  # the answer itself is still to come
        self.request = None
        if upgraded:
            deflate = Deflate.parse(", ".join(head.get_all("Sec-WebSocket-Extensions")))
            for each in self._halves.values():
                each.begin_frames(deflate)
            if request is not None:
                self.handover = Handover(self._request_s, request.raw, at_s, head.raw)
        elif self.early:
            early, self.early = self.early, b""
            self.feed(events, at_s, self._halves["client"], early)
        return data

    def _redact(self, head: HeadOf, secrets: frozenset[str]) -> HeadOf:
        if self.reveal:
            return head
        head = redact(head, also=secrets)
        # In a head that was loaded, the secrets are gone already.
        headers = tuple(
            replace(header, redacted=True) if MARKER in header.value else header
            for header in head.headers
        )
        return replace(head, headers=headers)

    def unfinished(self) -> dict[Sender, bytes]:
        """Return what may be shown of heads that are not complete, and of what came too early."""
        halves = self._halves.items()
        heads = {s: h.head if self.reveal else redact_partial_head(h.head) for s, h in halves}
        heads["client"] += self.early if self.reveal else redact_bytes(self.early)
        return heads

    def handover_events(self, told: HttpReader | None) -> list[Event]:
        """Return the events of the handover that ``told``, which is behind, has not come to."""
        over = self.handover
        if over is None or (told is not None and told.handover is not None):
            return []
        halves: dict[Sender, Half] = {
            sender: Half(self._connection_id, sender) for sender in self._halves
        }
        twin = HttpReader(self._connection_id, halves, self.reveal)
        events: list[Event] = []
        twin.feed(events, over.request_s, halves["client"], over.request)
        if told is not None and told.request is not None:
            events.clear()
        twin.feed(events, over.response_s, halves["server"], over.response)
        return events

    def snapshot(self) -> dict[str, Any]:
        """Return its state as plain values, without the bytes of what is not complete."""
        state: dict[str, Any] = {}
        if self.handover is not None:
            state["handover"] = dataclasses.asdict(self.handover)
            if not self.reveal:
                request, response = self.handover_events(None)
                assert isinstance(request, RequestEvent)
                assert isinstance(response, ResponseEvent)
                state["handover"]["request"] = request.request.raw
                state["handover"]["response"] = response.response.raw
        if self.request is not None:
            state["request"] = redact(self.request, self.reveal).raw
            state["request_s"] = self._request_s
        return state

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`snapshot` has returned."""
        if "handover" in state:
            self.handover = Handover(**state["handover"])
        if "request" in state:
            request, _ = HeadReader("client").feed(state["request"])
            self.request = request if isinstance(request, Request) else None
            self._request_s = state["request_s"]
