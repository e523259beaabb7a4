"""The transport that a recorded connection sees, over one that only takes note."""

from __future__ import annotations

from wslab.network.recorded_transport import RecordedTransport
from wslab.network.traffic import Traffic


class Noting:
    """A transport that writes down what it is told."""

    def __init__(self, name: str) -> None:
        self.told: list[object] = []
        self.write = self.told.append
        self.name = name
        for each in ("pause_reading", "resume_reading", "close", "write_eof"):
            setattr(self, each, lambda each=each: self.told.append(each))
        self.is_closing = lambda: self.told.append("is_closing")
        self.get_write_buffer_size = lambda: 7


def test_writes_are_counted_and_recorded_and_go_below():
    below, traffic, recorded = Noting("own"), Traffic("abc"), []
    transport = RecordedTransport(below, traffic, recorded.append)
    transport.write(b"\x81\x01a")
    transport.writelines([b"\x89", b"\x00"])
    assert recorded == below.told == [b"\x81\x01a", b"\x89\x00"]
    assert (traffic.sent, traffic.sent_bytes) == (1, 5)
    transport.write_only(b"rest")
    assert (recorded[-1], below.told[-1]) == (b"\x89\x00", b"rest")


def test_whoever_keeps_its_methods_reaches_what_lies_below_now():
    own, line = Noting("own"), Noting("line")
    transport = RecordedTransport(own, Traffic("abc"), None)
    told = []
    transport.may_go_past_loop = told.append
    kept = [
        transport.write, transport.pause_reading, transport.resume_reading, transport.write_eof,
        transport.close, transport.get_write_buffer_size,
    ]  # fmt: skip
    transport.put(line)
    kept[0](b"x")
    for method in kept[1:]:
        method()
    transport.is_closing()
    assert own.told == []
    assert line.told == [
        b"x", "pause_reading", "resume_reading", "write_eof", "close", "is_closing"
    ]  # fmt: skip
    assert (transport.name, transport.below, told) == ("line", own, [False])
    transport.put(transport.below)
    kept[0](b"y")
    transport.write_only(b"z")
    assert (own.told, transport.name, told) == ([b"y", b"z"], "own", [False, True])
