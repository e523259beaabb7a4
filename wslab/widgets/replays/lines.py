"""Lines: a record and one run of its replay side by side, message by message.

Its rule: the order is the record's; what is only in one of the two has a line of its own, and each
difference stands on the line that it is about. Both sides are read from tapes, with their secrets
taken out. Left out: how it is drawn.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from ...replays.differences import Difference
from ...replays.matching import Message
from ...replays.replay import Replay
from ...replays.run import Run
from ...wire.events import CloseEvent, EndedEvent, MessageEvent
from ...wire.sender import Sender
from ...wire.tape.tape import Tape
from ..panels.model import one_line

__all__ = ["MAX_SHOWN", "Line", "Talk", "lines_of", "talks_of"]

MAX_SHOWN = 200  # characters or bytes of a message
MAX_MESSAGES = 2_000  # of a connection


@dataclass(frozen=True, slots=True)
class Line:
    """One line: what is on the record, and what came in its place.

    Attributes:
        number: of the message on the record; 0 for what is no message of it.
        sender: whose it is; None for the handshake and the end.
        at_s: seconds since the record's tape began; None for what is not on it.
        recorded, live: what is said, as text; None for nothing.
        differences: those that are about this line.
    """

    number: int
    sender: Sender | None
    at_s: float | None
    recorded: str | None
    live: str | None
    differences: tuple[Difference, ...] = ()


@dataclass(slots=True)
class Talk:
    """What one connection on a tape said.

    Attributes:
        messages: sender, seconds, text; the first 2,000.
        more: how many messages there were beyond.
        end: how it ended, in words; "" where that is not on the tape.
    """

    messages: list[tuple[Sender, float, str]] = field(default_factory=list)
    more: int = 0
    end: str = ""


def talks_of(tape: Tape | None) -> dict[str, Talk]:
    """Return what the connections on a tape said, by their ids, without secrets."""
    talks: defaultdict[str, Talk] = defaultdict(Talk)
    for event in tape.iter_events() if tape is not None else ():
        talk = talks[event.connection_id]
        if isinstance(event, MessageEvent):
            if len(talk.messages) < MAX_MESSAGES:
                talk.messages.append((event.sender, event.at_s, said(event.data)))
            else:
                talk.more += 1
        elif isinstance(event, CloseEvent) and not event.is_answer:
            code = "without a code" if event.code is None else str(event.code)
            reason = f" {event.reason!r}" if event.reason else ""
            talk.end = f"close {code}{reason} by the {event.sender}"
        elif isinstance(event, EndedEvent):
            talk.end = talk.end or "broke off without a close frame"
    return talks


def said(message: Message) -> str:
    """Return a message as it is shown."""
    text = message if isinstance(message, str) else repr(message[:MAX_SHOWN])
    return one_line(text, MAX_SHOWN)


def lines_of(replay: Replay, run: Run, recorded: Talk, live: Talk) -> Iterator[Line]:
    """Give the lines of one run.

    Args:
        replay: what is shown.
        run: one of its runs.
        recorded: what the record has of that connection.
        live: what the live one said.
    """
    found = [each for each in replay.differences if each.run == run.number]
    opening = tuple(each for each in found if each.kind == "handshake")
    answer = f"{run.script.request.method} {run.script.path} → {run.script.response.status}"
    yield Line(0, None, run.script.began_s, answer, answer if not opening else "", opening)
    yield from _message_lines(replay.side, found, recorded, live)
    ending = tuple(each for each in found if each.kind in ("close", "error"))
    if recorded.end or live.end or ending:
        end_s = run.script.end.at_s if run.script.end is not None else None
        yield Line(0, None, end_s, recorded.end or "not on the record", live.end, ending)


def _message_lines(
    side: Sender, found: Sequence[Difference], recorded: Talk, live: Talk
) -> Iterator[Line]:
    by_number = {each.number: each for each in found if each.kind in ("missing", "changed")}
    late = {each.number: each for each in found if each.kind == "order"}
    extra: defaultdict[int, list[Difference]] = defaultdict(list)
    out_of_place = set()
    for each in found:
        if each.kind in ("extra", "order") and each.seen_number is not None:
            out_of_place.add(each.seen_number)
            if each.kind == "extra":
                extra[each.number].append(each)
    ours = (text for sender, _, text in live.messages if sender == side)
    theirs = _in_place((text for sender, _, text in live.messages if sender != side), out_of_place)
    yield from _extra_lines(extra.pop(0, ()))
    for number, (sender, at_s, text) in enumerate(recorded.messages, 1):
        difference = by_number.get(number) or late.get(number)
        came: str | None
        if difference is not None and difference.kind in ("missing", "order"):
            came = None
        else:
            came = next(ours if sender == side else theirs, None)
        differences = () if difference is None else (difference,)
        yield Line(number, sender, at_s, text, came, differences)
        yield from _extra_lines(extra.pop(number, ()))


def _in_place(texts: Iterable[str], out_of_place: set[int]) -> Iterator[str]:
    for number, text in enumerate(texts, 1):
        if number not in out_of_place:
            yield text


def _extra_lines(differences: Iterable[Difference]) -> Iterator[Line]:
    for each in differences:
        text = "" if each.seen is None else said(each.seen)
        yield Line(0, each.sender, None, None, text, (each,))
