"""Tape: the record of connections that users see: what was recorded, as events, rows and files.

Its rule: it keeps nothing itself. Bytes are in a recorder; reading, saving and loading are
functions of one, loaded when they are first asked for: recording, and importing wslab, do without.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..sender import Sender
from .recorder import DEFAULT_MAX_BYTES, Dropped, Recorder
from .segment import KINDS
from .track import Position, Track

if TYPE_CHECKING:
    import os

    from ..events import Event, FrameEvent, MessageEvent
    from .reader import TapeReader
    from .sent import Sent
    from .snapshot import Snapshot
    from .waiting import Wanted

__all__ = ["Chunk", "Tape"]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes that crossed a transport at once. ``what``: "client", "server", "opened", "ended"."""

    at_s: float
    track: Track
    what: str
    data: bytes


class Tape:
    """A bounded record of what crossed the transports of one or more connections.

    It has more than fifteen public names: each is one line, for users who want all that is on a
    tape in one place.

    Args:
        max_bytes: how much it keeps, its own bookkeeping included. Beyond it the oldest bytes are
            dropped, and counted in ``dropped``. Only what belongs to a connection that is still
            open comes on top: its heads, and what decompression needs (about 200 KiB).
        name: how views call it.

    Attributes:
        notes: what had to be left out where it was loaded from another program's file.
        began_at: seconds of the epoch at ``at_s == 0``.
        recorder: where the bytes are.
    """

    def __init__(self, *, max_bytes: int = DEFAULT_MAX_BYTES, name: str | None = None) -> None:
        self.name = name
        self.notes: tuple[str, ...] = ()
        self.began_at = time.time()
        self.recorder = Recorder(max_bytes)

    @property
    def max_bytes(self) -> int:
        """How much it keeps, its own bookkeeping included."""
        return self.recorder.max_bytes

    def open(
        self,
        connection_id: str,
        *,
        side: Sender = "server",
        label: str | None = None,
        client_address: str = "",
        server_address: str = "",
        is_secure: bool = False,
    ) -> Track:
        """Begin a connection, and return the track to record it on.

        Args:
            connection_id: short, unique on this tape.
            side: whose transport this is.
            label: what views call the client; its id where there is none.
            client_address, server_address: "host:port" of the ends of TCP.
            is_secure: whether TLS is between the bytes and TCP: wss and https.
        """
        return self.recorder.open(
            connection_id,
            side=side,
            label=label,
            client_address=client_address,
            server_address=server_address,
            is_secure=is_secure,
        )

    @property
    def connections(self) -> tuple[Track, ...]:
        """The connections that it still knows, oldest first."""
        return self.recorder.tracks

    @property
    def size_bytes(self) -> int:
        """What it holds now, its own bookkeeping included."""
        return self.recorder.size_bytes

    @property
    def dropped(self) -> Dropped:
        """What it had to drop."""
        return self.recorder.dropped

    def read(self, *, reveal: bool = False) -> list[Event]:
        """Decode all that is kept and return it as events, in the order in which it happened.

        Of more than should be held at once (very many events, or 64 MiB that were compressed)
        events say what is left out; :meth:`iter_events` leaves nothing out.

        Args:
            reveal: leave cookies, credentials and tokens in the heads; else they are redacted.
        """
        return self.reader(reveal=reveal).poll()

    def iter_events(self, *, reveal: bool = False) -> Iterator[Event]:
        """Give all that is kept one by one, decoded as it is taken; see :meth:`read`.

        Args:
            reveal: leave cookies, credentials and tokens in the heads; else they are redacted.
        """
        return self.reader(reveal=reveal).each()

    def reader(self, *, reveal: bool = False) -> TapeReader:
        """Return a reader that gives, with each poll, what has come since the last."""
        from .reader import TapeReader

        return TapeReader(self.recorder, reveal=reveal)

    @property
    def events(self) -> tuple[Event, ...]:
        """All that is kept, decoded anew; see :meth:`read`."""
        return tuple(self.read())

    @property
    def frames(self) -> tuple[FrameEvent, ...]:
        """The frames that are kept (RFC 6455 §5.2)."""
        return tuple(event for event in self.read() if event.kind == "frame")  # type: ignore[misc]

    @property
    def messages(self) -> tuple[MessageEvent, ...]:
        """The whole messages that are kept (RFC 6455 §5.4)."""
        return tuple(event for event in self.read() if event.kind == "message")  # type: ignore[misc]

    def sent_by(self, sender: Sender, *, connection: str | None = None) -> Sent:
        """Return the messages of one side: a list of str and bytes that knows the frames around.

        Args:
            sender: "client" or "server".
            connection: only those of this connection (its id or label); all by default.

        Raises:
            ValueError: neither side.
        """
        from .sent import Sent, check_sender, ids_of, labels_of

        check_sender(sender)
        ids = ids_of(self.recorder, connection)
        events = [
            event for event in self.read() if connection is None or event.connection_id in ids
        ]
        return Sent(events, sender, labels_of(self.recorder))

    def wait_for(
        self,
        wanted: Wanted = None,
        *,
        kind: str | None = None,
        sender: Sender | None = None,
        connection: str | None = None,
        count: int = 1,
        timeout: float | None = 5.0,
    ) -> Event:
        """Wait until something is on the tape, and return its event; what is there already counts.

        In async code: ``await asyncio.to_thread(tape.wait_for, "hello")``. What the code's own
        loop is to send can't come while a plain call holds that loop.

        Args:
            wanted: a message's text or bytes, or a function of an event that says whether it fits.
            kind: of the event: "message", "frame", "close", "pong", "ended", ...
            sender: who caused it: "client" or "server".
            connection: on which connection (its id or label).
            count: return the nth that fits.
            timeout: seconds; None waits without end.

        Raises:
            TimeoutError: it did not come in time; the text shows the frames that did.
            TypeError, ValueError: nothing to wait for, or no such kind.
        """
        from .waiting import wait_for

        return wait_for(
            self.recorder,
            wanted,
            kind=kind,
            sender=sender,
            connection=connection,
            count=count,
            timeout=timeout,
        )

    def why_ended(self, connection: str | None = None) -> str:
        """Say why a connection ended, as far as the record tells: also of other programs' files.

        Args:
            connection: its id or label; may be left out where the tape has one only.

        Raises:
            LookupError: no connection goes by that, or several do.
        """
        from ..close_evidence import why_ended
        from .sent import ids_of, labels_of

        ids = ids_of(self.recorder, connection)
        if len(ids) != 1:
            known = ", ".join(
                f"{track.connection_id} ({track.label})" if track.label else track.connection_id
                for track in self.connections[:8]
            )
            wanted = "its only connection" if connection is None else repr(connection)
            raise LookupError(
                f"expected one connection of this tape for {wanted}, found {len(ids)}; it has: "
                f"{known or 'none'}"
            )
        [wanted] = ids
        label = labels_of(self.recorder)[wanted]
        return why_ended(
            (event for event in self.iter_events() if event.connection_id == wanted),
            label or "the client",
        )

    def chunks(self) -> Iterator[Chunk]:
        """Give the recorded bytes as they crossed the transport, heads unredacted."""
        batch = self.recorder.take(Position())
        return (
            Chunk(at_s, batch.tracks[number], KINDS[kind], data)
            for segment in batch.segments
            for at_s, number, kind, data in segment.chunks()
            if number in batch.tracks
        )

    def to_rows(self, *, reveal: bool = False) -> list[dict[str, Any]]:
        """Return one dict an event, for ``pandas.DataFrame(tape.to_rows())``."""
        from ..files.rows import to_rows

        labels = {track.connection_id: track.label for track in self.connections}
        return to_rows(self.read(reveal=reveal), labels)

    def to_har(self, path: str | os.PathLike[str], *, reveal: bool = False) -> None:
        """Write an HTTP Archive, as Chrome's network panel imports it."""
        from ..files.har import write_har

        write_har(self._snapshot(reveal), path)

    def to_pcapng(self, path: str | os.PathLike[str], *, reveal: bool = False) -> None:
        """Write a capture that Wireshark reads as TCP, HTTP and WebSocket."""
        from ..files.pcapng import write_pcapng

        write_pcapng(self._snapshot(reveal), path)

    def _snapshot(self, reveal: bool) -> Snapshot:
        from .saving import take_snapshot

        return take_snapshot(self.recorder, name=self.name, began_at=self.began_at, reveal=reveal)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Tape:
        """Read a tape that to_har or to_pcapng has written, or a HAR that Chrome exported.

        A HAR of Chrome's tells of messages and not of bytes: the frames are made up, each message
        in one, uncompressed, the client's masked with a key of zeros; of a WebSocket's end it says
        when, and not how. What was redacted stays redacted. Of entries and messages that are odd,
        ``notes`` say that they were left out.

        Raises:
            BadFile: a ValueError: the file is something else, cut off or changed.
            OSError: it cannot be read.
        """
        from ..files.loading import load

        snapshot, recorder = load(path)
        tape = cls(name=snapshot.name)
        tape.notes, tape.began_at = tuple(snapshot.notes), snapshot.began_at
        tape.recorder = recorder
        return tape

    def __repr__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        size = f"{self.size_bytes:,} of {self.max_bytes:,} bytes"
        dropped = f", {self.dropped}" if self.dropped else ""
        notes = f", {len(self.notes)} notes" if self.notes else ""
        return f"<Tape{name}, {len(self.connections)} connections, {size}{dropped}{notes}>"
