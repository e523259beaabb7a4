"""A team's room as a web application: a page, an API, a login, and a hub inside FastAPI.

``uvicorn wslab.examples.team:app`` runs it, and so does ``wslab.serve(app)`` in a notebook. Its
rule: who somebody is, is asked before a WebSocket opens. `Guard` stands around everything and
answers a stranger with 401, so that no stranger ever has one. A person logs in and gets a signed
cookie; a program sends a token (``Authorization: Bearer ...``).

Passwords come from the environment here (``TEAM_PASSWORD``, ``TEAM_TOKEN``, ``TEAM_SECRET``), so
that it can be read in one go; an application of yours asks its database, and counts attempts.

Run one worker. Each process has a hub of its own: with ``--workers 4`` a client would hear only
those who happen to be in the same process, and a Socket.IO client that polls would be unknown to
the other three. What they need is a backplane that they share, and for polling a proxy that sends
a client to the same worker each time.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import time
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from pydantic import BaseModel
from starlette.datastructures import Headers
from starlette.responses import FileResponse, PlainTextResponse

from wslab.errors import Refused
from wslab.hub import Hub, HubClient

__all__ = ["Guard", "Members", "app", "team"]

PAGE = Path(__file__).with_name("team.html")
COOKIE = "team"
STAY_S = 8 * 3600  # that a login lasts
LOGGED_OUT = 4401  # close code: ours, since 4000 to 4999 are an application's own


class Members:
    """Who somebody is, by the headers of a request: a cookie that we signed, or a token.

    Args:
        password: of every member.
        token: of programs; "" for none.
        secret: signs cookies; who knows it can make any.
    """

    def __init__(self, password: str, token: str, secret: str) -> None:
        self._password, self._token, self._secret = password, token, secret

    def cookie_for(self, name: str, password: str, now_s: float) -> str | None:
        """Return the cookie of a member who logs in; None where the password is wrong."""
        if not re.fullmatch(r"[\w-]{1,24}", name) or not _same(password, self._password):
            return None
        said = f"{name}.{int(now_s) + STAY_S}"
        return f"{said}.{self._signed(said)}"

    def who(self, headers: Mapping[str, str], now_s: float) -> str | None:
        """Return a member's name; None for a stranger."""
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if self._token and scheme.lower() == "bearer" and _same(token, self._token):
            return "robot"
        try:
            value = SimpleCookie(headers.get("cookie", ""))[COOKIE].value
        except (CookieError, KeyError):
            return None
        said, _, signature = value.rpartition(".")
        if not _same(signature, self._signed(said)):
            return None
        name, _, until_s = said.partition(".")
        return name if now_s < int(until_s) else None

    def _signed(self, said: str) -> str:
        return hmac.new(self._secret.encode(), said.encode(), hashlib.sha256).hexdigest()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())  # takes as long for any guess


class Guard:
    """An ASGI application around another, in which strangers have no sockets: they get 401.

    It guards every WebSocket, and what stands for one by HTTP, wherever the inner one has them.

    Args:
        app: the application.
        members: says who somebody is.
    """

    def __init__(self, app: Any, members: Members) -> None:
        self._app = app
        self._members = members

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        kind = scope["type"]
        is_socket = kind == "websocket" or (kind == "http" and "/socket.io" in scope["path"])
        if is_socket and self._members.who(Headers(scope=scope), time.time()) is None:
            # On a WebSocket this is the answer in place of the 101.
            await PlainTextResponse("Log in first.\n", 401)(scope, receive, send)
            return
        await self._app(scope, receive, send)


class Login(BaseModel):
    """What a person sends to log in."""

    name: str
    password: str


class Words(BaseModel):
    """What a program says to everybody."""

    text: str


def team(members: Members) -> Guard:
    """Return a new application."""
    api = FastAPI(title="A team's room")
    hub = Hub("team", history=100, show_errors=False)

    # The sockets.

    @hub.on("connect")
    async def connect(client: HubClient) -> None:
        client.name = members.who(client.headers, time.time())
        client.join("room")  # it is here from now on, and among the people
        hub.emit("people", people(), key="people")

    @hub.on("disconnect")
    async def disconnect(client: HubClient, _reason: str) -> None:
        hub.emit("people", people(), key="people")

    @hub.on("say")
    async def say(client: HubClient, text: Any) -> int:
        if not isinstance(text, str) or not 0 < len(text) <= 2000:
            raise Refused("expected a text of 1 to 2,000 characters")
        delivery = hub.emit("said", {"name": client.name, "text": text})
        return delivery.reached

    def people() -> list[str]:
        return sorted({str(client) for client in hub.clients.values()})

    # The page and the API.

    def member(request: Request) -> str:
        name = members.who(request.headers, time.time())
        if name is None:
            raise HTTPException(401, "Log in first.")
        return name

    logged_in = Depends(member)

    @api.get("/")
    async def page() -> FileResponse:
        return FileResponse(PAGE)

    @api.post("/login", status_code=204)
    async def login(who: Login, request: Request, response: Response) -> None:
        cookie = members.cookie_for(who.name, who.password, time.time())
        if cookie is None:
            raise HTTPException(403, "That is no member's name and password.")
        response.set_cookie(
            COOKIE, cookie, max_age=STAY_S, httponly=True, samesite="lax",
            secure=request.url.scheme == "https",
        )  # fmt: skip

    @api.post("/logout", status_code=204)
    async def logout(response: Response, name: str = logged_in) -> None:
        response.delete_cookie(COOKIE)
        for client in tuple(hub.clients.values()):
            if client.name == name:
                client.disconnect(LOGGED_OUT, "logged out")

    @api.get("/api/people")
    async def here(_name: str = logged_in) -> list[str]:
        return people()

    @api.post("/api/say")
    async def announce(words: Words, name: str = logged_in) -> dict[str, int]:
        return {"told": hub.emit("said", {"name": name, "text": words.text}).reached}

    return Guard(hub.asgi(api), members)


app = team(
    Members(
        os.environ.get("TEAM_PASSWORD", "") or secrets.token_urlsafe(),  # unset: nobody can log in
        os.environ.get("TEAM_TOKEN", ""),
        os.environ.get("TEAM_SECRET", "") or secrets.token_urlsafe(),  # unset: until a restart
    )
)
