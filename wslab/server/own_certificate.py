"""A certificate made on the spot, for `serve(tls=True)`, and who trusts it: this process alone.

trustme makes it. Its rule: the keys live in memory for as long as the process does. ssl reads a key
from a file only: where the system has files in memory it is one of those, elsewhere a temporary one
that is deleted at once. No system's and no browser's list of authorities is touched.
"""

from __future__ import annotations

import contextlib
import os
import ssl
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from .listen_address import ListenAddress

if TYPE_CHECKING:
    import trustme

__all__ = ["OwnTls", "own_tls"]

_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_lock = threading.Lock()
_authorities: list[trustme.CA] = []  # of this process: one, once it has been asked for


class OwnTls(NamedTuple):
    """What ssl is told at both ends: of one server, and of the clients that trust it."""

    server: ssl.SSLContext
    client: ssl.SSLContext


def own_tls(address: ListenAddress) -> OwnTls:
    """Make a certificate for a server; its authority is this process's own (RFC 5280 §6.1).

    Args:
        address: where it will listen; the certificate is for that name or address, and for
            ``localhost``, ``127.0.0.1`` and ``::1``.

    Raises:
        ImportError: trustme is not installed; it says how to get it.
    """
    try:
        import trustme
    except ImportError as exc:
        raise ImportError(
            "expected trustme, which makes a certificate for serve(tls=True), and it is not "
            "installed: pip install 'wslab[tls]'. For a certificate of your own: "
            "serve(..., ssl=context)"
        ) from exc
    with _lock:
        if not _authorities:
            _authorities.append(trustme.CA(organization_name="wslab, of one process"))
    authority = _authorities[0]
    names = dict.fromkeys([*_LOOPBACK, address.host.lower()])
    made = authority.issue_cert(*names, organization_name="wslab.serve(tls=True)")
    ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.minimum_version = ssl.TLSVersion.TLSv1_2
    with _as_file(made.private_key_and_cert_chain_pem) as path:
        ours.load_cert_chain(path)
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    theirs.load_verify_locations(cadata=authority.cert_pem.bytes().decode())
    return OwnTls(ours, theirs)


@contextlib.contextmanager
def _as_file(pem: trustme.Blob) -> Iterator[str]:
    """Lend a path to read it from; afterwards nothing is there."""
    if not hasattr(os, "memfd_create") or not os.path.isdir("/proc/self/fd"):
        with pem.tempfile() as path:  # only its owner may read it
            yield path
        return
    number = os.memfd_create("wslab-tls")
    try:
        with open(number, "wb", closefd=False) as file:
            file.write(pem.bytes())
        yield f"/proc/self/fd/{number}"
    finally:
        os.close(number)
