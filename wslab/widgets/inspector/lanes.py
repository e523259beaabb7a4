"""Lanes: who is there: a lane for each client connection, and one for each server.

Its rule: of two records of one connection the server's is drawn, under the client's name, and no
two open connections have the same name. What no tape knows and no row needs is let go of.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from ...wire.tape.tape import Tape
from ...wire.tape.track import Track
from ..panels import model

__all__ = ["FORGET_AT", "Lanes"]

FORGET_AT = 4_000  # connections, lanes and names that are kept without asking who needs them

Json = dict[str, Any]
Key = tuple[int, str]  # a tape's number, and a connection's id


class Lanes:
    """The lanes of a timeline, as plain JSON.

    Args:
        servers: addresses ("host:port") of servers that are inspected themselves: a client's own
            record of a connection to one of them is not drawn, but lends it the client's name.

    Attributes:
        by_number: one for each client connection and each server that is there or has rows.
        connections: the lane of each connection that a tape knows; None where it is not drawn.
    """

    def __init__(self, servers: Iterable[str] = ()) -> None:
        self.by_number: dict[int, Json] = {}
        self.connections: dict[Key, int | None] = {}
        self.servers = set(servers)
        self._numbered = 0
        self._server_lanes: dict[str, int] = {}
        self._names: dict[tuple[str, str], str] = {}  # addresses of both ends -> client's name
        self._taken: set[str] = set()
        self._new: set[int] = set()
        self._forget_at = FORGET_AT

    @property
    def kept(self) -> int:
        """How much is kept: connections, lanes and names."""
        return len(self.connections) + len(self.by_number) + len(self._names)

    def meet(self, source: int, tape: Tape) -> None:
        """Take note of a tape's connections; call it before their events are drawn."""
        tracks = tape.connections
        for track in tracks:
            if track.side == "client" and track.label:
                self._names[track.client_address, track.server_address] = track.label
            elif track.side == "server":
                self.servers.add(track.server_address)
        for track in tracks:
            key = source, track.connection_id
            if key not in self.connections:
                self.connections[key] = self._open(source, track, tape.name)
                continue
            number = self.connections[key]
            name = self._name(track)
            if number is None or not name or self.by_number[number]["base"] == name:
                continue
            lane = self.by_number[number]  # its name became known only now
            self._taken.discard(lane["name"])
            lane |= {"base": name, "name": self._take_name(name)}
            self._new.add(number)

    def name(self, lane: int) -> str:
        """Return what views call a lane."""
        return str(self.by_number[lane]["name"])

    def add_like(self, lane: int) -> int:
        """Return a new lane beside one, for another conversation over the same connection."""
        like = self.by_number[lane]
        return self._add(**{**like, "name": self._take_name(like["base"])})

    def free_name(self, lane: int) -> None:
        """Let another connection have its name: this one has ended."""
        self._taken.discard(self.by_number[lane]["name"])

    def forget(self, tapes: Sequence[Tape], rows_lanes: Iterable[int]) -> bool:
        """Let go of connections that no tape knows any more, and of lanes without rows.

        Most calls do nothing: it waits until half of what is kept is of no more use.

        Args:
            tapes: in the order of their numbers.
            rows_lanes: the lanes of the rows that may still be shown.

        Returns:
            Whether it looked.
        """
        if self.kept < self._forget_at:
            return False
        tracks = [(nth, track) for nth, tape in enumerate(tapes) for track in tape.connections]
        known = {(nth, track.connection_id) for nth, track in tracks}
        ends = {(track.client_address, track.server_address) for _, track in tracks}
        self.connections = {key: lane for key, lane in self.connections.items() if key in known}
        self._names = {key: name for key, name in self._names.items() if key in ends}
        open_lanes = {lane for lane in self.connections.values() if lane is not None}
        used = open_lanes | set(rows_lanes)
        used |= {one["server"] for one in map(self.by_number.__getitem__, used) if "server" in one}
        self.by_number = {number: lane for number, lane in self.by_number.items() if number in used}
        self._new &= used
        self._server_lanes = {
            address: lane for address, lane in self._server_lanes.items() if lane in used
        }
        self._taken &= {self.name(lane) for lane in open_lanes}
        self._forget_at = max(FORGET_AT, 2 * self.kept)
        return True

    def used_by(self, rows_lanes: Iterable[int]) -> dict[int, Json]:
        """Return the lanes that some rows are on, with their servers'; none of them is new then."""
        used = set(rows_lanes)
        used |= {self.by_number[lane]["server"] for lane in used}
        self._new -= used  # those without a row are: it may come next
        return {lane: self.by_number[lane] for lane in sorted(used)}

    def take_new(self) -> dict[int, Json]:
        """Return the lanes that are new, or named anew, since the last call."""
        new, self._new = self._new, set()
        return {lane: self.by_number[lane] for lane in sorted(new)}

    def _name(self, track: Track) -> str:
        ends = (track.client_address, track.server_address)
        return model.one_line(track.label or (self._names.get(ends, "") if all(ends) else ""))

    def _open(self, source: int, track: Track, tape_name: str | None) -> int | None:
        if track.side == "client" and track.server_address in self.servers:
            return None
        address = track.server_address or f"tape {source}"
        server = self._server_lanes.get(address)
        if server is None:
            is_ours = track.side == "server"
            server = self._server_lanes[address] = self._add(
                side="server",
                name=model.one_line((tape_name if is_ours else "") or "server"),
                sub=f":{address.rpartition(':')[2]}" if is_ours and ":" in address else address,
            )
        name = self._name(track)
        return self._add(
            side="client",
            server=server,
            base=name or f"id {track.connection_id}",
            name=self._take_name(name or f"id {track.connection_id}"),
            sub=f"id {track.connection_id}" if name else track.client_address,
        )

    def _add(self, **lane: Any) -> int:
        number, self._numbered = self._numbered, self._numbered + 1
        self._new.add(number)
        self.by_number[number] = lane
        return number

    def _take_name(self, name: str) -> str:
        """Return a name that no other open connection has."""
        number, free = 1, name
        while free in self._taken:
            number += 1
            free = f"{name} ({number})"
        self._taken.add(free)
        return free
