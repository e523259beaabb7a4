"""Lesson 01, "01 accept" and "01 server": the handshake by hand."""

import base64
import hashlib

import wslab
from wslab.learn import check

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def accept(key):
    digest = hashlib.sha1((key + GUID).encode()).digest()
    return base64.b64encode(digest).decode()


def is_good(key):
    try:
        return len(base64.b64decode(key, validate=True)) == 16
    except (TypeError, ValueError):  # there is none, or it is no base64
        return False


async def shake_hands(reader, writer):
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    lines = [line.partition(":") for line in head.split("\r\n")[1:-2]]
    headers = {name.strip().lower(): value.strip() for name, _, value in lines}
    if headers.get("sec-websocket-version") != "13":
        answer = ["HTTP/1.1 426 Upgrade Required", "Sec-WebSocket-Version: 13", "Content-Length: 0"]
    elif not is_good(headers.get("sec-websocket-key")):
        answer = ["HTTP/1.1 400 Bad Request", "Content-Length: 0"]
    else:
        answer = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Accept: " + accept(headers["sec-websocket-key"]),
        ]
    writer.write("\r\n".join([*answer, "", ""]).encode())
    await writer.drain()
    writer.close()


if __name__ == "__main__":
    print(check("01 accept", accept))
    print(check("01 server", shake_hands))
    wslab.shutdown()
