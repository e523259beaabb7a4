"""HandshakeAttempt: one opening handshake sent as it was written, and what came back.

What the handshake editor keeps and draws, without the widget: a request built from lines, one
exchange of bytes on the lab's loop, both heads read and judged. Its rule: the bytes are real, and
nothing of the request is put right on the way. What is shown of it is redacted.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from ...errors import ConnectFailed, HandshakeTimeout, LoopBlocked, NobodyListening
from ...failures import in_words
from ...loops import portals
from ...network import exchange
from ...wire.http.accept import derive_accept
from ...wire.http.building import build_request
from ...wire.http.handshake import Handshake
from ...wire.http.head_reader import HeadReader
from ...wire.http.heads import Problem, Request, Response
from ...wire.http.redaction import find_secrets, redact
from ..panels import model
from .target import DEFAULTS, HandshakeTarget, Plan, label_of, read_answer

__all__ = ["HandshakeAttempt", "attempt", "to_json"]

TIMEOUT_S = 3.0
MAX_BODY_BYTES = 600
_PARAGRAPH = re.compile(
    r" (?=The request breaks a rule:|Its own words:|Very likely |Probably |What is known:)"
)


@dataclass(frozen=True)
class HandshakeAttempt:
    """A request as it was sent, and what came back.

    Attributes:
        label: how it differs from a good one, such as "without Host".
        sent: the bytes that went out.
        received: the bytes that came, up to what was read; with 101, frames may follow the head.
        handshake: both heads without secrets, judged by RFC 6455.
        took_s: seconds until the answer was read.
        failure: why the answer is no HTTP, or what the callback raised; else "".
    """

    label: str
    sent: bytes
    received: bytes
    handshake: Handshake
    took_s: float
    failure: str = ""

    @property
    def status(self) -> int | None:
        """The answer's status, or None where there is no answer."""
        response = self.handshake.response
        return None if response is None else response.status

    @property
    def headers(self) -> dict[str, str]:
        """The answer's headers, without secrets; of two of the same name the first."""
        response = self.handshake.response
        pairs = reversed(response.headers) if response else ()
        return {header.name: header.value for header in pairs}

    @property
    def outcome(self) -> str:
        """The status in words: "101 Switching Protocols", "no answer"."""
        if self.status is None:
            return "no answer"
        try:
            return f"{self.status} {HTTPStatus(self.status).phrase}"
        except ValueError:
            return str(self.status)

    @property
    def why(self) -> str:
        """Why there is no WebSocket, or what a good answer means."""
        if self.handshake.accepted:
            return (
                "101: the server switched, and its Accept fits the key. HTTP has ended on this "
                "connection; from here on both sides send frames."
            )
        return " ".join(filter(None, [self.failure, self.handshake.why_refused]))

    @property
    def reasons(self) -> str:
        """The same as ``why``, which is one paragraph here."""
        return self.why

    def __str__(self) -> str:
        return f"{self.label}: {self.outcome}"

    def __repr__(self) -> str:
        return f"<HandshakeAttempt {self}>"


def attempt(
    target: HandshakeTarget, plan: Plan, good: Plan, *, timeout_s: float = TIMEOUT_S
) -> HandshakeAttempt:
    """Send a planned request over TCP, on the lab's loop, and return what came of it.

    Args:
        target: whom to ask.
        plan: what to send.
        good: the same without the learner's changes, to name them.
        timeout_s: seconds for connecting, and again for the answer.

    Raises:
        NobodyListening: nothing listens there.
        HandshakeTimeout: no connection could be made in time.
        ConnectFailed: it failed otherwise; the message says how.
        ValueError: the lines would not be one HTTP head.
        LoopBlocked, WrongThread: see ``wslab.run``.
    """
    lines = [(str(name), str(value)) for name, value in plan["lines"]]
    names = {name.lower() for name, _ in lines}
    sent = build_request(
        plan["target"],
        target.host_header,
        "",
        headers=lines,
        omit=[name for name, _ in DEFAULTS if name.lower() not in names],
        method=plan["method"],
        version=plan["version"],
    )
    request, _ = HeadReader("client").feed(sent)
    if not isinstance(request, Request):
        words = request.message if isinstance(request, Problem) else "it has no end"
        raise ValueError(f"expected the lines to make one HTTP request; {words}")
    try:
        answer, errors = portals.lab().call(target.ask, sent, timeout_s, timeout=4 * timeout_s)
    except ConnectionRefusedError as exc:
        raise NobodyListening(
            f"expected something to listen at {target.host_header}, but nothing does: is the "
            "server stopped? Run its cell again"
        ) from exc
    except LoopBlocked:
        raise
    except TimeoutError as exc:
        raise HandshakeTimeout(
            f"expected a TCP connection to {target.host_header} within {timeout_s:g} s; none came: "
            "is the address right, and does a firewall let you through?"
        ) from exc
    except OSError as exc:  # no such host, TLS that does not fit
        raise ConnectFailed(
            f"expected a connection to {target.host_header}, got {in_words(exc)}"
        ) from exc
    response, _ = read_answer(answer.data)
    failure = _failure(target, answer, response, errors)
    if isinstance(response, Response) and response.status != 101:
        body = answer.data.partition(b"\r\n\r\n")[2]
        response = dataclasses.replace(response, body=body)
    shown = None
    if isinstance(response, Response):
        shown = redact(response, also=find_secrets(request))
    return HandshakeAttempt(
        label=label_of(plan, good),
        sent=sent,
        received=answer.data,
        handshake=Handshake(redact(request), shown),
        took_s=answer.took_s,
        failure=failure,
    )


def _failure(
    target: HandshakeTarget,
    answer: exchange.Exchange,
    response: Any,
    errors: Sequence[BaseException],
) -> str:
    if errors:
        exc = errors[0]
        text = str(exc) or "no message"
        if isinstance(exc, NotImplementedError):
            return f"{target.name} is not written yet."
        return f"{target.name} raised {type(exc).__name__}: {text}."
    if isinstance(response, Problem):
        return f"What came is no HTTP answer. {response.message}"
    if answer.ended == "timeout":
        if response is None:
            return "The server kept the connection open and did not complete an answer in time."
        return (
            "The answer's head came, but not its end: without Content-Length a client waits until "
            "the server closes, and it did not."
        )
    return ""


def to_json(one: HandshakeAttempt, number: int) -> dict[str, Any]:
    """Return all that a page draws of an attempt."""
    handshake = one.handshake
    response = handshake.response
    state = "opened" if handshake.accepted else "refused"
    if one.status == 101 and not handshake.accepted:
        state = "doubtful"
    return {
        "number": number,
        "label": one.label,
        "outcome": one.outcome,
        "state": state,
        "why": _paragraphs(one),
        "suspect": handshake.suspect or "",
        "took": model.round_trip(one.took_s),
        "request": _lines(handshake.request),
        "response": _lines(response) if response else [],
        "body": _body(response),
        "accept": _accept(handshake),
    }


def _paragraphs(one: HandshakeAttempt) -> list[str]:
    """Return why, without what the page shows beside it: the status, the suspect, the body."""
    shown = {"", f"Very likely because of {one.handshake.suspect}."}
    texts = [text.removeprefix(f"{one.outcome}: ") for text in _PARAGRAPH.split(one.why)]
    return [text for text in texts if text not in shown and not text.startswith("Its own words:")]


def _lines(head: Request | Response) -> list[dict[str, str]]:
    rows = [{"name": "", "value": head.start_line, "purpose": "", "section": "", "fault": ""}]
    rows += [
        {
            "name": header.name,
            "value": header.value,
            "purpose": header.purpose,
            "section": header.section,
            "fault": header.fault or "",
        }
        for header in head.headers
    ]
    return rows


def _body(response: Response | None) -> str:
    if response is None or not response.body:
        return ""
    text = response.body[:MAX_BODY_BYTES].decode("utf-8", "replace")
    more = len(response.body) - MAX_BODY_BYTES
    return text + (f"\n… and {model.size(more)} more" if more > 0 else "")


def _accept(handshake: Handshake) -> dict[str, Any] | None:
    """Return the derivation of Accept, where there is a key and an answer that switches."""
    key = handshake.request.get("Sec-WebSocket-Key")
    response = handshake.response
    if key is None or response is None or response.status != 101:
        return None
    steps = derive_accept(key)
    sent = response.get("Sec-WebSocket-Accept")
    return {
        "key": steps.key,
        "guid": steps.guid,
        "sha1": steps.sha1.hex(),
        "accept": steps.accept,
        "sent": sent or "",
        "fits": sent == steps.accept,
    }
