"""One port on all addresses of a host, and leaving it."""

from __future__ import annotations

import asyncio
import errno
import functools
import socket

import pytest

from wslab.server.listen_address import port_of
from wslab.server.listening import accept_no_more, descriptors, listen


def test_a_host_of_several_addresses_gets_one_port():
    async def main():
        loop = asyncio.get_running_loop()
        server = await listen(
            functools.partial(loop.create_server, asyncio.Protocol), ("127.0.0.1", 0)
        )
        assert len(descriptors(server)) == 1
        both = await listen(functools.partial(loop.create_server, asyncio.Protocol), ("", 0))
        assert {port_of([sock]) for sock in both.sockets} == {port_of(both.sockets)}
        for each in (server, both):
            await accept_no_more(each)
            each.close()
            await each.wait_closed()

    asyncio.run(main())


def test_a_port_that_is_taken_is_told():
    async def main(port):
        loop = asyncio.get_running_loop()
        make = functools.partial(loop.create_server, asyncio.Protocol)
        with pytest.raises(OSError) as taken:  # noqa: PT011 (its number is looked at)
            await listen(make, ("127.0.0.1", port))
        assert taken.value.errno == errno.EADDRINUSE

    with socket.create_server(("127.0.0.1", 0)) as other:
        asyncio.run(main(other.getsockname()[1]))
