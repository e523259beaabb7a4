"""What comes to one end of a line, with a transport that only takes note."""

from __future__ import annotations

import asyncio

from tests.network.rig import run, turns
from wslab.network.arrivals import Arrivals
from wslab.network.conditions import Conditions
from wslab.network.pipe import Mark


class Noting:
    """A transport that writes down when it is told to read, and when not."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.pause_reading = lambda: self.told.append("pause")
        self.resume_reading = lambda: self.told.append("resume")
        self.is_reading = lambda: True
        self.is_closing = lambda: False


def played(script) -> None:
    async def main() -> None:
        transport, conditions, came = Noting(), Conditions(buffer_bytes=10), []
        arrivals = Arrivals(
            transport, conditions, "7", is_new=True, deliver=came.append, moved=lambda: None
        )
        await script(arrivals, conditions, transport, came)
        arrivals.cancel()

    run(main)


def test_without_conditions_it_is_delivered_at_once():
    async def script(arrivals, conditions, transport, came):
        arrivals.put(b"a")
        arrivals.put(Mark.FIN)
        assert (came, transport.told) == ([b"a", Mark.FIN], [])

    played(script)


def test_the_transport_is_read_while_there_is_room():
    async def script(arrivals, conditions, transport, came):
        conditions.is_cut = True
        arrivals.put(b"123456789")
        assert transport.told == []
        arrivals.put(b"0")
        assert transport.told == ["pause"]
        conditions.is_cut = False
        arrivals.look()
        await turns()
        assert (came, transport.told) == ([b"1234567890"], ["pause", "resume"])

    played(script)


def test_it_is_not_read_while_the_program_does_not_want_to_or_may_not():
    async def script(arrivals, conditions, transport, came):
        arrivals.wants_to_read = False
        arrivals.tune()
        arrivals.put(b"a")
        await turns()
        conditions.is_stopped = True
        arrivals.wants_to_read = True
        arrivals.look()
        await turns()
        assert (came, transport.told) == ([], ["pause"])
        conditions.is_stopped = False
        arrivals.look()
        await turns()
        assert (came, transport.told) == ([b"a"], ["pause", "resume"])

    played(script)


def test_who_reads_nothing_learns_of_rst():
    async def script(arrivals, conditions, transport, came):
        arrivals.wants_to_read = False
        arrivals.put(b"unread")
        arrivals.put(Mark.RST)
        await turns()
        assert came == [Mark.RST]

    played(script)


def test_what_comes_when_nobody_reads_any_more_is_noted():
    async def script(arrivals, conditions, transport, came):
        arrivals.close()
        assert (transport.told, arrivals.has_unread) == (["pause"], False)
        arrivals.put(b"a")
        arrivals.end()
        assert (transport.told, arrivals.has_unread) == (["pause", "resume"], True)
        assert came == []

    played(script)


def test_what_was_held_when_it_ended_is_unread_unless_it_had_not_come():
    async def script(arrivals, conditions, transport, came):
        conditions.is_cut = True
        arrivals.put(b"a")
        arrivals.end()
        assert not arrivals.has_unread
        await asyncio.sleep(0)

    played(script)
