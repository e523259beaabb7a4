"""Who counts as one: the address that a connection comes from, or that a named proxy says.

Pure. Its rule: what a header says is believed only as far as proxies that were named have written
it, from the nearest one back: anybody can send an ``X-Forwarded-For``, and who could choose what to
count as could be a thousand.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias

from .limits import address_of

__all__ = ["counted_as"]

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_HOPS: Final = 32  # that are looked at; more proxies in a row there are not


def counted_as(
    address: tuple[str, int] | None, headers: Mapping[str, str], proxies: Sequence[str]
) -> str:
    """Return who counts as one: an IPv4 address, an IPv6 network, "" for a Unix socket.

    Args:
        address: host and port of the other end.
        headers: of its request.
        proxies: addresses and networks whose ``X-Forwarded-For`` is believed.
    """
    nearest = address_of(address)
    if not proxies or address is None or not _is_of(address[0], _networks(tuple(proxies))):
        return nearest
    named = _networks(tuple(proxies))
    hops = [hop for value in _all(headers, "X-Forwarded-For") for hop in value.split(",")]
    for hop in reversed(hops[-MAX_HOPS:]):
        host = _host(hop.strip())
        if host is None:
            break  # what is left of it could be anything
        nearest = address_of((host, 0))
        if not _is_of(host, named):
            break
    return nearest


@functools.lru_cache(maxsize=32)
def _networks(proxies: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(each, strict=False) for each in proxies)


def _is_of(host: str, networks: tuple[Network, ...]) -> bool:
    try:
        parsed = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    parsed = parsed if mapped is None else mapped
    return any(parsed in network for network in networks if network.version == parsed.version)


def _host(hop: str) -> str | None:
    """Return the address in an entry, which some proxies write with a port."""
    for text in (hop, hop.rpartition(":")[0], hop.strip("[]"), hop.rpartition("]:")[0].strip("[")):
        try:
            return str(ipaddress.ip_address(text))
        except ValueError:
            continue
    return None


def _all(headers: Any, name: str) -> list[str]:
    get_all = getattr(headers, "get_all", None)
    if get_all is not None:
        return list(get_all(name))
    value = headers.get(name)
    return [] if value is None else [value]
