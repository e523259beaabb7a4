"""What the tests of networks' rows share."""

from __future__ import annotations

import functools

from tests import peers
from wslab.widgets.network_controls.model import NetworkReader

until = functools.partial(peers.until, within_s=20.0)


def row_of(target, reader=None, **kwargs):
    """Return the only row of a server or a client, as one reader reads it or a new one."""
    [row] = (reader or NetworkReader()).look(target, **kwargs)["rows"]
    return row
