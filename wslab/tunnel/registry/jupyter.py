"""The side of the registry that relays: Jupyter's server finds entries, and says that it is there.

Its rule: what is not certainly a living server of this user, on this machine's loopback, is no
entry. Connecting to it is `relay`'s.
"""

from __future__ import annotations

import atexit
import os
import re
from dataclasses import dataclass, field

from . import files
from .addresses import Address, checked
from .files import ID, NoEntry, OwnFile

__all__ = ["Entry", "announce", "find"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A living server, as it wrote itself down.

    Attributes:
        id: its name in URLs; nobody can guess it.
        address: where it listens, on loopback.
        is_secure: whether it speaks TLS.
        secret: what the tunnel shows it, so that it knows that Jupyter let this request in.
        name: what its user calls it.
    """

    id: str
    address: Address
    is_secure: bool
    secret: str = field(repr=False)
    name: str = ""


def find(entry_id: str) -> Entry:
    """Return the living entry of this name.

    Raises:
        NoEntry: there is none, or it is stale, another user's, open to others, from another
            machine, or leads elsewhere than to this machine's loopback.
    """
    if re.fullmatch(ID, entry_id) is None:
        raise NoEntry("that is no name of an entry")
    folder = files.runtime_folder()
    if folder is None:
        raise NoEntry("Jupyter's runtime directory does not exist")
    info = files.read(os.path.join(folder, f"wslab-{entry_id}.json"))
    address = info.get("address")
    if isinstance(address, list):
        address = tuple(address)
    secret, name = info.get("secret"), info.get("name")
    if info.get("id") != entry_id:
        raise NoEntry("the entry belongs to another name")
    if not isinstance(secret, str) or len(secret) < 32 or not isinstance(name, str):
        raise NoEntry("the entry is incomplete")
    if not re.fullmatch(r"[A-Za-z0-9_-]+", secret):
        raise NoEntry("the entry's secret is none")
    try:
        return Entry(entry_id, checked(address), info.get("secure") is True, secret, name)
    except ValueError as exc:
        raise NoEntry(str(exc)) from None


def announce() -> OwnFile | None:
    """Tell the kernels of this Jupyter server that it has the tunnel, until the process ends."""
    folder = files.runtime_folder()
    if folder is None:
        return None
    files.sweep(folder)
    marker = files.write(folder, f"wslab-tunnel-{os.getpid()}.json", {})
    atexit.register(marker.remove)
    return marker
