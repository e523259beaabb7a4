"""The files of both sides in Jupyter's runtime directory: who wrote one, and whether that lives.

A file is its owner's alone (mode 0600) and locked by the process that wrote it: a lock ends with
its owner, however that ended, so what is not locked is stale. Where there are no locks (Windows,
some network folders) the process's number and start stand in. Its rule: what is not certainly
written by a living process of this user, on this machine, is no file of ours. Nothing here opens a
socket.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import stat
from typing import Any

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

__all__ = ["ID", "NoEntry", "OwnFile", "names", "read", "runtime_folder", "sweep", "write"]

ID = r"[0-9a-f]{32}"
_MAX_BYTES = 4096
_MAX_SWEPT = 64
_POSIX = os.name == "posix"


class NoEntry(Exception):
    """There is no entry of this name that may be used; says why, for a log."""


class OwnFile:
    """One file of this process in Jupyter's runtime directory, until `remove`.

    Attributes:
        descriptor: the open file that holds the lock: a forked process must close it. -1 without
            one.
    """

    def __init__(self, path: str, descriptor: int) -> None:
        self.descriptor = descriptor
        self._path = path
        self._inode = os.stat(path).st_ino
        self._pid = os.getpid()

    def remove(self) -> None:
        """Take the file away and give up the lock; idempotent, and nothing in a forked process."""
        if self._pid != os.getpid():
            return
        self._pid = -1
        with contextlib.suppress(OSError):
            if os.stat(self._path).st_ino == self._inode:  # else another's, under the same name
                os.unlink(self._path)
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def runtime_folder() -> str | None:
    """Return Jupyter's runtime directory; None where there is none."""
    try:
        from jupyter_core.paths import jupyter_runtime_dir
    except ImportError:
        return None
    folder = jupyter_runtime_dir()
    return folder if os.path.isdir(folder) else None


def write(folder: str, name: str, content: dict[str, Any]) -> OwnFile:
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
    return OwnFile(path, descriptor)


def read(path: str) -> dict[str, Any]:
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


def names(folder: str, pattern: str) -> list[str]:
    """Return the names in a folder that match, a bounded number of them."""
    with contextlib.suppress(OSError):
        return [name for name in os.listdir(folder) if re.fullmatch(pattern, name)][:_MAX_SWEPT]
    return []


def sweep(folder: str) -> None:
    """Remove what processes of this machine left that were killed."""
    for name in names(folder, rf"wslab-(?:{ID}|tunnel-[0-9]+)\.json"):
        path = os.path.join(folder, name)
        try:
            read(path)
        except NoEntry as exc:
            if "stale" in str(exc):
                with contextlib.suppress(OSError):
                    os.unlink(path)
