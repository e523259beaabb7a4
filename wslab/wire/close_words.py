"""The words in which a connection's end is told, whoever tells it: a client, a tape, a view.

Its rule: who did what, and what the code means; evidence, and what follows from it, is the
teller's. A name goes in as it is said inside a sentence: "the server", "this client", "alice".
"""

from __future__ import annotations

from .frames.close_codes import close_code_meaning

__all__ = ["KEEPALIVE", "broke_off", "capitalised", "closed_by", "unanswered_by"]

KEEPALIVE = "keepalive ping timeout"  # the reason that websockets gives


def broke_off(why: str = "") -> str:
    """Say that TCP ended without a close frame."""
    return (
        "The connection broke off: TCP ended without a close frame, which is reported as "
        "1006 (never sent; RFC 6455 §7.1.5)" + (f": {why}." if why else ".")
    )


def closed_by(who: str, other: str, code: int, reason: str) -> str:
    """Say who closed it, and with what.

    Args:
        who: sent the first close frame.
        other: the other end.
        code: 1005 where the frame carries none.
        reason: as it was sent.
    """
    said = f' and the reason "{reason}"' if reason else ""
    text = f"{capitalised(who)} closed it with {code} ({close_code_meaning(code)}){said}."
    if reason == KEEPALIVE:
        text += f" It had sent a ping, and {other}'s pong did not come in time."
    return text


def unanswered_by(who: str) -> str:
    """Say who did not answer the close frame."""
    return f"{capitalised(who)} did not answer the close frame."


def capitalised(who: str) -> str:
    """Return a name as it begins a sentence; a person's stays as it is written."""
    return who[0].upper() + who[1:] if who.startswith(("the ", "this ")) else who
