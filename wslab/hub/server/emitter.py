"""What goes out to many: one message, made once, put into the queue of each whom it is for.

Its rule: emitting never waits for anybody. An event goes through the backplane, which numbers it,
and comes back here to be delivered to this process's clients; a raw message has no place in the
history and is delivered at once.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from ..backplane.backplane import Backplane, Publication
from ..dialects.dialect import Raw, Said
from ..protocol import packets
from ..protocol.arguments import Args
from ..protocol.room_log import PROGRAM
from .connection import Connection
from .delivery import CLOSING, DROPPED, QUEUED, SENT, SKIPPED, Delivery, Trace
from .emission import Emission, Target
from .message_ids import Sayings
from .prepared_message import PreparedMessage
from .recipients import Recipients
from .room_closing import RoomClosing

__all__ = ["Emitter", "check_attachments", "check_own", "raw_message", "said_of"]


FEW_ATTACHMENTS = 10  # which every client takes


_Local: TypeAlias = tuple[Delivery, Target, str]  # what the only process knows of an event


class Emitter:
    """One hub's; on its loop, or under its lock while there is none.

    Args:
        backplane: what events go through.
        recipients: who is here.

    Attributes:
        emitted: events and raw messages that were sent, each counted once.
        trace: where it is kept who got what, if anybody looks.
    """

    def __init__(self, backplane: Backplane, recipients: Recipients) -> None:
        self._recipients = recipients
        self.emitted = 0
        self.trace: Trace | None = None
        self.attach(backplane)

    def attach(self, backplane: Backplane) -> None:
        """Have events go through a backplane."""
        self._backplane = backplane
        deliver = self._deliver_shared if backplane.is_shared else self._deliver_here
        recipients = self._recipients
        backplane.attach(deliver, recipients.tell_gap, recipients.empty_room)

    def emit(
        self,
        said: Said,
        target: Target,
        key: str,
        sender: Connection | None,
        handling: Sayings | None = None,
    ) -> Delivery:
        """Publish an event, and deliver it here.

        Raises:
            ValueError: one of those whom it is for takes no event with so many values of bytes.
        """
        backplane = self._backplane
        if len(said.attachments) > FEW_ATTACHMENTS:
            for each in target.connections:
                if each not in target.left_out:
                    check_attachments(said, each)
        delivery = Delivery(said.event, target.names, sender.id if sender else None)
        delivery.preview = said.data[:320].decode(errors="ignore")[:80]
        skip: frozenset[str] = frozenset()
        owner = PROGRAM
        if backplane.keeps_sessions:
            skip = self._recipients.tokens(target.left_out) if target.left_out else skip
            owner = sender.owner if sender is not None else PROGRAM
        if not backplane.is_shared:
            publication = Publication(said, target.rooms, target.sessions, skip, owner)
            backplane.publish(publication, (delivery, target, key))
            return delivery
        kept_as = None if key == said.event else key
        publication = Publication(said, target.rooms, target.sessions, skip, owner, kept_as)
        publication = self._known_again(publication, handling)
        self._publish(publication, Emission(delivery, target, key))
        return delivery

    def _known_again(self, publication: Publication, handling: Sayings | None) -> Publication:
        """Give what a handler says an id, where another process may have to say it again."""
        if handling is None:
            return publication
        tokens = [session.token for session in publication.sessions]
        to = [*publication.rooms, *(f"session {token}" for token in tokens)]
        return publication._replace(id=handling.next_id(publication.said, to))

    def _publish(self, publication: Publication, emission: Emission) -> None:
        emission.delivery.expect()
        self._backplane.publish(publication, emission)

    def _deliver_here(self, said: Said, _publication: Publication, local: _Local) -> None:
        """Deliver what this process, the only one, has said."""
        delivery, target, key = local
        delivery.offset = said.offset
        _ = self._deliver(PreparedMessage.of_event(said), delivery, target, key)

    def _deliver_shared(self, said: Said, publication: Publication, local: Emission | None) -> None:
        """Deliver to whoever is here now; time has passed since it was said."""
        recipients, key, raw = self._recipients, publication.key, publication.raw
        if local is None:
            names = tuple(each for each in publication.rooms if each is not None)
            local = Emission(Delivery(said.event or None, names, None), recipients.none, key)
            local.delivery.elsewhere = None
        delivery, target = local.delivery, local.target
        here = [each for each in recipients.of(publication) if not local.was_told(each)]
        here += [each for each in target.alone if each.is_open and not local.was_told(each)]
        left_out = target.left_out | recipients.left_out(publication, here)
        if raw is None and len(said.attachments) > FEW_ATTACHMENTS:
            here = recipients.that_take(said, here)
        if said.offset is None and publication.rooms + publication.sessions:
            local.tell(each for each in here if each not in left_out)
        if raw is None:
            delivery.offset = said.offset
            message, key = PreparedMessage.of_event(said), key or said.event
        else:
            latest = self._backplane.latest_offset()
            message = PreparedMessage.of_raw(Raw(said.data, raw, latest))
        _ = self._deliver(
            message, delivery, target._replace(connections=here, left_out=left_out), key
        )

    def broadcast(
        self,
        raw: Raw,
        preview: str,
        target: Target,
        sender: Connection | None,
        handling: Sayings | None = None,
    ) -> Delivery:
        """Deliver a raw message."""
        backplane = self._backplane
        delivery = Delivery(None, target.names, sender.id if sender else None)
        delivery.preview = preview
        if backplane.is_shared:
            skip = self._recipients.tokens(target.left_out)
            publication = Publication(
                Said("", raw.payload), target.rooms, target.sessions, skip, PROGRAM, None,
                raw.is_text,
            )  # fmt: skip
            publication = self._known_again(publication, handling)
            self._publish(publication, Emission(delivery, target, None))
            return delivery
        message = PreparedMessage.of_raw(raw._replace(offset=backplane.latest_offset()))
        return self._deliver(message, delivery, target, None)

    def close_room(self, room: str, handling: Sayings | None = None) -> RoomClosing:
        """Have everybody leave a room, behind what was said in it."""
        closing, id = RoomClosing(self._recipients.count(room), room), None
        if self._backplane.is_shared:
            closing.expect()
            if handling is not None:  # see `_known_again`
                id = handling.next_id(Said("close_room", b""), [room])
        self._backplane.close_room(room, closing, id)
        return closing

    def _deliver(
        self, message: PreparedMessage, delivery: Delivery, target: Target, key: str | None
    ) -> Delivery:
        self.emitted += 1
        if self.trace is not None:
            self.trace.begin(delivery)
        outcomes, left_out = delivery.outcomes, target.left_out
        sent = 0
        for each in target.connections:
            if left_out and each in left_out:
                outcome = SKIPPED
                delivery.skipped += 1
            else:
                outcome = each.send_queue.put(message, delivery, key)  # by position: faster
                if outcome is SENT:
                    sent += 1
                elif outcome is QUEUED:
                    delivery.queued += 1
                elif outcome is DROPPED:
                    delivery.dropped += 1
            if outcomes is not None:
                outcomes[each.id] = CLOSING if each.is_gone else outcome
        delivery.sent += sent
        return delivery


def check_attachments(said: Said, connection: Connection) -> None:
    """Refuse more values of bytes in one event than a client takes.

    Raises:
        ValueError: what was expected, and what came.
    """
    dialect = connection.link.dialect
    if len(said.attachments) > dialect.max_attachments:
        raise ValueError(
            f"expected at most {dialect.max_attachments} values of bytes in {said.event!r:.60}, "
            f"got {len(said.attachments)}: {connection.client} speaks {dialect.name} and takes no "
            "more"
        )


def check_own(event: str) -> None:
    """Refuse what cannot be the name of an event that a hub emits.

    Raises:
        TypeError, ValueError: it is no name, or means something else.
    """
    packets.check_name(event)
    if event in packets.RESERVED:
        raise ValueError(
            f"expected an event of your own, got {event!r}, which means something else here"
            + ("; hub.broadcast() sends raw messages" if event == "message" else "")
        )


def said_of(event: str, data: Any, dumps: packets.Dumps | None) -> Said:
    """Return an event of that data.

    Raises:
        TypeError, ValueError: JSON cannot hold the data.
    """
    text, attachments = packets.dumps(data, dumps)
    return Said(event, text.encode(), attachments, is_several=type(data) is Args)


def raw_message(message: str | bytes) -> Raw:
    """Return a message that is no event, as far as it can be told.

    Raises:
        TypeError, ValueError: neither text nor bytes, or text that UTF-8 cannot hold.
    """
    if isinstance(message, str):
        try:
            return Raw(message.encode(), is_text=True)
        except UnicodeEncodeError as exc:
            raise ValueError(
                f"expected text that UTF-8 can hold (RFC 6455 §5.6), got half a surrogate "
                f"pair at {exc.start}"
            ) from None
    if isinstance(message, bytes | bytearray | memoryview):
        return Raw(bytes(message), is_text=False)
    raise TypeError(
        f"expected str (a text frame) or bytes (a binary frame), got "
        f"{type(message).__name__}; hub.emit(event, data) sends any data as JSON"
    )
