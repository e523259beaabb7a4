"""A chat that is a whole application: rooms, names, who is here, history, coming back.

``wslab serve chat`` runs it with its page (``chat.html``, beside this file), ``python chat.py``
without; in a notebook, ``wslab.serve(chat(), page=PAGE)``. Its rule: what a client says is checked
here, since a page can be replaced by anything. It knows no passwords: a name is whatever its owner
says.

====================  =======================================  ====================================
client to hub         data                                     answer
====================  =======================================  ====================================
``enter``             ``{"name": "ana", "room": "lobby"}``     ``{"room", "people", "past"}``
``say``               ``{"room": "lobby", "text": "hello"}``   ``{"at"}``
``leave``             ``{"room": "lobby"}``                    ``None``
a raw text                                                     is said in the lobby
====================  =======================================  ====================================

From the hub come ``said`` (room, name, text, at) and ``people`` (room, people).
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from websockets.asyncio.server import serve

from wslab.errors import Refused
from wslab.hub import Hub, HubClient, Limits

__all__ = ["LOBBY", "PAGE", "chat"]

PAGE = Path(__file__).with_name("chat.html")
LOBBY = "lobby"
MAX_NAME = 24  # characters
MAX_TEXT = 2000
MAX_ROOMS = 20  # of one client
KEEP = 200  # events of each room; a page that comes shows the last of what was said
SHOW = 50
AWAY_S = 5.0
MAX_AWAY = 1000  # people; beyond it, they are gone at once


def chat(*, history: int = KEEP, rate: float = 20.0, away_s: float = AWAY_S) -> Hub:
    """Return a new chat.

    Args:
        history: events that are kept of each room.
        rate: messages a second that one client may send.
        away_s: seconds that somebody still counts as here whose connection broke off.
    """
    limits = Limits(max_size=16 * 1024, rate=rate)
    hub = Hub("chat", history=history, limits=limits, show_errors=False)

    # Whose connection broke off, and may be back in a moment: by user_id, name, rooms, until when.
    away: dict[str, tuple[str, frozenset[str], float]] = {}

    def people(room: str) -> list[str]:
        here, now_s = {str(client) for client in hub.rooms.get(room, ())}, time.monotonic()
        return sorted(
            here | {name for name, rooms, to_s in away.values() if room in rooms and now_s < to_s}
        )

    def tell_people(room: str) -> None:
        hub.emit("people", {"room": room, "people": people(room)}, to=room, key=f"people {room}")

    async def say(room: str, name: str, text: str) -> float:
        at = time.time()
        await hub.emit("said", {"room": room, "name": name, "text": text, "at": at}, to=room)
        return at

    @hub.on("connect")
    async def connect(client: HubClient) -> None:
        was_away = away.pop(client.user_id, None)
        for room in client.data.get("rooms", ()):  # it was here a moment ago
            client.join(room)
            if was_away is None:  # else nobody has missed it
                tell_people(room)

    @hub.on("disconnect")
    async def disconnect(client: HubClient, _reason: str) -> None:
        rooms = client.rooms
        if client.may_return and rooms and len(away) < MAX_AWAY:
            loop, to_s = asyncio.get_running_loop(), time.monotonic() + away_s
            away[client.user_id] = (str(client), rooms, to_s)
            loop.call_later(away_s, is_gone, client.user_id, to_s)
            return
        for room in rooms:
            tell_people(room)

    def is_gone(user_id: str, to_s: float) -> None:
        _, rooms, until_s = away.get(user_id, ("", frozenset(), 0.0))
        if until_s != to_s:  # it came back, and may be away again
            return
        del away[user_id]
        for room in rooms:
            tell_people(room)

    @hub.on("enter")
    async def enter(client: HubClient, data: Any) -> dict[str, Any]:
        name = _text(data, "name", MAX_NAME)
        room = _text(data, "room", MAX_NAME)
        taken = [other for other in hub.clients.values() if other.name == name]
        if any(other is not client for other in taken):
            raise Refused(f"somebody here is called {name!r} already: choose another name")
        rooms = client.data.setdefault("rooms", [])
        if room not in rooms and len(rooms) >= MAX_ROOMS:
            raise Refused(f"expected at most {MAX_ROOMS} rooms: leave one first")
        client.name = name
        if room not in rooms:
            rooms.append(room)
        client.join(room)
        for each in rooms:  # a new name shows in all of them
            tell_people(each)
        past = [event.data for event in hub.history(room) if event.event == "said"]
        return {"room": room, "people": people(room), "past": past[-SHOW:]}

    @hub.on("say")
    async def said(client: HubClient, data: Any) -> dict[str, float]:
        room = _text(data, "room", MAX_NAME)
        text = _text(data, "text", MAX_TEXT)
        if room not in client.rooms:
            raise Refused(f"you are not in {room!r}: enter it first")
        return {"at": await say(room, str(client), text)}

    @hub.on("leave")
    async def leave(client: HubClient, data: Any) -> None:
        room = _text(data, "room", MAX_NAME)
        if client.leave(room):
            client.data["rooms"].remove(room)
            tell_people(room)

    @hub.on("message")
    async def message(client: HubClient, text: str | bytes) -> None:
        # A plain WebSocket client, without packets: it talks in the lobby under its id.
        if isinstance(text, bytes):
            raise Refused("expected text, got a binary message")
        rooms = client.data.setdefault("rooms", [])
        if LOBBY not in rooms:
            rooms.append(LOBBY)
            client.join(LOBBY)
            tell_people(LOBBY)
        await say(LOBBY, str(client), _text({"text": text}, "text", MAX_TEXT))

    return hub


def _text(data: Any, field: str, limit: int) -> str:
    text = data.get(field) if isinstance(data, dict) else None
    text = " ".join(text.split()) if isinstance(text, str) and field != "text" else text
    if not isinstance(text, str) or not text.strip() or len(text) > limit:
        raise Refused(f'expected "{field}" to be a text of 1 to {limit} characters')
    return text


async def main() -> None:
    """Serve on port 8765 until interrupted."""
    async with serve(chat(), "127.0.0.1", 8765) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
