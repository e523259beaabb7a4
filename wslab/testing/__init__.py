"""What pytest's plugin is made of: servers, clients and a network for one test at a time.

pytest finds the plugin by itself (``pytest_wslab``, beside this package) and has the fixtures
``ws_serve``, ``ws_connect``, ``ws_network`` and ``ws_replay``. Here are the names for who annotates
them.
"""

from __future__ import annotations

from .fixtures import Connect, Serve
from .records import Records

__all__ = ["Connect", "Records", "Serve"]
