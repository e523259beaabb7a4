"""What of an answer's head is changed for the page, and back again: cookies and redirects. Pure.

To a page, a server behind the tunnel and Jupyter are one origin. Its rule: the server's cookies get
a name of their own and a path below the server's, so that they neither meet Jupyter's nor another
server's; and a redirect within the server stays within it. Every other byte passes as it came.
"""

from __future__ import annotations

import re

__all__ = ["MAX_HEAD_BYTES", "ResponseHead", "own_cookies"]

MAX_HEAD_BYTES = 65536
_END = re.compile(rb"\r?\n\r?\n")
_SET_COOKIE = re.compile(rb"(?im)^(set-cookie:[ \t]*)([^\r\n]*)")
_LOCATION = re.compile(rb"(?im)^(location:[ \t]*)([^\r\n]*)")


def own_cookies(value: str, prefix: str) -> str:
    """Return a Cookie header's value with the server's own cookies only, as the server named them.

    Args:
        value: as the page sent it (RFC 6265 section 4.2).
        prefix: what stands before the server's own path.
    """
    mark = _mark(prefix)
    pairs = [pair.strip() for pair in value.split(";")]
    return "; ".join(pair[len(mark) :] for pair in pairs if pair.startswith(mark))


def _mark(prefix: str) -> str:
    return f"wslab-{prefix.rpartition('/')[2][:8]}-"


class ResponseHead:
    """The beginning of what a server answers, up to the end of its head.

    Args:
        prefix: what stands before the server's own path.
        host: how the page calls Jupyter's server.
    """

    def __init__(self, prefix: str, host: str) -> None:
        self._prefix = prefix.encode("latin-1")
        self._mark = _mark(prefix).encode("latin-1")
        self._own = tuple(f"{scheme}://{host}".encode("latin-1") for scheme in ("http", "https"))
        self._kept = bytearray()
        self.is_over = False
        """Whether the head is over: what follows passes as it comes."""

    def receive(self, data: bytes) -> bytes:
        """Return what may go on, once it is known; a head that is too large passes as it came."""
        begin = max(len(self._kept) - 3, 0)  # what was kept has no end
        self._kept += data
        out = b""
        while not self.is_over:
            end = _END.search(self._kept, begin)
            begin = 0
            if end is None:
                if len(self._kept) > MAX_HEAD_BYTES:
                    return out + self.end()
                return out
            head = bytes(self._kept[: end.end()])
            del self._kept[: end.end()]
            # 100 and 103 come before the answer; 101 is one.
            self.is_over = re.match(rb"HTTP/1\.[01] 1(?!01)", head) is None
            out += self._changed(head)
        return out + self.end()

    def end(self) -> bytes:
        """Return what was kept: nothing more will follow, or nothing more is looked at."""
        self.is_over = True
        kept = bytes(self._kept)
        self._kept.clear()
        return kept

    def _changed(self, head: bytes) -> bytes:
        head = _SET_COOKIE.sub(lambda line: line[1] + self._cookie(line[2]), head)
        return _LOCATION.sub(lambda line: line[1] + self._location(line[2]), head)

    def _cookie(self, value: bytes) -> bytes:
        """Rename a cookie and put it below the server's path (RFC 6265 section 4.1)."""
        pair, *attributes = value.split(b";")
        name, has_name, content = pair.strip().partition(b"=")
        parts = [self._mark + (name + b"=" + content if has_name else b"=" + name)]
        for attribute in attributes:
            key, _, path = attribute.strip().partition(b"=")
            if key.strip().lower() == b"path" and path.strip().startswith(b"/"):
                parts.append(b"Path=" + self._prefix + path.strip())
            elif key.strip().lower() not in (b"path", b"domain"):
                parts.append(attribute.strip())
        return b"; ".join(parts)

    def _location(self, value: bytes) -> bytes:
        """Keep a redirect within the server there (RFC 9110 section 10.2.2)."""
        path = value.strip()
        for origin in self._own:
            if path == origin or path.startswith((origin + b"/", origin + b"?")):
                path = b"/" + path[len(origin) :].removeprefix(b"/")
        if not path.startswith(b"/") or path.startswith((b"//", self._prefix + b"/")):
            return value
        return self._prefix + path
