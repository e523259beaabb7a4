"""What stands in for a redis-server where there is none: `python -m wslab.machines.stand_in PORT`.

It is fakeredis, a Redis in Python, as a server. Its rule: it is said to be a stand-in wherever it
shows, since it keeps nothing over a kill and is slow. It ends when stdin does.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import shutil
import sys

from ..loops import portals

__all__: list[str] = []

UP = "Ready to accept connections"  # as redis-server says it


def main(port: int) -> None:
    """Serve until stdin ends."""
    fakeredis = importlib.import_module("fakeredis")  # where it is, and nowhere else
    server = fakeredis.TcpFakeServer(("127.0.0.1", port), server_type="redis")
    portals.lab().submit(asyncio.to_thread, server.serve_forever)
    sys.stdout.write(f"{UP}\n")
    sys.stdout.flush()
    for _ in sys.stdin:
        pass
    shutil.rmtree(os.getcwd(), ignore_errors=True)
    os._exit(0)  # its threads wait for their clients


if __name__ == "__main__":
    main(int(sys.argv[1]))
