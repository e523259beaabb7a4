"""The server's side of a record, played to whoever connects.

Its rule: the n-th newcomer gets the n-th connection of the record, or each the one that was asked
for; it is a handler and two hooks of `serve()`, and what to do next is for `player` to say. What
crosses with a close frame is not compared: nobody could tell it from chance.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, NoReturn, cast
from weakref import WeakKeyDictionary

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.protocol import State

from ..calls.waiting import finite
from ..wire.http.field_values import parse_token_list
from .differences import Difference, DifferenceLog
from .endings import CATCH_S, note_closed
from .matching import Matcher
from .player import Abort, Action, Catch, Close, Ping, Player, Send, Wait
from .run import MAX_RUNS, Run
from .script import Script

__all__ = ["ServerSide"]

# They tell of the connection, or of a form of the body that is gone.
_NOT_PLAYED = {"connection", "content-encoding", "content-length", "transfer-encoding", "upgrade"}


class ServerSide:
    """The server's side of some scripts.

    Args:
        scripts: to play one after the other; where there is but one that was asked for, again and
            again.
        matcher: compares what clients send. What it binds holds for all connections, but for one
            that is played again.
        log: takes the differences.
        is_repeated: each newcomer gets the first script.
        factor, timeout_s: see :class:`Player`.

    Attributes:
        runs: the latest, oldest first.
        is_played: set while all scripts have been played and none is being played.
    """

    def __init__(
        self,
        scripts: Sequence[Script],
        matcher: Matcher,
        log: DifferenceLog,
        *,
        is_repeated: bool,
        factor: float,
        timeout_s: float,
    ) -> None:
        self._scripts = scripts
        self._matcher = matcher
        self._log = log
        self._is_repeated = is_repeated
        self._factor = factor
        self._timeout_s = timeout_s
        self._taken = 0
        self._given: WeakKeyDictionary[Any, Run] = WeakKeyDictionary()
        self._unplayed: set[Player | Run] = set()
        self.runs: deque[Run] = deque(maxlen=MAX_RUNS)
        self.is_played = threading.Event()

    @property
    def left(self) -> Sequence[Script]:
        """The scripts that nobody has connected for, or whose connection never opened."""
        lost = [run.script for run in tuple(self._unplayed) if isinstance(run, Run)]
        return [*lost, *self._ahead] if not (self._is_repeated and self._taken) else lost

    @property
    def _ahead(self) -> Sequence[Script]:
        return self._scripts if self._is_repeated else self._scripts[self._taken :]

    # Hooks, on the server's loop.

    def select_subprotocol(self, websocket: ServerConnection, offered: Sequence[Any]) -> Any:
        """Choose the subprotocol of the record, where it is offered."""
        script = next(iter(self._ahead), None)
        return script.subprotocol if script and script.subprotocol in offered else None

    def process_response(
        self, websocket: ServerConnection, request: Request, response: Response
    ) -> Response | None:
        """Give a newcomer its script; answer as the record does where that is a refusal.

        Who asks for no WebSocket, or not rightly, is answered by then, and costs no script.
        """
        if response.status_code != 101 or websocket.state is not State.CONNECTING:
            return None
        ahead = self._ahead
        if not ahead:
            last = Run(self._taken + 1, self._scripts[-1])
            self._differ(last, "no further connection", f"a request for {request.path:.200}")
            return websocket.respond(
                503,
                "This replay has played every connection of its record: start it again, or with "
                "connection=0 to play one to everybody.\n",
            )
        self._taken += 1
        run = Run(self._taken, ahead[0], cast("Any", websocket).traffic.id)
        self.runs.append(run)
        self._compare_request(run, request)
        if run.script.is_refusal:
            self._note_played()
            return _refusal(run.script)
        self._given[websocket] = run
        self._unplayed.add(run)
        self.is_played.clear()
        return None

    def _compare_request(self, run: Run, request: Request) -> None:
        script = run.script
        path = request.path.partition("?")[0]
        if path != script.path:
            self._differ(run, f"a request for {script.path:.200}", f"{path:.200}")
        values = request.headers.get_all("Sec-WebSocket-Protocol")
        offered = [name for value in values for name in parse_token_list(value)]
        if offered != script.offered:
            expected, seen = (", ".join(names) or "none" for names in (script.offered, offered))
            self._differ(run, f"the subprotocols {expected:.200}", f"{seen:.200}")

    def _differ(self, run: Run, expected: str, seen: str) -> None:
        name = run.script.name
        self._log.add(Difference("handshake", name, "client", expected, seen, run=run.number))

    # The handler.

    async def __call__(self, websocket: Any) -> None:
        """Play to one connection."""
        run = self._given.pop(websocket)
        matcher = self._matcher.fresh() if self._is_repeated else self._matcher
        player = Player(
            run,
            "server",
            matcher,
            self._log,
            factor=self._factor,
            timeout_s=self._timeout_s,
            now_s=time.monotonic(),
        )
        self._unplayed.discard(run)
        self._unplayed.add(player)
        try:
            await self._play(websocket, player)
        except Exception as exc:
            player.fail("error", "a replay to its end", f"{type(exc).__name__}: {exc}"[:1000])
            raise  # so that it is in server.errors, too
        except asyncio.CancelledError:
            player.fail("error", "a replay to its end", "the server was stopped")
            raise
        finally:
            self._unplayed.discard(player)
            self._note_played()

    async def _play(self, websocket: Any, player: Player) -> None:
        while not player.is_over:
            action = player.next(time.monotonic())
            if player.is_played:
                self._unplayed.discard(player)
                self._note_played()
            try:
                await self._do(websocket, player, action)
            except ConnectionClosed as exc:
                with contextlib.suppress(ConnectionClosed):
                    await self._take_all(websocket, player)  # what had come before the end
                note_closed(player, exc, was_busy=isinstance(action, Send | Ping))

    async def _do(self, websocket: Any, player: Player, action: Action) -> None:
        if isinstance(action, Wait):
            try:
                async with asyncio.timeout(finite(action.at_most_s)):
                    message = await websocket.recv()
            except TimeoutError:
                return
            player.message(message, time.monotonic())
        elif isinstance(action, Send):
            try:
                async with asyncio.timeout(finite(self._timeout_s)):
                    await websocket.send(action.data)
            except TimeoutError:
                player.fail("error", "a client that reads", f"none within {self._timeout_s:g} s")
                websocket.transport.abort()
        elif isinstance(action, Ping):
            pong = await websocket.ping(action.data)
            pong.add_done_callback(_retrieve)
        elif isinstance(action, Catch):
            await self._catch(websocket, player)
        elif isinstance(action, Close):
            await websocket.close(1000 if action.code == 1005 else action.code, action.reason)
            await self._take_all(websocket, player)
        elif isinstance(action, Abort):
            websocket.transport.abort()
            await self._take_all(websocket, player)

    async def _catch(self, websocket: Any, player: Player) -> None:
        pong = await websocket.ping()
        pong.add_done_callback(_retrieve)
        try:
            async with asyncio.timeout(CATCH_S):
                while not pong.done():
                    await _one_or(pong, websocket, player)
        except TimeoutError:
            pass  # it answers no pings, so what is on its way is not waited for
        while player.comparison.seen < websocket.traffic.received:
            player.message(await websocket.recv(), time.monotonic())

    async def _take_all(self, websocket: Any, player: Player) -> NoReturn:
        """Take what comes up to the end.

        Raises:
            ConnectionClosed: how it ended.
        """
        while True:
            player.message(await websocket.recv(), time.monotonic())

    def _note_played(self) -> None:
        if not self.left and not self._unplayed:
            self.is_played.set()


async def _one_or(pong: asyncio.Future[Any], websocket: Any, player: Player) -> None:
    """Take one message, unless the pong comes before."""
    receiving = asyncio.ensure_future(websocket.recv())
    try:
        await asyncio.wait((receiving, pong), return_when=asyncio.FIRST_COMPLETED)
    finally:
        receiving.cancel()
        await asyncio.wait((receiving,))
    if not receiving.cancelled():
        player.message(receiving.result(), time.monotonic())


def _retrieve(pong: asyncio.Future[Any]) -> None:
    # Where the connection ends first nobody asks what became of a pong.
    if not pong.cancelled():
        pong.exception()


def _refusal(script: Script) -> Response:
    response = script.response
    headers = Headers(
        (header.name, header.value)
        for header in response.headers
        if header.name.lower() not in _NOT_PLAYED
    )
    headers["Connection"] = "close"
    headers["Content-Length"] = str(len(script.body))
    return Response(response.status, response.reason, headers, script.body)
