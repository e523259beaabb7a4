"""Lesson 02's check: its solution, other right ways, the stub, and plausible wrong ones."""

from __future__ import annotations

import itertools
import struct

import pytest

import wslab
from tests.learn.rig import cells, solution
from wslab.learn import NotYet, check
from wslab.wire.frames.decoder import FrameDecoder

pytestmark = pytest.mark.usefixtures("memory_network")

Parser = solution("02_frames").Parser


def test_the_solution_passes_every_time():
    for _ in range(5):
        verdict = check("02 parser", Parser)
        assert verdict, str(verdict)
    assert "random messages in 26" in verdict.seen


def test_the_lessons_own_bug_is_refused_every_time():
    # What is left of a chunk after its first frame is thrown away; byte by byte that never shows.
    for _ in range(10):
        verdict = check("02 parser", DropsTheRest)
        assert verdict.passed is False
        assert "two frames in one chunk" in verdict.expected
        assert "nothing more after a chunk of " in verdict.seen
        assert "one chunk may hold more than one frame" in verdict.hint


def machine():
    """Parse with a generator that is sent one byte at a time: no buffer, no class."""

    def frames():
        opcode, parts, out = 0, bytearray(), []
        while True:
            one = yield out
            out = []
            two = yield out
            length = two & 127
            if length > 125:
                length = 0
                for _ in range(2 if two & 127 == 126 else 8):
                    length = length << 8 | (yield out)
            key = []
            if two & 128:
                for _ in range(4):
                    key.append((yield out))
            payload = bytearray()
            for i in range(length):
                byte = yield out
                payload.append(byte ^ key[i % 4] if key else byte)
            if one & 8:
                out = [(one & 15, payload)]
                continue
            if one & 15:
                opcode, parts = one & 15, bytearray()
            parts += payload
            if one & 128:
                out = [(opcode, parts)]

    running = frames()
    next(running)

    def feed(data):
        for byte in data:
            yield from running.send(byte)

    return feed


class ByLibrary:
    """Hand the bytes to wslab's own decoder, of either side; return text as str."""

    def __init__(self):
        self.decoder = FrameDecoder("client")
        self.parts = []

    def feed(self, data):
        for frame in self.decoder.feed(data):
            if frame.opcode >= 8:
                yield frame.opcode, frame.payload
                continue
            if frame.opcode:
                self.opcode, self.parts = frame.opcode, []
            self.parts.append(frame.payload)
            if frame.fin:
                whole = b"".join(self.parts)
                yield self.opcode, whole.decode() if self.opcode == 1 else whole


class Quiet(Parser):
    """Return None instead of an empty list."""

    def feed(self, data):
        return super().feed(data) or None


class Offset:
    """Keep a bytearray and a place in it; take frames with struct; cut the front off at the end."""

    def __init__(self):
        self.data, self.message, self.kind = bytearray(), bytearray(), None

    def feed(self, data):
        self.data += data
        at, out = 0, []
        while True:
            view = bytes(self.data[at:])
            if len(view) < 2:
                break
            one, two = view[:2]
            size, skip = two & 127, 2
            try:
                if size == 126:
                    (size,), skip = struct.unpack_from(">H", view, 2), 4
                elif size == 127:
                    (size,), skip = struct.unpack_from(">Q", view, 2), 10
            except struct.error:
                break
            key = view[skip : skip + 4] if two & 128 else b"\0\0\0\0"
            skip += 4 if two & 128 else 0
            if len(view) < skip + size:
                break
            body = bytes(a ^ b for a, b in zip(view[skip : skip + size], itertools.cycle(key)))
            at += skip + size
            match one & 15:
                case 0:
                    self.message += body
                case 1 | 2 as kind:
                    self.kind, self.message = kind, bytearray(body)
                case control:
                    out.append((control, body))
                    continue
            if one >> 7:
                out.append((self.kind, bytes(self.message)))
        del self.data[:at]
        return out


class Recursive(Parser):
    """Call itself for what is left; pairs are lists, payloads bytearrays."""

    def feed(self, data):
        self.buffer += data
        frame = self.take()
        if frame is None:
            return []
        fin, opcode, payload = frame
        found = []
        if opcode >= 8:
            found = [[opcode, bytearray(payload)]]
        else:
            if opcode:
                self.opcode, self.parts = opcode, []
            self.parts.append(payload)
            if fin:
                found = [[self.opcode, bytearray(b"".join(self.parts))]]
        return found + self.feed(b"")


@pytest.mark.parametrize("right", [machine, ByLibrary, Quiet, Offset, Recursive])
def test_other_right_ways_pass(right):
    verdict = check("02 parser", right)
    assert verdict, str(verdict)


def test_the_stub_in_the_notebook_is_not_yet():
    namespace = {"NotYet": NotYet}
    exec(cells("02_frames")["exercise-parser"], namespace)
    assert check("02 parser", namespace["Parser"]).passed is None


class ChunkIsAMessage:
    def feed(self, data):
        return [(data[0] & 15, data[2:])]


class NoLongLength(Parser):
    def take(self):
        if len(self.buffer) < 2:
            return None
        start = 2 + 4 * (self.buffer[1] >> 7)
        end = start + (self.buffer[1] & 127)
        if len(self.buffer) < end:
            return None
        frame, self.buffer = self.buffer[:end], self.buffer[end:]
        body = frame[start:]
        if start == 6:
            body = bytes(byte ^ frame[2 + i % 4] for i, byte in enumerate(body))
        return frame[0] >> 7, frame[0] & 15, body


def little_endian():
    class Int(int):
        @staticmethod
        def from_bytes(data, order):
            return int.from_bytes(data, "little")

    module = solution("02_frames")
    module.int = Int
    return module.Parser()


def always_masked():
    class Wrong(Parser):
        def take(self):
            if len(self.buffer) >= 2:
                self.buffer = bytes((self.buffer[0], self.buffer[1] | 128)) + self.buffer[2:]
            return super().take()

    return Wrong()


def no_unmasking():
    module = solution("02_frames")
    module.unmask = lambda body, key: body
    return module.Parser()


class PingEndsTheMessage(Parser):
    def feed(self, data):
        messages = []
        self.buffer += data
        while (frame := self.take()) is not None:
            fin, opcode, payload = frame
            if opcode != 0:
                self.opcode, self.parts = opcode, []
            self.parts.append(payload)
            if fin:
                messages.append((self.opcode, b"".join(self.parts)))
        return messages


class FramesAreMessages(Parser):
    def feed(self, data):
        self.buffer += data
        return [(frame[1], frame[2]) for frame in iter(self.take, None)]


class SaysItTwice(Parser):
    def feed(self, data):
        return super().feed(data) * 2


class TooEarly(Parser):
    def feed(self, data):
        self.buffer += data
        if len(self.buffer) >= 6:
            return [(self.buffer[0] & 15, b"")]
        return []


class TextOnly(Parser):
    def feed(self, data):
        return [payload for _, payload in super().feed(data)]


class DropsTheRest(Parser):
    def take(self):
        frame = super().take()
        if frame is not None:
            self.buffer = b""
        return frame


class OneFrameAChunk(Parser):
    def feed(self, data):
        self.buffer += data
        frame = self.take()
        if frame is None:
            return []
        kept, self.buffer = self.buffer, b""
        messages = type(self).__mro__[1].feed(self, b"")
        self.buffer = kept
        fin, opcode, payload = frame
        if opcode >= 8:
            return [(opcode, payload)]
        if opcode:
            self.opcode, self.parts = opcode, []
        self.parts.append(payload)
        return [(self.opcode, b"".join(self.parts))] if fin else messages


class ForgetsTheChunkThatIsTooShort(Parser):
    def take(self):
        frame = super().take()
        if frame is None:
            self.buffer = b""
        return frame


class Async(Parser):
    async def feed(self, data):
        return super().feed(data)


class JustBytes(Parser):
    def feed(self, data):
        return b"".join(payload for _, payload in super().feed(data))


class ReturnsTheFirst(Parser):
    def feed(self, data):
        for one in super().feed(data):
            return one
        return None


class LongLengthInFourBytes(Parser):
    def take(self):
        if len(self.buffer) >= 2 and self.buffer[1] & 127 == 127:
            if len(self.buffer) < 6:
                return None
            self.buffer = self.buffer[:2] + bytes(4) + self.buffer[2:6] + self.buffer[6:]
        return super().take()


class OpcodeOfTheLast(Parser):
    def feed(self, data):
        self.buffer += data
        messages = []
        while (frame := self.take()) is not None:
            fin, opcode, payload = frame
            if opcode >= 8:
                messages.append((opcode, payload))
                continue
            if opcode:
                self.parts = []
            self.parts.append(payload)
            if fin:
                messages.append((opcode, b"".join(self.parts)))
        return messages


class NeverEnds(Parser):
    def take(self):
        while len(self.buffer) < 2:
            pass
        return super().take()


@pytest.mark.parametrize(
    ("wrong", "expected", "seen"),
    [
        (ChunkIsAMessage, "out of a frame of 5 bytes, masked", "after byte 1 of 11"),
        (NoLongLength, "out of a frame of 126 bytes, masked", "after byte 132 of 134"),
        (little_endian, "out of a frame of 126 bytes", "nothing after byte"),
        (always_masked, "not masked", "nothing after byte"),
        (no_unmasking, "out of a frame of 5 bytes, masked", "after byte 11 of 11"),
        (PingEndsTheMessage, "in three fragments, with a ping inside", "[ping, "),
        (FramesAreMessages, "in three fragments", "after byte"),
        (TooEarly, "out of a frame of 5 bytes, masked", "after byte 6 of 11"),
        (TextOnly, "a list of (opcode, payload)", "in it"),
        (OneFrameAChunk, "two frames in one chunk", "nothing more after a chunk of"),
        (ForgetsTheChunkThatIsTooShort, "a frame of 5 bytes, masked", "nothing after byte 11"),
        (Async, "feed() to return a list", "a coroutine"),
        (JustBytes, "feed() to return a list", "bytes"),
        (ReturnsTheFirst, "feed() to return a list", "in it"),
        (LongLengthInFourBytes, "65,536 bytes", "after byte"),
        (OpcodeOfTheLast, "in three fragments", "(0, "),
        (SaysItTwice, "nothing more out of a frame of 5 bytes", "after byte 11 of 11"),
    ],
)
def test_plausible_wrong_ones_are_refused(wrong, expected, seen):
    verdict = check("02 parser", wrong)
    assert verdict.passed is False
    assert expected in verdict.expected, verdict
    assert seen in verdict.seen, verdict
    assert verdict.hint or wrong is JustBytes


class ReturnsNothing(Parser):
    def feed(self, data):
        super().feed(data)


class DropsControl(Parser):
    def feed(self, data):
        return [one for one in super().feed(data) if one[0] < 8]


class Decodes(Parser):
    def feed(self, data):
        return [(opcode, payload.decode("latin-1")) for opcode, payload in super().feed(data)]


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [
        (ReturnsNothing, "feed() returned None"),
        (DropsControl, "a control frame (opcode 8 and above) is a message of its own"),
        (Decodes, "a payload is bytes: do not decode it"),
        (TooEarly, "not all of the frame was here"),
        (Parser(), "pass the class itself"),
    ],
)
def test_the_hint_fits_the_slip(wrong, hint):
    for _ in range(5):  # the streams are made afresh each time
        verdict = check("02 parser", wrong)
        assert verdict.passed is False
        assert hint in verdict.hint, verdict


def test_a_not_yet_that_was_left_behind_is_not_yet():
    class NotAllOfIt(Parser):
        def take(self):
            if len(self.buffer) > 2 and self.buffer[1] & 127 == 126:
                raise NotYet
            return super().take()

    assert check("02 parser", NotAllOfIt).passed is None
    assert check("02 parser", None).passed is None


def test_an_endless_loop_is_ended(monkeypatch):
    monkeypatch.setattr("wslab.learn.lessons.lesson_02.TIMEOUT_S", 1.0)
    verdict = check("02 parser", NeverEnds)
    assert verdict.passed is False
    assert "still running: take() at test_lesson_02.py:" in verdict.seen


def test_a_parser_that_raises_shows_the_learners_lines():
    class Raises(Parser):
        def take(self):
            return self.buffer[1], 0, b""

    verdict = check("02 parser", Raises)
    assert verdict.seen.startswith("IndexError: ")
    assert "in take" in verdict.details


def test_the_proxy_is_poisoned_without_a_mask_and_not_with_one(capsys):
    namespace = {"wslab": wslab}
    for name in ("attackers-server", "old-proxy", "attack", "attack-run"):
        exec(cells("02_frames")[name], namespace)
    bare, masked = capsys.readouterr().out.splitlines()
    assert bare.endswith("keeps: {'bank.example/script.js': 'evil code'}")
    assert masked.endswith("keeps:    {}")
