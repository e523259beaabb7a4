"""The five ways, as Starlette has them: what the tests of a race run against."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import Callable, Coroutine
from typing import Any

from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.responses import HTMLResponse, JSONResponse, StreamingResponse
from starlette.routing import Route, WebSocketRoute

from wslab.widgets.race.feed import Feed
from wslab.widgets.race.race import PAGE


def after(request: HTTPConnection) -> int:
    has = request.headers.get("last-event-id", request.query_params.get("after", "0"))
    return int(has)


def app_of(feed: Feed, *, without: str = "nothing") -> Starlette:
    """Return the application; without one of its ways, where that is said."""

    async def home(request: Any) -> Any:
        return HTMLResponse(PAGE)

    async def poll(request: Any) -> Any:
        return JSONResponse(feed.since(after(request)))

    async def wait(request: Any) -> Any:
        await feed.newer(after(request), within_s=20)
        return JSONResponse(feed.since(after(request)))

    async def events(request: Any) -> Any:
        async def lines() -> Any:
            async for number, text in feed.each(after(request)):
                yield f"id: {number}\ndata: {text}\n\n"

        return StreamingResponse(lines(), media_type="text/event-stream")

    async def stream(request: Any) -> Any:
        async def lines() -> Any:
            async for _, text in feed.each(after(request)):
                yield json.dumps(text) + "\n"

        return StreamingResponse(lines(), media_type="application/x-ndjson")

    async def socket(websocket: Any) -> None:
        async def tell() -> None:
            async for _, text in feed.each(after(websocket)):
                await websocket.send_text(text)

        await websocket.accept()
        telling = asyncio.create_task(tell())
        async for _ in websocket.iter_text():
            pass
        telling.cancel()

    gets = {"/": home, "/poll": poll, "/wait": wait, "/events": events, "/stream": stream}
    routes: list[Any] = [Route(path, get) for path, get in gets.items() if path[1:] != without]
    return Starlette(routes=[*routes, WebSocketRoute("/socket", socket)])


def in_a_loop(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run a test that is a coroutine function on an event loop of its own."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return run
