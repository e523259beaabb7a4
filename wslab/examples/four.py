"""Four in a row: two play, others watch, and the server alone knows the rules.

Plain websockets code: it runs as it stands with `python four.py`, and in a notebook with
`wslab.serve(four())`. One opens a table and gets its code; another joins by it. Tests of such a
game, by wslab's fixtures for pytest, are in the project's tests/examples/test_four.py.

    {"type": "open"}                      {"type": "table", "table": "7f3a", "you": "red"}
    {"type": "join", "table": "7f3a"}     {"type": "start", "turn": "red"}, to both
    {"type": "watch", "table": "7f3a"}    {"type": "past", "drops": [...]}
    {"type": "drop", "column": 3}         {"type": "drop", "player": "red", "column": 3, "row": 0}
                                          {"type": "over", "winner": "red"}, or null for a draw
    what is not allowed                   {"type": "error", "message": "..."}, to its sender alone
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from websockets.asyncio.server import ServerConnection, broadcast, serve

COLUMNS, ROWS = 7, 6
PLAYERS = ("red", "yellow")
MAX_TABLES = 1_000  # what strangers can make it hold
MAX_WATCHERS = 100


class Board:
    """The rules, without a wire.

    Attributes:
        drops: (player, column, row), in order; row 0 is the lowest.
        winner: who has four in a row.
    """

    def __init__(self) -> None:
        self.drops: list[tuple[str, int, int]] = []
        self.winner: str | None = None
        self._discs: dict[tuple[int, int], str] = {}

    @property
    def turn(self) -> str:
        """Whose turn it is."""
        return PLAYERS[len(self.drops) % 2]

    @property
    def is_over(self) -> bool:
        """Whether nobody can drop a disc any more."""
        return self.winner is not None or len(self.drops) == COLUMNS * ROWS

    def drop(self, player: str, column: Any) -> int:
        """Drop a disc, and return the row that it falls to.

        Raises:
            ValueError: the rules forbid it; the message says why.
        """
        if self.is_over:
            raise ValueError("the game is over")
        if player != self.turn:
            raise ValueError(f"it is {self.turn}'s turn, not {player}'s")
        if type(column) is not int or not 0 <= column < COLUMNS:
            raise ValueError(f"expected a column from 0 to {COLUMNS - 1}")
        row = sum((column, each) in self._discs for each in range(ROWS))
        if row == ROWS:
            raise ValueError(f"column {column} is full")
        self._discs[column, row] = player
        self.drops.append((player, column, row))
        directions = ((1, 0), (0, 1), (1, 1), (1, -1))
        if any(self._in_line(column, row, *one) >= 4 for one in directions):
            self.winner = player
        return row

    def _in_line(self, column: int, row: int, right: int, up: int) -> int:
        """Count the discs of one colour in a line through this one."""
        player, count = self._discs[column, row], 1
        for way in (1, -1):
            at = (column + way * right, row + way * up)
            while self._discs.get(at) == player:
                count += 1
                at = (at[0] + way * right, at[1] + way * up)
        return count


class Table:
    """A board with those who sit at it and those who watch."""

    def __init__(self, code: str) -> None:
        self.code = code
        self.board = Board()
        self.seats: dict[str, ServerConnection] = {}
        self.watchers: set[ServerConnection] = set()

    def tell(self, **message: Any) -> None:
        """Send a message to all who are here."""
        broadcast([*self.seats.values(), *self.watchers], json.dumps(message))


def four() -> Callable[[ServerConnection], Awaitable[None]]:
    """Return a handler with tables of its own."""
    tables: dict[str, Table] = {}

    async def four(websocket: ServerConnection) -> None:
        table: Table | None = None
        player: str | None = None
        try:
            async for text in websocket:
                try:
                    message = _read(text)
                    if table is None:
                        table, player = _sit_down(tables, websocket, message)
                        await _greet(websocket, table, player)
                    elif player is None:
                        raise ValueError("who watches can't play")
                    else:
                        _play(table, player, message)
                except ValueError as exc:
                    await websocket.send(json.dumps({"type": "error", "message": str(exc)}))
        finally:
            if table is not None:
                _leave(tables, table, websocket, player)

    return four


def _read(text: str | bytes) -> dict[str, Any]:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError("expected JSON") from None
    if not isinstance(message, dict):
        raise ValueError("expected a JSON object")
    return message


def _sit_down(
    tables: dict[str, Table], websocket: ServerConnection, message: dict[str, Any]
) -> tuple[Table, str | None]:
    kind = message.get("type")
    if kind == "open":
        if len(tables) >= MAX_TABLES:
            raise ValueError("all tables are taken")
        table = Table(secrets.token_hex(8))
        tables[table.code] = table
    elif kind in ("join", "watch"):
        found = tables.get(str(message.get("table")))
        if found is None:
            raise ValueError("there is no such table")
        table = found
    else:
        raise ValueError("expected open, join or watch first")
    if kind == "watch":
        if len(table.watchers) >= MAX_WATCHERS:
            raise ValueError("too many watch this table")
        table.watchers.add(websocket)
        return table, None
    if len(table.seats) == len(PLAYERS):
        raise ValueError("two play here already; watch them")
    player = PLAYERS[len(table.seats)]
    table.seats[player] = websocket
    return table, player


async def _greet(websocket: ServerConnection, table: Table, player: str | None) -> None:
    if player is None:
        past = {"type": "past", "drops": table.board.drops}
        await websocket.send(json.dumps(past))
        return
    seat = {"type": "table", "table": table.code, "you": player}
    await websocket.send(json.dumps(seat))
    if len(table.seats) == len(PLAYERS):
        table.tell(type="start", turn=table.board.turn)


def _play(table: Table, player: str, message: dict[str, Any]) -> None:
    if message.get("type") != "drop":
        raise ValueError("expected drop")
    if len(table.seats) < len(PLAYERS):
        raise ValueError("nobody has joined yet")
    column = message.get("column")
    row = table.board.drop(player, column)
    table.tell(type="drop", player=player, column=column, row=row)
    if table.board.is_over:
        table.tell(type="over", winner=table.board.winner)


def _leave(
    tables: dict[str, Table], table: Table, websocket: ServerConnection, player: str | None
) -> None:
    table.watchers.discard(websocket)
    if player is not None and tables.pop(table.code, None) is not None:
        # The one who stays is told once; the table is gone.
        del table.seats[player]
        table.tell(type="left", player=player)


async def main() -> None:
    """Serve on port 8765 until interrupted."""
    async with serve(four(), "127.0.0.1", 8765, max_size=1024) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
