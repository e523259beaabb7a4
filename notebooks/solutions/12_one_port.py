"""Lesson 12, "12 one port": a page, an API and a socket on one port, in Starlette."""

from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route, WebSocketRoute

import wslab
from wslab.learn import check

heard = {"last": None}


async def page(request):
    return HTMLResponse("<!doctype html><title>One port</title><h1>One port</h1>")


async def api(request):
    return JSONResponse(heard)


async def socket(websocket):
    await websocket.accept()
    async for text in websocket.iter_text():
        heard["last"] = text
        await websocket.send_text(text)


app = Starlette(routes=[Route("/", page), Route("/api", api), WebSocketRoute("/ws", socket)])


if __name__ == "__main__":
    print(check("12 one port", app))
    wslab.shutdown()
