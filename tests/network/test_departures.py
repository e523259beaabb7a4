"""What goes from one end of a line, with a transport that only takes note."""

from __future__ import annotations

from tests.network.rig import run, turns
from wslab.network.conditions import Conditions
from wslab.network.departures import Departures, send_rst
from wslab.network.pipe import Mark


class Noting:
    """A transport that writes down what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []
        self.unwritten_bytes = 0
        self.write = self.told.append
        for name in ("write_eof", "abort", "close", "void"):
            setattr(self, name, lambda name=name: self.told.append(name))
        self.can_write_eof = lambda: True
        self.get_write_buffer_size = lambda: self.unwritten_bytes
        self.get_write_buffer_limits = lambda: (2, 5)
        self.get_extra_info = lambda name: None


def played(script) -> None:
    async def main() -> None:
        transport, conditions, told = Noting(), Conditions(buffer_bytes=10), []
        departures = Departures(
            transport, conditions, "7", is_full=False, tell=told.append, moved=lambda: None
        )
        await script(departures, conditions, transport, told)
        departures.cancel()

    run(main)


def test_without_conditions_it_goes_at_once():
    async def script(departures, conditions, transport, told):
        departures.write(b"a")
        departures.put(Mark.FIN)
        await turns()
        assert transport.told == [b"a", "write_eof"]

    played(script)


def test_a_writer_is_told_when_no_kernel_would_take_more():
    async def script(departures, conditions, transport, told):
        conditions.is_cut = True
        departures.write(bytes(10))
        assert (departures.left_bytes, told) == (0, [])
        departures.write(bytes(6))
        assert (departures.left_bytes, told) == (6, [True])
        conditions.is_cut = False
        departures.look()
        await turns()
        assert (departures.left_bytes, told) == (0, [True, False])
        assert b"".join(transport.told) == bytes(16)

    played(script)


def test_a_full_transport_is_waited_for_and_counts():
    async def script(departures, conditions, transport, told):
        departures.full_below(is_full=True)
        transport.unwritten_bytes = 6
        departures.write(b"a")
        await turns()
        assert (transport.told, told, departures.left_bytes) == ([], [True], 7)
        transport.unwritten_bytes = 0
        departures.full_below(is_full=False)
        await turns()
        assert (transport.told, told) == ([b"a"], [True, False])

    played(script)


def test_a_transport_that_never_was_full_says_nothing_when_it_has_room():
    async def script(departures, conditions, transport, told):
        conditions.is_cut = True
        transport.unwritten_bytes = 4  # between the marks
        departures.write(bytes(12))
        assert told == [True]
        conditions.is_cut = False
        departures.look()
        await turns()
        assert told == [True, False]

    played(script)


def test_an_abort_keeps_what_a_kernel_has():
    async def script(departures, conditions, transport, told):
        conditions.is_cut = True
        departures.write(b"0123456789 and more")
        departures.abort()
        departures.put(Mark.FIN)
        conditions.is_cut = False
        departures.look()
        await turns()
        assert b"".join(transport.told) == b"0123456789"  # the end of the transport is FIN
        departures.end_below()
        assert transport.told[-1] == "abort"

    played(script)


def test_the_end_waits_for_what_is_held():
    async def script(departures, conditions, transport, told):
        conditions.is_cut = True
        departures.write(b"a")
        departures.end_below()
        assert transport.told == []
        conditions.is_cut = False
        departures.send()
        departures.end_below()
        assert transport.told == [b"a", "close"]

    played(script)


def test_rst_goes_as_the_transport_can():
    transport = Noting()
    send_rst(transport)
    assert transport.told == ["void", "abort"]
