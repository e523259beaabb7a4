"""What strangers can make a hub hold at most, in one place; and who gives way when it is full.

Its rule: what one address or session does never pushes out what another holds. So whoever holds
the most gives way first (`fair_level`): nobody who holds less than an equal part loses anything.
Addresses first, and of one address its clients, since behind a proxy all come from one.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, TypeVar

__all__ = ["Limits", "address_of", "excesses", "fair_level"]

K = TypeVar("K")

KIB, MIB = 2**10, 2**20
_MAY_BE_NONE = {
    "clients_per_address", "connects_per_minute", "rate", "rooms_per_address", "handler_s",
}  # fmt: skip
_LEAST = {"grace_s": 0, "gone_handlers": 0, "gone_handler_s": 0, "sessions": 0}


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a Hub's clients may make it hold: ``Hub(limits=Limits(clients=500))``.

    How often each has held is counted by its name in ``hub.limited``. Where nothing else is said, a
    client that reaches one is told so by an ``error``. What memory it all takes at most follows
    from these: some 60 KiB a connection that keeps to its turn; ``max_size`` and a frame, at most
    websockets' own ``max_size``, for each whose messages wait unread or incomplete, with uvloop 256
    KiB more; ``backlog_bytes``, and 8 bytes for each event that it missed, for each that does not
    read; and the numbers of bytes "in all".

    Args:
        clients: connections at once; more are closed with 1013 (try again later). Where another
            address has more of them than whoever comes, one of that gives way, who came last.
        clients_per_address: of one IP address (of IPv6: one /64 network); None for any number.
            None by default, since behind a proxy, such as Jupyter's, or a router of a whole
            school, all clients come from one address. Set it where clients come directly.
        connects_per_minute: times that one address may connect, or try to, in a minute, and as
            many at once; more get 429 before the 101 where the server can (``wslab.serve``,
            ``hub.asgi``), else 1013. None, the default, for any number: see
            ``clients_per_address``.
        proxies: addresses and networks, such as ``("127.0.0.1", "10.0.0.0/8")``, of proxies of
            yours: who comes through them is counted by the ``X-Forwarded-For`` that they write. No
            other is believed, since any client can send one.
        max_size: bytes of one message from a client; larger ones are refused with an error.
            (websockets closes the connection beyond its own ``max_size``, 1 MiB by default.)
        rate: messages a second that a client may send, and as many at once; None for any number.
        ahead_bytes: of messages that wait for their turn while the hub asks their client, in all;
            beyond it, no more is read of those that have some.
        ahead_bytes_per_client: of these, of one client.
        rooms: rooms that somebody is in, in all. Beyond these, `join` raises `Refused`.
        rooms_per_client: rooms that one client is in.
        rooms_per_address: of all clients of one address, a room counting for each of them that is
            in it; None for any number, by default: see ``clients_per_address``.
        room_name_bytes: of the name of a room that is joined.
        name_bytes: of a client's name, which all others may be shown; setting a longer one raises
            `Refused`.
        handlers: handlers that run at once; further messages wait for their turn, which addresses
            have one after another.
        threads: of these, plain functions that run, or wait for one of asyncio's threads (6 on a
            machine of 2 cores). They count until they end, also when their client has left.
        handlers_per_client: handlers of one session that run at once, over all its connections;
            those of earlier connections are cancelled, the earliest first.
        authenticate_s: seconds for finding out who a client is: for its first packet, where that
            has the token, and for the ``authenticate`` handler.
        handler_s: seconds that a handler may run; then it is cancelled, and its sender told. None,
            the default, for any time: some handlers stream as long as their client is there.
        grace_s: seconds that a handler may go on when its client has left. It is cancelled then,
            unless the client may still come back for the answer (``history``).
        gone_handlers: handlers at work for clients that have left; beyond it, those are cancelled
            of the address that has the most of them, and there of who was connected the shortest.
        gone_handler_s: seconds that a handler may go on for a client that may come back.
        backlog: messages that may wait for a client that reads too slowly.
        backlog_bytes: bytes of them.
        poll_bytes: of what waits for the next poll of a Socket.IO client that speaks HTTP; and of
            what it has sent by POST and nobody has taken up: it gets no answer until then.
        unpolled: such clients that have not polled for 5 s. Beyond it, one of the address that has
            the most is let go of for each that comes, who has waited the longest.
        history_bytes: of all events that are kept, with some for each event and room; an event
            counts in each room that it went to. Whoever comes back and misses what had to go is
            told of the ``gap``. A room's events count as those of the client that spoke first.
        history_bytes_per_room: of the events of one room, and of those to one client alone.
        history_rooms: rooms whose events are kept; of one client's, rooms that nobody is in go
            first.
        sessions: sessions of clients that are away. Beyond it, those go of the address that has
            the most, and there of who was connected the shortest; they come back to a ``gap``.
        sessions_bytes: what these sessions take: which rooms they were in, and when.
        answers_bytes: of answers kept in case they are asked for again, of all sessions.
        answers_bytes_per_session: of one session.
        data_bytes: of one client's ``data``, as JSON, that goes along where it comes back to
            another process of the hub; what is more is left behind, and in ``hub.errors``.
        publish_bytes: of one event on its way to the other processes of a hub; a larger one is
            refused with a ValueError. Well below what Redis holds for a process that reads slowly
            (``client-output-buffer-limit pubsub``, 32 MiB by default).
        publishing: events on their way there, or waiting until Redis is there again; beyond it,
            ``emit`` raises `BackplaneDown`.
        publishing_bytes: bytes of them.

    Raises:
        TypeError, ValueError: what was expected, and what came.
    """

    clients: int = 10_000
    clients_per_address: int | None = None
    connects_per_minute: int | None = None
    proxies: tuple[str, ...] = ()
    max_size: int = 256 * KIB
    rate: float | None = None
    ahead_bytes: int = 64 * MIB
    ahead_bytes_per_client: int = 8 * MIB
    rooms: int = 50_000
    rooms_per_client: int = 100
    rooms_per_address: int | None = None
    room_name_bytes: int = 256
    name_bytes: int = 256
    handlers: int = 1000
    threads: int = 64
    handlers_per_client: int = 4
    handler_s: float | None = None
    authenticate_s: float = 10.0
    grace_s: float = 5.0
    gone_handlers: int = 250
    gone_handler_s: float = 60.0
    backlog: int = 256
    backlog_bytes: int = 1 * MIB
    poll_bytes: int = 256 * KIB
    unpolled: int = 1000
    history_bytes: int = 64 * MIB
    history_bytes_per_room: int = 1 * MIB
    history_rooms: int = 1000
    sessions: int = 10_000
    sessions_bytes: int = 32 * MIB
    answers_bytes: int = 16 * MIB
    answers_bytes_per_session: int = 1 * MIB
    data_bytes: int = 64 * KIB
    publish_bytes: int = 1 * MIB
    publishing: int = 10_000
    publishing_bytes: int = 16 * MIB

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name == "proxies":
                _check_proxies(self.proxies)
            else:
                _check(field.name, getattr(self, field.name))


def _check(name: str, value: Any) -> None:
    is_time = name.endswith("_s")
    what = "seconds" if is_time else "messages a second" if name == "rate" else "a whole number"
    if name in _MAY_BE_NONE:
        if value is None:
            return
        what += ", or None"
    kinds = (int, float) if is_time or name == "rate" else (int,)
    if type(value) not in kinds:
        raise TypeError(f"expected {name} as {what}, got {type(value).__name__} {value!r:.60}")
    if name in ("rate", "handler_s", "authenticate_s"):
        if not value > 0:
            raise ValueError(f"expected {name} above 0 ({what}), got {value!r}")
    elif not value >= (least := _LEAST.get(name, 1)):
        raise ValueError(f"expected {name} of at least {least} ({what}), got {value!r}")


def _check_proxies(proxies: Any) -> None:
    what = 'proxies as addresses or networks, such as ("127.0.0.1", "10.0.0.0/8")'
    if type(proxies) is not tuple:
        raise TypeError(f"expected {what}, got {type(proxies).__name__} {proxies!r:.60}")
    for each in proxies:
        try:
            ipaddress.ip_network(each if isinstance(each, str) else "", strict=False)
        except ValueError:
            raise ValueError(f"expected {what}, got {each!r:.60} among them") from None


def address_of(address: tuple[str, int] | None) -> str:
    """Return who counts as one: an IPv4 address, an IPv6 network, "" for a Unix socket."""
    host = address[0] if address is not None else ""
    if ":" not in host:
        return host
    try:
        parsed = ipaddress.IPv6Address(host)
    except ValueError:
        return host
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    # Who has an IPv6 address has, as a rule, all of its /64 (RFC 6177 §2).
    return str(ipaddress.IPv6Address(int(parsed) >> 64 << 64))


def fair_level(sizes: Iterable[int], total: int) -> int:
    """Return how much each may keep at most, so that all keep no more than the total.

    It is the largest such number: who holds no more than it loses nothing (max-min fairness).
    """
    ordered = sorted(sizes)
    left, count = total, len(ordered)
    for nth, size in enumerate(ordered):
        if size * (count - nth) > left:
            return max(left, 0) // (count - nth)
        left -= size
    return ordered[-1] if ordered else total


def excesses(sizes: Mapping[K, int], total: int) -> Iterator[tuple[K, int]]:
    """Yield who holds more than a fair part, and how much of it, until all would hold the total."""
    level = fair_level(sizes.values(), total)
    excess = sum(sizes.values()) - total
    for who, size in sizes.items():
        over = min(size - level, excess)
        if over > 0:
            excess -= over
            yield who, over
