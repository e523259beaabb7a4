"""How a server of ours makes itself known to Jupyter's server: one file, for as long as it lives.

An entry lies in Jupyter's runtime directory, is its owner's alone (mode 0600) and is locked by the
process that wrote it: a lock ends with its owner, however that ended, so what is not locked is
stale. Where there are no locks (Windows, some network folders) the process's number and start stand
in. Its rule: what is not certainly a living server of this user, on this machine's loopback, is no
entry.
Left out: connecting. Nothing here opens a socket.
"""

from __future__ import annotations

import atexit
import contextlib
import hmac
import ipaddress
import json
import os
import re
import secrets
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .head import SECRET_HEADER

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

__all__ = [
    "Address",
    "Entry",
    "NoEntry",
    "Registration",
    "announce",
    "find",
    "is_wanted",
    "loopback",
    "register",
    "tunnel_is_there",
]

ID = r"[0-9a-f]{32}"
_MAX_BYTES = 4096
_MAX_SWEPT = 64
_POSIX = os.name == "posix"
_SIGNS = ("JPY_PARENT_PID", "JUPYTER_SERVER_URL", "JUPYTERHUB_SERVICE_PREFIX")

Address = tuple[str, int] | str
"""Host and port, or the path of a Unix socket."""


class NoEntry(Exception):
    """There is no entry of this name that may be used; says why, for a log."""


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


class Registration:
    """One file of ours in Jupyter's runtime directory; `remove` it when the server stops."""

    def __init__(self, path: str, descriptor: int, entry_id: str = "", secret: str = "") -> None:
        self.id = entry_id
        self.secret = secret
        self._path = path
        self._descriptor = descriptor  # that holds the lock, or -1 where there are none
        self._inode = os.stat(path).st_ino
        self._pid = os.getpid()

    def __repr__(self) -> str:
        return f"<Registration {self.id}>"

    @property
    def descriptor(self) -> int:
        """The open file that holds the lock: a forked process must close it. -1 without one."""
        return self._descriptor

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
        """Take the file away and give up the lock; idempotent, and nothing in a forked process."""
        if self._pid != os.getpid():
            return
        self._pid = -1
        with contextlib.suppress(OSError):
            if os.stat(self._path).st_ino == self._inode:  # else another's, under the same name
                os.unlink(self._path)
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


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
    folder = _folder()
    if folder is None:
        return None
    address = _checked(address)
    _sweep(folder)
    entry_id = _kept.setdefault(address, secrets.token_hex(16))
    secret = secrets.token_urlsafe(32)
    descriptor, path = _write(
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
    return Registration(path, descriptor, entry_id, secret)


def find(entry_id: str) -> Entry:
    """Return the living entry of this name.

    Raises:
        NoEntry: there is none, or it is stale, another user's, open to others, from another
            machine, or leads elsewhere than to this machine's loopback.
    """
    if re.fullmatch(ID, entry_id) is None:
        raise NoEntry("that is no name of an entry")
    folder = _folder()
    if folder is None:
        raise NoEntry("Jupyter's runtime directory does not exist")
    info = _read(os.path.join(folder, f"wslab-{entry_id}.json"))
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
        return Entry(entry_id, _checked(address), info.get("secure") is True, secret, name)
    except ValueError as exc:
        raise NoEntry(str(exc)) from None


def announce() -> Registration | None:
    """Tell the kernels of this Jupyter server that it has the tunnel, until the process ends."""
    folder = _folder()
    if folder is None:
        return None
    _sweep(folder)
    descriptor, path = _write(folder, f"wslab-tunnel-{os.getpid()}.json", {})
    marker = Registration(path, descriptor)
    atexit.register(marker.remove)
    return marker


def tunnel_is_there(environ: Mapping[str, str] | None = None) -> bool | None:
    """Tell whether the Jupyter server that started this process has the tunnel, and sees its entry.

    Returns:
        True or False where that server is known; None where it is not: a kernel that something
        else started, or whose runtime directory (its HOME, say) is not that server's, so that the
        server would look for the entry elsewhere.
    """
    environ = os.environ if environ is None else environ
    folder = _folder()
    if folder is None:
        return None
    is_known = False
    # On Windows the variable holds a handle; there the parent itself is asked for.
    for pid in (environ.get("JPY_PARENT_PID", ""), str(os.getppid())):
        if not re.fullmatch(r"[0-9]{1,10}", pid):
            continue
        with contextlib.suppress(NoEntry):
            _read(os.path.join(folder, f"wslab-tunnel-{pid}.json"))
            return True
        is_known = is_known or os.path.exists(os.path.join(folder, f"jpserver-{pid}.json"))
    if is_known:
        return False
    for name in _names(folder, r"wslab-tunnel-[0-9]+\.json"):  # a terminal's parent is its shell
        with contextlib.suppress(NoEntry):
            _read(os.path.join(folder, name))
            return None if environ.get("JPY_PARENT_PID") else True
    return None


def _folder() -> str | None:
    try:
        from jupyter_core.paths import jupyter_runtime_dir
    except ImportError:
        return None
    folder = jupyter_runtime_dir()
    return folder if os.path.isdir(folder) else None


def loopback(name: object) -> Address | None:
    """Return the address under which this machine reaches a listening socket, or None.

    Args:
        name: what `getsockname()` gave.
    """
    with contextlib.suppress(ValueError):
        if isinstance(name, tuple):
            host, port = name[:2]
            return _checked(({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host), port))
        if isinstance(name, str | bytes):
            return _checked(os.fsdecode(name))
    return None


def _checked(address: object) -> Address:
    if isinstance(address, str) and os.path.isabs(address) and "\0" not in address:
        if _POSIX:
            with contextlib.suppress(FileNotFoundError):  # connecting will say so
                found = os.lstat(address)
                if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.getuid():
                    raise ValueError(f"expected a Unix socket of this user, got {address!r}")
        return address
    if isinstance(address, tuple) and len(address) == 2:
        host, port = address
        if isinstance(host, str) and type(port) is int and 0 < port < 65536:
            with contextlib.suppress(ValueError):
                if ipaddress.ip_address(host).is_loopback:
                    return host, port
    raise ValueError(f"expected an address on this machine's loopback, got {address!r}")


# Files.


def _write(folder: str, name: str, content: dict[str, Any]) -> tuple[int, str]:
    """Write a file under its name, whole, locked and nobody else's from the start."""
    path = os.path.join(folder, name)
    part = os.path.join(folder, f".{name}.{secrets.token_hex(4)}.part")
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
    descriptor = os.open(part, flags | getattr(os, "O_NOFOLLOW", 0), 0o600)
    try:
        if _POSIX:
            os.fchmod(descriptor, 0o600)  # whatever the umask
        is_locked = _try_lock(descriptor, exclusively=True) is True
        content = {
            **content,
            "wslab": 1,
            "pid": os.getpid(),
            "started": _started(os.getpid()),
            "machine": _machine(),
            "locked": is_locked,
        }
        os.write(descriptor, json.dumps(content).encode())
        if not is_locked:
            os.close(descriptor)
            descriptor = -1
        os.replace(part, path)
    except BaseException:
        if descriptor >= 0:
            os.close(descriptor)
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise
    return descriptor, path


def _read(path: str) -> dict[str, Any]:
    """Read a file of ours whose owner lives.

    Raises:
        NoEntry: it is no such file.
    """
    # A link could lead anywhere, and a pipe would wait for ever.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    try:
        descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
    except OSError as exc:
        raise NoEntry(f"no such entry ({exc.strerror})") from None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
            raise NoEntry("the entry is no plain file")
        if _POSIX and (found.st_uid != os.getuid() or found.st_mode & 0o077):
            raise NoEntry(f"the entry is not its owner's alone (mode {found.st_mode & 0o777:o})")
        data = os.read(descriptor, _MAX_BYTES + 1)
        try:
            info = json.loads(data) if len(data) <= _MAX_BYTES else None
        except ValueError:
            info = None
        if not isinstance(info, dict) or info.get("wslab") != 1:
            raise NoEntry("the entry can't be read")
        if info.get("machine") != _machine():
            raise NoEntry("the entry is from another machine")
        if not _lives(descriptor, info):
            raise NoEntry("the entry is stale: who wrote it has ended")
        return info
    except OSError as exc:
        raise NoEntry(f"the entry can't be read ({exc.strerror})") from None
    finally:
        os.close(descriptor)


def _lives(descriptor: int, info: dict[str, Any]) -> bool:
    if info.get("locked") is True:
        got = _try_lock(descriptor, exclusively=False)
        if got is not None:
            return not got  # nobody holds it any more: stale
    pid = info.get("pid")
    if type(pid) is not int or pid <= 0:
        return False
    if _POSIX:
        try:
            os.kill(pid, 0)
        except OSError:
            return False
    # Without its start (not Linux) a number that was given anew can't be told from the old one.
    return info.get("started") == _started(pid)


def _try_lock(descriptor: int, *, exclusively: bool) -> bool | None:
    """Take a lock without waiting: whether it was free, or None where there are no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_EX if exclusively else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _started(pid: int) -> str:
    """Return when a process started, in the system's own ticks; "" where that is not told."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[19].decode()
    except (OSError, IndexError):
        return ""


def _machine() -> str:
    """Name this machine and its network: another one's loopback is not ours.

    A home folder, and Jupyter's runtime directory in it, is often shared by many machines.
    """
    import socket

    parts = [socket.gethostname()]
    for source in ("/proc/sys/kernel/random/boot_id", "/etc/machine-id"):
        with contextlib.suppress(OSError), open(source) as file:
            parts.append(file.read(64).strip())
            break
    with contextlib.suppress(OSError, AttributeError):
        parts.append(os.readlink("/proc/self/ns/net"))
    return " ".join(parts)


def _names(folder: str, pattern: str) -> list[str]:
    with contextlib.suppress(OSError):
        return [name for name in os.listdir(folder) if re.fullmatch(pattern, name)][:_MAX_SWEPT]
    return []


def _sweep(folder: str) -> None:
    """Remove what processes of this machine left that were killed."""
    for name in _names(folder, rf"wslab-(?:{ID}|tunnel-[0-9]+)\.json"):
        path = os.path.join(folder, name)
        try:
            _read(path)
        except NoEntry as exc:
            if "stale" in str(exc):
                with contextlib.suppress(OSError):
                    os.unlink(path)
