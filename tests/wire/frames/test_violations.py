"""Each rule that bytes can break, with literal bytes that break it."""

from __future__ import annotations

import pytest
from websockets import frames as reference

from tests.wire.framing import KEY, Sender, decode, deflated, only_fault, rules, unhex
from wslab.wire.frames.close_codes import (
    CLOSE_CODE_RANGES,
    CLOSE_CODES,
    close_code_meaning,
    may_be_sent,
)
from wslab.wire.frames.deflate import Deflate
from wslab.wire.frames.layout import encode_frame

# One literal breach a rule: who sent it, its bytes, section, close code.
BREACHES: dict[str, tuple[Sender, str, str, int]] = {
    "reserved-opcode": ("server", "8300", "5.2", 1002),
    "reserved-bit": ("server", "c105 48656c6c6f", "5.2", 1002),
    "fragmented-control": ("server", "0900", "5.5", 1002),
    "control-too-long": ("server", "897e007e" + "00" * 126, "5.5", 1002),
    "unmasked-client": ("client", "8105 48656c6c6f", "5.1", 1002),
    "masked-server": ("server", "8185 37fa213d 7f9f4d5158", "5.1", 1002),
    "length-not-minimal": ("server", "817e0005 48656c6c6f", "5.2", 1002),
    "unexpected-continuation": ("server", "8005 48656c6c6f", "5.4", 1002),
    "message-interrupted": ("server", "0103 48656c 8102 6c6f", "5.4", 1002),
    "text-not-utf8": ("server", "8102 c328", "8.1", 1007),
    "close-payload-one-byte": ("server", "8801 03", "5.5.1", 1002),
    "close-code-not-sendable": ("server", "8802 03ed", "7.4.1", 1002),
    "close-reason-not-utf8": ("server", "8803 03e8 ff", "5.5.1", 1007),
    "data-after-close": ("server", "8802 03e8 8105 48656c6c6f", "5.5.1", 1002),
}


class TestRules:
    @pytest.mark.parametrize("rule", BREACHES)
    def test_each_rule_alone(self, rule: str) -> None:
        sender, data, section, close_code = BREACHES[rule]
        fault = only_fault(unhex(data), sender)
        assert (fault.rule, fault.section, fault.close_code) == (rule, section, close_code)
        assert (fault.fatal, fault.rfc, fault.reference) == (False, 6455, f"RFC 6455 §{section}")
        assert fault.message.startswith("Expected ")
        assert "; came " in fault.message
        assert f"with {close_code} (" in fault.message

    @pytest.mark.parametrize("rule", BREACHES)
    def test_decoding_goes_on(self, rule: str) -> None:
        sender, data, _, _ = BREACHES[rule]
        ping = encode_frame(9, b"still here", mask_key=KEY if sender == "client" else None)
        *_, last = decode(unhex(data) + ping, sender)
        assert (last.kind, last.payload, last.faults) == ("ping", b"still here", ())

    @pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
    def test_every_reserved_opcode(self, opcode: int) -> None:
        (frame,) = decode(bytes((0x80 | opcode, 1, 65)))
        assert [fault.rule for fault in frame.faults] == ["reserved-opcode"]
        assert f"came 0x{opcode:X}" in frame.faults[0].message
        assert (frame.kind, frame.label) == ("reserved", f"reserved 0x{opcode:X}")
        assert (frame.opcode, frame.payload, frame.text) == (opcode, b"A", None)
        assert frame.is_control == (opcode >= 8)

    @pytest.mark.parametrize(("bit", "name"), [("c1", "RSV1"), ("a1", "RSV2"), ("91", "RSV3")])
    def test_every_reserved_bit(self, bit: str, name: str) -> None:
        fault = only_fault(unhex(bit + "00"))
        assert (fault.rule, f"came {name} 1" in fault.message) == ("reserved-bit", True)

    def test_rsv1_belongs_to_deflate_and_rsv2_does_not(self) -> None:
        assert rules(unhex("c107 f248cdc9c90700"), deflate=Deflate()) == [""]
        assert rules(unhex("e107 f248cdc9c90700"), deflate=Deflate()) == ["reserved-bit"]

    @pytest.mark.parametrize("data", ["4103 f248cd c004 c9c90700", "c900"])
    def test_rsv1_only_on_the_first_frame(self, data: str) -> None:
        fault = only_fault(unhex(data), deflate=Deflate())
        assert (fault.rule, fault.rfc, fault.section) == ("rsv1-not-first-frame", 7692, "6")

    def test_a_frame_can_break_several(self) -> None:
        assert rules(unhex("7b00"), "client") == [
            "reserved-bit reserved-opcode fragmented-control unmasked-client"
        ]

    def test_an_unknown_extension_hides_what_is_text(self) -> None:
        assert rules(unhex("c102 c328")) == ["reserved-bit"]

    @pytest.mark.parametrize("form", [16, 64])
    @pytest.mark.parametrize("size", [0, 125])
    def test_lengths_that_fit_7_bits(self, form: int, size: int) -> None:
        (frame,) = decode(encode_frame(2, bytes(size), length_form=form))
        assert [fault.rule for fault in frame.faults] == ["length-not-minimal"]
        assert f"came {size} in {form} bits" in frame.faults[0].message
        assert (frame.length_form, frame.payload) == (form, bytes(size))

    @pytest.mark.parametrize(("size", "is_minimal"), [(126, False), (65535, False), (65536, True)])
    def test_lengths_that_fit_16_bits(self, size: int, is_minimal: bool) -> None:
        (frame,) = decode(encode_frame(2, bytes(size), length_form=64))
        assert (frame.faults == ()) == is_minimal

    def test_control_of_125_bytes(self) -> None:
        assert rules(encode_frame(9, bytes(125))) == [""]

    def test_control_frames_between_fragments(self) -> None:
        data = unhex("0103 48656c 8900 8a00 8002 6c6f")
        assert rules(data) == ["", "", "", ""]
        assert [frame.text for frame in decode(data)] == ["Hel", None, None, "lo"]

    def test_an_interrupting_frame_begins_a_message_of_its_own(self) -> None:
        data = unhex("0101 41 0201 42 8001 43 8001 44")
        assert rules(data) == ["", "message-interrupted", "", "unexpected-continuation"]
        assert [f.message_opcode for f in decode(data)] == [1, 2, 2, None]

    def test_an_interrupting_text_inherits_no_half_character(self) -> None:
        data = unhex("0101 c3 0101 41 8000")
        assert rules(data) == ["", "message-interrupted", ""]
        assert [frame.text for frame in decode(data)] == ["", "A", ""]

    def test_only_data_is_forbidden_after_close(self) -> None:
        assert rules(unhex("8802 03e8 8900 8a00 8100 8200")) == [
            "", "", "", "data-after-close", "data-after-close",
        ]  # fmt: skip


class TestUtf8:
    def test_a_character_across_fragments(self) -> None:
        euro = "€".encode()
        data = b"".join(
            encode_frame(0 if i else 1, euro[i : i + 1], fin=i == 2, mask_key=KEY) for i in range(3)
        )
        frames = decode(data, "client")
        assert [frame.faults for frame in frames] == [(), (), ()]
        assert [frame.carry for frame in frames] == [b"", b"\xe2", b"\xe2\x82"]
        assert [frame.text for frame in frames] == ["", "", "€"]

    def test_goes_wrong_in_the_middle_and_is_reported_once(self) -> None:
        data = unhex("0102 41c3 0002 2842 0001 ff 8001 fe")
        assert rules(data) == ["", "text-not-utf8", "", ""]
        assert [frame.text for frame in decode(data)][:2] == ["A", None]

    def test_a_character_that_never_ends(self) -> None:
        assert rules(unhex("0101 c3 8000")) == ["", "text-not-utf8"]
        assert rules(unhex("8101 c3")) == ["text-not-utf8"]

    def test_the_next_message_starts_afresh(self) -> None:
        assert rules(unhex("8101 c3 8102 c3a9 0101 c3 8001 a9")) == ["text-not-utf8", "", "", ""]

    @pytest.mark.parametrize(
        "bad", ["eda080", "c080", "f4908080", "f8", "80"], ids=lambda bad: str(bad)
    )
    def test_what_python_and_the_rfc_refuse(self, bad: str) -> None:
        assert rules(encode_frame(1, unhex(bad))) == ["text-not-utf8"]

    def test_half_a_surrogate_is_wrong_at_its_second_byte(self) -> None:
        data = unhex("0102 eda0 8001 80")
        assert rules(data) == ["text-not-utf8", ""]
        assert rules(unhex("0101 ed 0001 a0 8001 80")) == ["", "text-not-utf8", ""]
        assert rules(unhex("0102 ed9f 8001 bf")) == ["", ""]

    def test_the_message_names_the_byte(self) -> None:
        fault = only_fault(unhex("0102 41c3 8003 a942ff"))
        assert "at byte 2 of this frame's text" in fault.message

    def test_binary_is_not_checked(self) -> None:
        assert rules(unhex("0201 ff 8001 fe")) == ["", ""]

    def test_inflated_text_is_checked(self) -> None:
        (payload,) = deflated(b"\xff\xfe")
        fault = only_fault(encode_frame(1, payload, rsv1=True), deflate=Deflate())
        assert (fault.rule, fault.close_code) == ("text-not-utf8", 1007)


class TestClose:
    def test_code_and_reason(self) -> None:
        (frame,) = decode(unhex("8885 37fa213d 3413 43 44 52"), "client")
        assert (frame.close_code, frame.close_reason) == (0x03E9, "bye")
        assert (frame.payload, frame.text, frame.faults) == (b"\x03\xe9bye", None, ())

    def test_nothing(self) -> None:
        (frame,) = decode(unhex("8800"))
        assert (frame.close_code, frame.close_reason, frame.faults) == (None, "", ())

    def test_half_a_code(self) -> None:
        (frame,) = decode(unhex("8801 03"))
        assert (frame.close_code, frame.close_reason) == (None, "")

    def test_a_reason_that_cannot_be_read(self) -> None:
        (frame,) = decode(unhex("8803 03e8 ff"))
        assert (frame.close_code, frame.close_reason) == (1000, None)

    @pytest.mark.parametrize(
        "code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2999, 5000, 65535]
    )
    def test_codes_that_may_not_be_sent(self, code: int) -> None:
        fault = only_fault(encode_frame(8, code.to_bytes(2, "big")))
        assert (fault.rule, may_be_sent(code)) == ("close-code-not-sendable", False)
        assert fault.section == ("7.4.1" if code in CLOSE_CODES else "7.4.2")
        assert f"came {code} ({close_code_meaning(code)})" in fault.message

    @pytest.mark.parametrize(
        "code", [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4999]
    )
    def test_codes_that_may(self, code: int) -> None:
        assert rules(encode_frame(8, code.to_bytes(2, "big"))) == [""]
        assert may_be_sent(code)

    def test_may_be_sent_agrees_with_websockets(self) -> None:
        for code in range(65536):
            close = reference.Close(code, "")
            try:
                close.check()
            except Exception:
                assert not may_be_sent(code), code
            else:
                assert may_be_sent(code), code

    def test_every_code_has_a_meaning(self) -> None:
        assert set(CLOSE_CODES) == set(range(1000, 1016))
        for code in range(5000):
            places = (code in CLOSE_CODES) + sum(code in codes for codes, _ in CLOSE_CODE_RANGES)
            assert places == 1, code
        assert close_code_meaning(1001).startswith("going away: ")
        assert close_code_meaning(3500).startswith("registered")
        assert close_code_meaning(4500).startswith("private use")
        assert close_code_meaning(999).startswith("not used")
        assert close_code_meaning(2000).startswith("reserved")
        assert close_code_meaning(5000).startswith("out of range")
