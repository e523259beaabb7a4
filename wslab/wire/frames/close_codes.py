"""Close codes: what each number in a close frame means, and who may send it.

The one rule: this is a table (RFC 6455 section 7.4 and the IANA registry that grew out of it), read
by the decoder, by views and by error messages. It knows nothing of frames or connections.
"""

from __future__ import annotations

__all__ = ["CLOSE_CODES", "CLOSE_CODE_RANGES", "close_code_meaning", "may_be_sent"]

CLOSE_CODES: dict[int, tuple[str, str]] = {
    1000: ("normal closure", "the purpose of the connection has been fulfilled"),
    1001: ("going away", "a server shuts down, or the user left the page"),
    1002: ("protocol error", "the other side broke a rule of the protocol"),
    1003: ("unsupported data", "a kind of data came that this side cannot take, such as binary"),
    1004: ("reserved", "no meaning yet; must not be sent"),
    1005: ("no status received", "a close frame came without a code; reported, never sent"),
    1006: ("abnormal closure", "the connection ended without a close frame; reported, never sent"),
    1007: ("invalid payload data", "the data did not fit its kind, such as bad UTF-8 in a text"),
    1008: ("policy violation", "the message breaks a policy; used where no other code fits"),
    1009: ("message too big", "the message is larger than this side is willing to take"),
    1010: ("mandatory extension", "the client needs an extension that the server did not accept"),
    1011: ("internal error", "something unexpected happened, such as an exception in a handler"),
    1012: ("service restart", "the server restarts: connect again, after a random short delay"),
    1013: ("try again later", "the server is overloaded: connect again later"),
    1014: ("bad gateway", "a gateway got an invalid answer from the server behind it"),
    1015: ("TLS handshake failed", "the secure channel was not set up; reported, never sent"),
}
"""Code to (name, meaning), for 1000 to 1015."""

CLOSE_CODE_RANGES: tuple[tuple[range, str], ...] = (
    (range(1000), "not used: codes begin at 1000"),
    (range(1016, 3000), "reserved for future versions of the protocol and its extensions"),
    (range(3000, 4000), "registered: for libraries and frameworks, listed by IANA"),
    (range(4000, 5000), "private use: the application gives it a meaning"),
)
"""What the codes outside the table are for (RFC 6455 section 7.4.2)."""

_REPORTED_OR_RESERVED = frozenset({1004, 1005, 1006, 1015})


def close_code_meaning(code: int) -> str:
    """Say in words what a close code means.

    Args:
        code: any integer, also one that no close frame may carry.

    Returns:
        For example ``"going away: a server shuts down, or the user left the page"``.
    """
    known = CLOSE_CODES.get(code)
    if known is not None:
        return f"{known[0]}: {known[1]}"
    for codes, meaning in CLOSE_CODE_RANGES:
        if code in codes:
            return meaning
    return "out of range: codes run from 1000 to 4999"


def may_be_sent(code: int) -> bool:
    """Tell whether a close frame may carry this code (RFC 6455 sections 7.4.1 and 7.4.2).

    1005, 1006 and 1015 are what a library *reports* when no code came, 1004 is reserved, and 1016
    to 2999 wait for a later version of the protocol.
    """
    if 1000 <= code <= 1014:
        return code not in _REPORTED_OR_RESERVED
    return 3000 <= code <= 4999
