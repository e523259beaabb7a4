"""replay(): one side of a recorded session played again, and where the other side differs.

Its rule: what is compared is what programs mean: messages, how a connection opens and how it ends.
Left out: heads beyond path, subprotocols and status; frames, masks and compression; pongs, and the
other side's pings. What it does on the wire is on a tape, as ever.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal, Self

from ..calls.waiting import is_set_within
from ..client.client import Client
from ..failures import FailureLog
from ..server.handler import handler_name
from ..server.serve import serve
from ..server.server import Server
from ..wire.http.secret_values import MARKER
from ..wire.tape.tape import Tape
from .client_side import play_client
from .differences import Difference, DifferenceLog, Differences
from .matching import Match, new_matcher
from .player import gap_factor
from .run import Run
from .script import Script, chosen, load_record, scripts_of
from .server_side import ServerSide

if TYPE_CHECKING:
    from ..wire.sender import Sender

__all__ = ["Replay", "replay"]

_MIN_MAX_SIZE = 2**20  # bytes of a message, as websockets has it


class Replay:
    """A record that is played, or has been; made by :func:`replay`. Ask it from any thread.

    Use it as a context manager to stop it at the end of a ``with`` block.

    Attributes:
        record: the tape that is played.
        side: whose side that is.
        scripts: the connections of the record that are played.
        notes: what the record has and a replay leaves out.
        server: the server, where the server's side is played; see :class:`Server`.
    """

    def __init__(
        self,
        record: Tape,
        side: Sender,
        scripts: list[Script],
        log: DifferenceLog,
        *,
        server: Server | None = None,
        client: Client | None = None,
        errors: FailureLog | None = None,
        playing: ServerSide | None = None,
    ) -> None:
        self.record = record
        self.side: Sender = side
        self.scripts = tuple(scripts)
        self.server = server
        self._log = log
        self._client = client
        self._errors = errors
        self._playing = playing
        self._is_settled = False
        notes = [*record.notes, *(note for script in scripts for note in script.notes)]
        if record.dropped.connections:
            notes.append(f"{record.dropped.connections:,} older connections are not on the record")
        self.notes = tuple(notes)

    @property
    def differences(self) -> Differences:
        """Where the other side differs from the record, as far as it has been played.

        While a connection is being played, what has not come may still come: :meth:`wait` until it
        is over, or :meth:`stop`, before you ask.
        """
        return self._log.snapshot()

    @property
    def tape(self) -> Tape | None:
        """What really crossed the wire."""
        end = self.server or self._client
        return end.tape if end is not None else None

    @property
    def runs(self) -> tuple[Run, ...]:
        """What was played, the latest hundred: which script over which connection of ``tape``."""
        if self._playing is not None:
            return tuple(self._playing.runs)
        return (Run(1, self.scripts[0], self._client.id if self._client is not None else ""),)

    @property
    def errors(self) -> FailureLog:
        """What a matching function, or the handler that was played against, has let through."""
        if self.server is not None:
            return self.server.errors
        return self._errors if self._errors is not None else FailureLog()

    @property
    def url(self) -> str:
        """Where to connect to, with the path and query of the record; of a client where it was."""
        if self.server is not None:
            return _at(self.server.url, self.scripts[0])
        return self._client.url if self._client is not None else ""

    @property
    def is_played(self) -> bool:
        """Whether all of the record has been played, and nothing of it is being waited for."""
        return self._playing is None or self._playing.is_played.is_set()

    def wait(self, timeout: float | None = 30.0) -> Differences:
        """Wait until all connections of the record have been played; return the differences.

        Args:
            timeout: seconds; None waits until it is so.

        Raises:
            TimeoutError: it takes longer; says what is waited for.
        """
        if self._playing is not None and not is_set_within(self._playing.is_played, timeout):
            left = len(self._playing.left)
            what = (
                f"{left} connection{'' if left == 1 else 's'} of the record, for which nobody has "
                "connected"
                if left
                else "a connection that is not over"
            )
            raise TimeoutError(
                f"expected the record to be played within {timeout:g} s, but it waits for {what}; "
                "stop() ends it, and differences say what is missing"
            )
        return self.differences

    def stop(self, timeout: float | None = 5.0) -> None:
        """Stop: what has not come is missing then; idempotent.

        Args:
            timeout: seconds, see :meth:`Server.stop`.
        """
        if self.server is None or self._playing is None:
            return
        self.server.stop(timeout)
        if self._is_settled:
            return
        self._is_settled = True
        for script in self._playing.left:
            expected = f"a request for {script.path:.200}"
            self._log.add(Difference("handshake", script.name, "client", expected, "nobody"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        count = len(self.scripts)
        what = f"{count} connection{'' if count == 1 else 's'} of {self.record.name or 'a record'}"
        where = f" at {self.url}" if self.server is not None and self.server.is_serving else ""
        total = len(self.differences) + self.differences.dropped
        found = f"{total:,} difference{'' if total == 1 else 's'}" if total else "no differences"
        return f"<Replay of {what}, {self.side}'s side{where}, {found}>"


def replay(
    record: Tape | Server | str | os.PathLike[str] | Any,
    /,
    target: Any = None,
    *,
    side: Sender = "server",
    connection: int | str | None = None,
    timing: Literal["asap", "recorded"] | float = "asap",
    match: Match = "exact",
    ignore: Iterable[str] = (),
    bind: Iterable[str | re.Pattern[str]] = (),
    timeout_s: float | None = 10.0,
    name: str | None = None,
    **kwargs: Any,
) -> Replay:
    """Play one side of a record again, and find where the other side differs from it.

    As a server (the default) it listens when the call returns, and plays to whoever connects to
    ``replay.url``: the first newcomer gets the record's first connection, the next one the second,
    and so on; who comes when all are played is answered 503. With ``connection=`` each newcomer
    gets that one. As a client it plays one connection, the first by default, against ``target`` and
    returns at its end. Running the cell again replaces it, as it does a server or a client.

    Messages go out in the order of the record, each when all before it have gone out or come. A
    refusal is answered with the status, headers and body of the record. The subprotocol is that of
    the record, where it is offered. Pings are sent as they were; the other side's are answered and
    not compared. A close frame is sent with its code and reason; where the record has none at the
    end, TCP is cut; where it does not say how it ended (it was still open, or Chrome wrote it), a
    server leaves the end to the client and a client closes with 1000. Of heads nothing else is
    played or compared: no cookies, no ``Origin``; ``additional_headers=`` sends them.

    Args:
        record: a Tape, something with a tape (a Server, a Client), or the path of what
            ``tape.to_har``, ``tape.to_pcapng`` or Chrome has written.
        target: with ``side="client"``: a Server, a URL, or a handler, which is served meanwhile.
        side: "server" or "client": whose side is played.
        connection: which of the record's WebSocket connections: its place (0 is the first), its id
            or its label.
        timing: "asap" plays without pauses; "recorded" with those of the record; a number says how
            many times as fast, such as 2.0. A pause counts from what came before it on the record.
        match: how what comes is compared: "exact"; "json": by what it says, where both are JSON
            (also behind a packet's number, ``42["chat"]``); or a function of the recorded message
            and the one that came, which says whether they are the same.
        ignore: paths inside JSON that are not compared: ``["time", "items.*.id"]``.
        bind: what is made anew in each run, such as ids: paths inside JSON, or compiled patterns of
            text. The first value that comes in the place of a recorded one stands for it from then
            on, in what is compared and in what is played; so do not bind what means two things,
            such as a 1.
        timeout_s: how long the other side may be silent, beyond the record's pauses. What has not
            come by then is missing; after three such waits in a row the play is over. None waits
            without end.
        name: how views call it.
        kwargs: of ``serve`` (host, port, ssl, origins, ...) or of ``connect``.

    Raises:
        BadFile, OSError: see :meth:`Tape.load`.
        ValueError: the record has no WebSocket connection, or one that is not whole; or a keyword
            has a wrong value.
        LookupError: the record has no such connection.
        PortInUse, ConnectFailed: see :func:`serve` and :func:`connect`.
    """
    if side not in ("server", "client"):
        raise ValueError(f'expected side="server" or side="client", got {side!r}')
    timeout_s = math.inf if timeout_s is None else timeout_s
    if not timeout_s > 0:
        raise ValueError(f"expected timeout_s to be more than 0 seconds, got {timeout_s!r}")
    if target is None and side == "client":
        raise TypeError('side="client" needs a target to play against: a Server, a URL, a handler')
    if target is not None and side == "server":
        raise TypeError(
            "expected no target, since the server's side is played to whoever connects; "
            'side="client" plays against one'
        )
    factor = gap_factor(timing)
    matcher = new_matcher(match, ignore, bind)
    tape = load_record(record)
    found = chosen(scripts_of(tape), connection)
    log = DifferenceLog()
    name = name or f"replay of {tape.name or 'a record'}"
    largest_bytes = max(script.largest_bytes for script in found)
    kwargs = {
        "ping_interval": None,  # those of the record are sent
        "max_size": max(_MIN_MAX_SIZE, 2 * largest_bytes),
        **kwargs,
    }
    if side == "client":
        if kwargs.get("reconnect"):
            raise TypeError("expected no reconnect=: a connection is played once, to its end")
        script = found[0]
        kwargs = {"name": name, "subprotocols": script.offered or None, **kwargs}

        def play(to: Any) -> Client | None:
            return play_client(
                script, to, matcher, log, factor=factor, timeout_s=timeout_s, kwargs=kwargs
            )

        if isinstance(target, str) or isinstance(getattr(target, "url", None), str):
            client = play(target if isinstance(target, str) else _at(target.url, script))
            return Replay(tape, side, [script], log, client=client)
        with serve(target, name=handler_name(target), page=None) as server:
            client = play(_at(server.url, script))
        return Replay(tape, side, [script], log, client=client, errors=server.errors)
    for taken in ("process_response", "select_subprotocol", "subprotocols", "page"):
        if taken in kwargs:
            raise TypeError(f"expected no {taken}=: a replay answers requests as its record does")
    playing = ServerSide(
        found,
        matcher,
        log,
        is_repeated=connection is not None,
        factor=factor,
        timeout_s=timeout_s,
    )
    server = serve(
        playing,
        name=name,
        page=None,
        process_response=playing.process_response,
        select_subprotocol=playing.select_subprotocol,
        **kwargs,
    )
    return Replay(tape, side, found, log, server=server, playing=playing)


def _at(url: str, script: Script) -> str:
    """Return a server's URL with the path and query that a script asks for."""
    target = script.request.target
    if MARKER in target:  # a secret was taken out of the query
        target = script.path
    return url.rstrip("/") + (target if target.startswith("/") else "/")
