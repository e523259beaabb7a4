"""The table of opcodes."""

from __future__ import annotations

from wslab.wire.frames.opcodes import Opcode


def test_labels() -> None:
    assert {opcode.value: opcode.label for opcode in Opcode} == {
        0: "continuation", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong",
    }  # fmt: skip
    assert [o.name for o in Opcode if o.is_control] == ["CLOSE", "PING", "PONG"]
