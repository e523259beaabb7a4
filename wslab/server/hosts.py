"""By which names a server answers: the Host header, against DNS rebinding (RFC 9110 §7.2).

A web site can make its own name lead to this machine; its pages then are of one origin with what
answers there, and read it. Its rule: an address is nobody's to give away, so it is always a good
name; of the others only those of this machine, of the notebook and of `serve(hosts=...)` are. Who
sends no Host is no browser. What the Origin says is `origins`' affair.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from ..notebook import environment
from ..notebook.allowed_origins import known_origins
from ..notebook.environment import Kind
from .listen_address import ListenAddress
from .origins import is_origin_of

__all__ = ["MISDIRECTED", "Hosts", "check_hosts", "is_known_host", "name_in", "refusal_of_host"]

Hosts: TypeAlias = Sequence[str | re.Pattern[str]] | None
"""More names to answer by, such as ``"chat.example.org"`` or a compiled pattern; None for all."""

MISDIRECTED = 421  # RFC 9110 §15.5.20
MAX_SHOWN = 100  # characters of a name in an answer
_FIELD = re.compile(r"(\[[0-9a-f:.]+\]|[^:@/\\\s]*)(?::[0-9]*)?", re.I)
_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*", re.I)
# There no browser is beside the kernel, so none can be led to it; and a page's name is often not
# known before a view of ours has been shown.
_FAR_FROM_BROWSERS = (Kind.HUB, Kind.BINDER, Kind.COLAB)


def check_hosts(hosts: Any) -> None:
    """Refuse what could never be a Host.

    Raises:
        TypeError: it is no list of names and patterns.
        ValueError: one of them is no bare name.
    """
    if hosts is None:
        return
    if isinstance(hosts, str | bytes) or not isinstance(hosts, Iterable):
        raise TypeError(
            f"expected hosts=['chat.example.org', ...], a list of names, got {hosts!r:.60}"
        )
    for host in hosts:
        if isinstance(host, re.Pattern):
            continue
        if not isinstance(host, str):
            raise TypeError(f"expected each of hosts= to be a str or a compiled pattern: {host!r}")
        if not _NAME.fullmatch(host):
            raise ValueError(
                "expected each of hosts= to be a name without scheme and port, such as "
                f"'chat.example.org', got {host!r:.60}; addresses need not be named, and "
                "hosts=None lets every name in"
            )


def name_in(field: str) -> str | None:
    """Return the name or address that a Host header holds, in small letters; None: it is wrong."""
    found = _FIELD.fullmatch(field.strip())
    return None if found is None else found[1].lower().removesuffix(".")


def is_known_host(name: str, names: Iterable[str] = ()) -> bool:
    """Tell whether a name is an address, one of this machine's loopback, or one of ``names``.

    Args:
        name: as `name_in` returns it.
        names: in small letters.
    """
    if name == "localhost" or name.endswith(".localhost") or name in names:
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def refusal_of_host(
    fields: Sequence[str], hosts: Hosts, kwargs: Mapping[str, Any], address: ListenAddress
) -> str:
    """Say why a request that names such a Host gets no answer; "" where it may.

    Args:
        fields: the Host headers, as they came.
        hosts: of ``serve``.
        kwargs: of ``serve``; who lets pages in by ``origins`` lets in their names.
        address: where the server listens.
    """
    origins = kwargs.get("origins", ())
    if hosts is None or address.is_in_memory:
        return ""
    if origins is None and not hosts:
        return ""  # any page may come by the server's own address: there is nothing to keep
    for field in fields:
        name = name_in(field)
        if name == "" or (name and _is_let_in(name, field.strip(), hosts, origins or (), address)):
            continue
        shown = (name or field)[:MAX_SHOWN]
        return (
            f"This server does not answer by the name {shown!r} (the Host header, RFC 9110 §7.2): "
            "a web site can make its own name lead to this machine (DNS rebinding), and its pages "
            f"could then read what they get here. Use {address.url} or, if the name is yours, "
            f"allow it: serve(..., hosts=[{shown!r}]).\n"
        )
    return ""


def _is_let_in(
    name: str,
    field: str,
    hosts: Sequence[str | re.Pattern[str]],
    origins: Iterable[str | re.Pattern[str] | None],
    address: ListenAddress,
) -> bool:
    if is_known_host(name, {address.host.lower()}):
        return True
    for host in hosts:
        if host.fullmatch(name) if isinstance(host, re.Pattern) else host.lower() == name:
            return True
    as_origins = [f"{scheme}://{field.lower()}" for scheme in ("https", "http")]
    if any(is_origin_of(origin, each) for origin in as_origins for each in origins):
        return True
    mine = socket.gethostname().lower()
    if not address.is_on_loopback and name in (mine, f"{mine}.local"):
        return True
    if name in {urlsplit(origin).hostname for origin in known_origins()}:
        return True
    return environment.detect().kind in _FAR_FROM_BROWSERS
