"""ChatPanel: two or three clients of a hub side by side in one cell, played by one reader.

    panel = ChatPanel(hub, names=("ana", "ben", "cleo"))
    ana = panel["ana"]                           # a Player; ana.client is what wslab.connect gave
    ana.join("lobby"); ana.say("hello", "lobby"); ana.leave("lobby")
    ana.disconnect(); ana.connect()
    ana.lines                                    # what went and came, each a Line

Its rule: every button does what these calls do, and these do what any program does with a client:
``client.emit("say", {"room": ..., "text": ...})``, a real frame on a real socket; join and leave
are a ``call`` each, which returns when the hub has done it. What is drawn is read from the client's
tape. A hub understands the panel if it handles three events:

    join   {"room": "lobby"}                     client.join(data["room"])
    leave  {"room": "lobby"}                     client.leave(data["room"])
    say    {"room": "lobby", "text": "hello"}    hub.emit("say", ..., to=data["room"])

Each has another name if you say so. Whatever the hub emits is shown, whatever it is called; data
with a "text" is drawn as a message, with its "from" and "room" if it has them. A client connects to
``?name=ana``, where the hub's connect handler may find its name (``client.path``).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar

import traitlets
from websockets.protocol import State

from ...notebook import cells
from .. import live
from ..panels import model
from ..panels.panel import Panel
from ..widget import read_static
from . import static_html
from .players import MAX_ROOMS, Chat, Line, Player

__all__ = ["ChatPanel", "Line", "Player"]

MAX_LINES = 40
MAX_TEXT = 10_000

Json = dict[str, Any]
_numbers = itertools.count(1)


class ChatPanel(Panel):
    """Clients side by side, each with its rooms, a box to say something, and what it received.

    Running its cell again closes them and makes new ones.

    Args:
        target: a Hub (which is served, if nobody does so yet), a Server or a ``ws://`` URL.
        names: what the clients are called; 1 to 6.
        join: the event by which the hub lets a client into a room.
        leave: and out of it.
        say: the event by which it is told a message.
        rooms: the names that the boxes offer; the first is where everybody starts.

    Raises:
        ConnectFailed: nobody answers there; see ``wslab.connect``.
        BadURL: the target is none of these.
        ValueError: names, or an event's name, that cannot be.
    """

    _esm = read_static("widgets/dom.js", "widgets/panels/panel_dom.js", "widgets/chat/chat.js")
    _css = read_static("widgets/theme.css", "widgets/panels/panel.css", "widgets/chat/chat.css")

    kind = traitlets.Unicode("chat").tag(sync=True)
    lines = traitlets.Dict().tag(sync=True)

    def __init__(
        self,
        target: Any,
        names: Iterable[str] = ("ana", "ben", "cleo"),
        *,
        join: str = "join",
        leave: str = "leave",
        say: str = "say",
        rooms: Iterable[str] = ("lobby",),
    ) -> None:
        claim = cells.claim("chat panel")
        self._offered = tuple(rooms)
        self._drawn: dict[str, tuple[int, Json]] = {}
        self._number = next(_numbers)
        self.chat = Chat(target, names, {"join": join, "leave": leave, "say": say})
        try:
            for player in self.chat.players.values():
                player.connect()
            super().__init__(self.chat)
        except BaseException:
            self.chat.begin_close()
            raise
        self.chat.watch = self._watch
        claim.adopt(self.chat)
        live.watch(self)

    def _watch(self) -> None:
        live.watch(self)

    # The players.

    def __getitem__(self, name: str) -> Player:
        return self.chat.players[name]

    def __iter__(self) -> Iterator[Player]:
        return iter(self.chat.players.values())

    def __len__(self) -> int:
        return len(self.chat.players)

    # How it is shown.

    @property
    def is_watched(self) -> bool:
        """Whether there is something to read, or somebody who looks."""
        return self.comm is not None and (self.chat.is_open or super().is_watched)

    def _look(self, thing: Chat, *, closely: bool = False) -> dict[str, Any]:
        thing.drain()
        players = thing.players.values()
        offered = [*self._offered, *(room for player in players for room in player.rooms)]
        if thing.hub is not None:
            offered += tuple(thing.hub.rooms)[:MAX_ROOMS]
        return {
            "view": {
                "name": f"{len(players)} clients of {thing.url}",
                "url": thing.url,
                "players": [_player(player) for player in players],
                "offered": list(dict.fromkeys(offered))[:MAX_ROOMS],
                "knows_rooms": thing.hub is not None,
                "ended": thing.ended,
                "events": thing.events,
            },
            "lines": {player.name: self._latest(player) for player in players},
        }

    def _latest(self, player: Player) -> Json:
        seen = player.lines_seen
        if player.name not in self._drawn or self._drawn[player.name][0] != seen:
            kept = tuple(player.lines)[-MAX_LINES:]
            rows = [
                {"key": str(number), **{name: getattr(line, name) for name in line.__slots__}}
                for number, line in enumerate(kept, seen - len(kept) + 1)
            ]
            older = seen - len(kept)
            dropped = f"{older:,} older not shown" if older > 0 else ""
            self._drawn[player.name] = seen, {"rows": rows, "dropped": dropped}
        return self._drawn[player.name][1]

    def _is_replaced(self, thing: Chat) -> bool:
        return thing.replaced

    def forms(self) -> dict[str, str]:
        look = self._look(self.chat)
        return {
            "text/plain": static_html.to_text(look["view"], look["lines"]),
            "text/html": static_html.to_html(look["view"], look["lines"]),
        }

    def close(self) -> None:
        """Close the clients, and the widget: pages that show it take it away."""
        if hasattr(self, "chat"):  # also called for one that could not be made
            self.chat.begin_close()
        super().close()

    # What its buttons do.

    def _do_connect(self, chat: Chat, data: Any) -> str:
        chat.players[data["player"]].connect()
        return f"{data['player']} is connected"

    def _do_disconnect(self, chat: Chat, data: Any) -> str:
        chat.players[data["player"]].disconnect()
        return f"{data['player']} closed its connection with 1000"

    def _do_join(self, chat: Chat, data: Any) -> str:
        chat.players[data["player"]].join(str(data["room"])[:MAX_TEXT])
        return f"{data['player']} joined {model.one_line(str(data['room']), 40)}"

    def _do_leave(self, chat: Chat, data: Any) -> str:
        chat.players[data["player"]].leave(str(data["room"])[:MAX_TEXT])
        return f"{data['player']} left {model.one_line(str(data['room']), 40)}"

    def _do_say(self, chat: Chat, data: Any) -> str:
        player = chat.players[data["player"]]
        player.say(str(data["text"])[:MAX_TEXT], str(data["room"])[:MAX_TEXT])
        return f"{data['player']} said it to {model.one_line(str(data['room']), 40)}"

    actions: ClassVar = {
        "connect": _do_connect,
        "disconnect": _do_disconnect,
        "join": _do_join,
        "leave": _do_leave,
        "say": _do_say,
    }


def _player(player: Player) -> Json:
    handle = player.client
    view: Json = {"name": model.one_line(player.name, 40), "key": player.name}
    if handle is None:
        return {**view, "state": "closed", "id": "", "rooms": [], "why": "", "came": "0"}
    state, shown = handle.state, handle.state.name.lower()
    is_closed = state is State.CLOSED
    if is_closed and handle.close_code not in (1000, 1001, 1012):
        shown = "broken"
    return {
        **view,
        "state": shown,
        "id": handle.hub_id or handle.id,
        "rooms": list(player.rooms)[:MAX_ROOMS],
        "why": model.one_line(handle.why_closed, 300) if is_closed else "",
        "came": f"{handle.counts[0]:,}",
    }
