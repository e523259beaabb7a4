"""Processes of one lesson on this machine: nodes of a hub, and the Redis between them.

    from wslab.machines import start_nodes, start_redis

`process` starts one and ends it, `redis_server` and `node` say what each is; `serving` is what runs
in a node's process. Its rule: what is started here ends with the cell that is run again, with
`wslab.shutdown()`, and with this process, however that ends.
"""

from __future__ import annotations

from .node import Node, start_front, start_nodes
from .redis_server import RedisServer, start_redis

__all__ = ["Node", "RedisServer", "start_front", "start_nodes", "start_redis"]
