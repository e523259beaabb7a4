"""The side of the registry that serves: a kernel writes an entry for each of its servers.

Its rule: a plain script pays nothing and leaves no file. It loads neither tornado nor Jupyter.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import re
import secrets
import sys
from collections.abc import Mapping
from typing import Any

from ..request_head import SECRET_HEADER
from . import files
from .addresses import Address, checked
from .files import NoEntry, OwnFile

__all__ = ["Registration", "is_wanted", "register", "tunnel_is_there"]

_SIGNS = ("JPY_PARENT_PID", "JUPYTER_SERVER_URL", "JUPYTERHUB_SERVICE_PREFIX")


class Registration:
    """The entry of one server of this process; `remove` it when the server stops.

    Attributes:
        id: its name in URLs; nobody can guess it.
        secret: what the tunnel shows the server, so that it knows that Jupyter let a request in.
    """

    def __init__(self, file: OwnFile, entry_id: str, secret: str) -> None:
        self.id = entry_id
        self.secret = secret
        self._file = file

    def __repr__(self) -> str:
        return f"<Registration {self.id}>"

    @property
    def descriptor(self) -> int:
        """The open file that holds the lock: a forked process must close it. -1 without one."""
        return self._file.descriptor

    def is_shown(self, headers: Any) -> bool:
        """Tell whether a request came by the tunnel, and take the sign out of its headers.

        Args:
            headers: of websockets' request, or anything like them.
        """
        shown: list[str] = headers.get_all(SECRET_HEADER)
        if not shown:
            return False
        del headers[SECRET_HEADER]  # it is nobody's business from here on
        return len(shown) == 1 and hmac.compare_digest(shown[0].encode(), self.secret.encode())

    def remove(self) -> None:
        """Take the entry out; idempotent."""
        self._file.remove()


def is_wanted(environ: Mapping[str, str] | None = None) -> bool:
    """Tell whether a Jupyter server may look for entries of this process.

    A kernel's, and those of a program that was started from Jupyter's terminal or on a Hub. A plain
    script pays nothing and leaves no file.
    """
    environ = os.environ if environ is None else environ
    if any(environ.get(name) for name in _SIGNS):
        return True
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", None)
    shell = get_ipython() if get_ipython is not None else None
    return getattr(shell, "kernel", None) is not None


_kept: dict[Address, str] = {}  # so that a server that starts again where it was keeps its URL


def register(address: Address, *, is_secure: bool, name: str) -> Registration | None:
    """Write an entry; None where there is no Jupyter that could read it.

    Args:
        address: where the server listens.
        is_secure: whether it speaks TLS.
        name: what its user calls it.

    Raises:
        OSError: the file could not be written.
        ValueError: the address is not on loopback.
    """
    folder = files.runtime_folder()
    if folder is None:
        return None
    address = checked(address)
    files.sweep(folder)
    entry_id = _kept.setdefault(address, secrets.token_hex(16))
    secret = secrets.token_urlsafe(32)
    file = files.write(
        folder,
        f"wslab-{entry_id}.json",
        {
            "id": entry_id,
            "address": address,
            "secure": is_secure,
            "secret": secret,
            "name": name[:200],
        },
    )
    return Registration(file, entry_id, secret)


def tunnel_is_there(environ: Mapping[str, str] | None = None) -> bool | None:
    """Tell whether the Jupyter server that started this process has the tunnel, and sees its entry.

    Returns:
        True or False where that server is known; None where it is not: a kernel that something
        else started, or whose runtime directory (its HOME, say) is not that server's, so that the
        server would look for the entry elsewhere.
    """
    environ = os.environ if environ is None else environ
    folder = files.runtime_folder()
    if folder is None:
        return None
    is_known = False
    # On Windows the variable holds a handle; there the parent itself is asked for.
    for pid in (environ.get("JPY_PARENT_PID", ""), str(os.getppid())):
        if not re.fullmatch(r"[0-9]{1,10}", pid):
            continue
        with contextlib.suppress(NoEntry):
            files.read(os.path.join(folder, f"wslab-tunnel-{pid}.json"))
            return True
        is_known = is_known or os.path.exists(os.path.join(folder, f"jpserver-{pid}.json"))
    if is_known:
        return False
    # A terminal's parent is its shell.
    for name in files.names(folder, r"wslab-tunnel-[0-9]+\.json"):
        with contextlib.suppress(NoEntry):
            files.read(os.path.join(folder, name))
            return None if environ.get("JPY_PARENT_PID") else True
    return None
