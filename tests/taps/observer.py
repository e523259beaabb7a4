"""An observer between a client and a tap: a carrier that is not wslab's, which keeps the bytes.

With it and the tape of the server behind the tap, both sides of a tap can be laid side by side.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
import threading

from tests import peers

# What a tap may change of a head.
_CHANGED = re.compile(rb"\r\n(?:host|origin):[^\r\n]*", re.IGNORECASE)


def digests(client, server):
    """The hashes of what both sides of one connection sent, without Host and Origin."""
    return tuple(
        hashlib.sha256(data).hexdigest()
        for data in (_CHANGED.sub(b"", bytes(client)), bytes(server))
    )


@contextlib.contextmanager
def observing(port):
    """Carry connections to a port of this machine; yields the port to connect to, and what came.

    What came is a list of ``(client, server)``, the bytes that each side of a connection sent.
    """
    seen = []

    def pump(source, to, kept):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                kept += data
                to.sendall(data)
        with contextlib.suppress(OSError):
            to.shutdown(socket.SHUT_WR)

    def carry(sock):
        client, server = bytearray(), bytearray()
        seen.append((client, server))
        with socket.create_connection(("127.0.0.1", port)) as far:
            back = threading.Thread(target=pump, args=(far, sock, server))
            back.start()
            pump(sock, far, client)
            back.join(10)

    with peers.raw_server(carry) as here:
        yield here, seen


def both_sides(seen, tape):
    """The digests of each connection at the client's side and at the server's, sorted.

    A connection that was opened in advance and never used has no bytes: it reaches no server.
    """
    tracks = {track.number: (bytearray(), bytearray()) for track in tape.connections}
    for chunk in tape.chunks():
        if chunk.what in ("client", "server"):
            tracks[chunk.track.number][chunk.what == "server"].extend(chunk.data)
    ours = sorted(digests(*pair) for pair in seen if pair[0])
    theirs = sorted(digests(*pair) for pair in tracks.values() if pair[0])
    return ours, theirs
