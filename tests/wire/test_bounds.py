"""What a peer can make the record and its readers hold: counted in bytes, and bounded."""

from __future__ import annotations

import random
import tracemalloc

import pytest

from tests.wire.taping import MASK, Compressor, masked, upgrade, websocket
from wslab.wire.connection import messages
from wslab.wire.connection.http_reader import HttpReader
from wslab.wire.connection.reader import ConnectionReader
from wslab.wire.events import DroppedEvent, FaultEvent, FrameEvent, MessageEvent
from wslab.wire.frames.decoder import FrameDecoder
from wslab.wire.frames.deflate import Deflate
from wslab.wire.frames.layout import encode_frame
from wslab.wire.frames.message_state import MessageState
from wslab.wire.tape import cursor
from wslab.wire.tape import reader as readers
from wslab.wire.tape.sampling import SamplingReader
from wslab.wire.tape.tape import Tape

MIB = 2**20
ABSURD = bytes([0x82, 0xFF]) + (8 * 2**30).to_bytes(8, "big") + MASK


class Held:
    """How much more memory is held than at the start; numbers of MiB."""

    def __enter__(self) -> Held:
        tracemalloc.start()
        self._began = tracemalloc.get_traced_memory()[0]
        return self

    def __exit__(self, *exc_info: object) -> None:
        tracemalloc.stop()

    @property
    def now(self) -> float:
        return (tracemalloc.get_traced_memory()[0] - self._began) / MIB


def problems(events) -> list[str]:
    return [event.fault.rule for event in events if isinstance(event, FaultEvent)]


class TestAFrameThatIsTooLong:
    @pytest.mark.parametrize("side", ["client", "server"])
    @pytest.mark.parametrize("is_sampling", [False, True])
    def test_a_head_that_claims_8_gib(self, side, is_sampling):
        tape = Tape(max_bytes=4 * MIB)
        track = websocket(tape)
        kind = SamplingReader if is_sampling else readers.TapeReader
        reader = kind(tape.recorder)
        record = track.client if side == "client" else track.server
        with Held() as held:
            record(ABSURD)
            for number in range(80):
                record(b"x" * MIB)
                if number % 4:
                    reader.sample(100, 100) if is_sampling else reader.poll()
                assert tape.size_bytes <= tape.max_bytes
            assert held.now < 12
            assert tape.dropped.size_bytes > 70 * MIB

    def test_what_follows_it_is_read(self, monkeypatch, tmp_path):
        monkeypatch.setitem(FrameDecoder.__init__.__kwdefaults__, "max_held", 100_000)
        tape = Tape()
        track = websocket(tape)
        long = masked(2, b"abcd" * 50_000)
        for start in range(0, len(long), 7_000):
            track.client(long[start : start + 7_000])
        track.client(masked(1, b"after"))
        cut, after = (event.frame for event in tape.frames)
        assert (cut.size_bytes, cut.payload_size_bytes) == (len(long), 200_000)
        assert cut.payload == b"abcd" * 1024
        assert cut.cut_bytes == 200_000 - 4096
        assert "first 4,096 are kept" in cut.fields[-1].meaning
        assert sum(field.bit_length for field in cut.fields) == 8 * len(long)
        assert after.text == "after"
        assert [message.data for message in tape.messages] == ["after"]
        assert problems(tape.events) == ["a message is read up to a bound"]
        rows = {row["kind"]: row for row in tape.to_rows()}
        assert rows["message"]["text"] == "after"
        tape.to_har(tmp_path / "x.har")
        assert Tape.load(tmp_path / "x.har").events == tape.events

    @pytest.mark.parametrize("many", [1, 7, 1_000, 100_000])
    @pytest.mark.parametrize("opcode", [0, 1, 2, 8, 9])
    def test_any_chunks_and_skipping_give_the_same(self, many, opcode):
        parts = [masked(1, b"before"), masked(opcode, b"\xc3\xa9" * 3_000), masked(1, b"after")]
        data = b"".join(parts)
        whole = FrameDecoder("client", max_held=5_000)
        expected = whole.feed(data)
        assert [frame.size_bytes for frame in expected] == [len(part) for part in parts]
        assert expected[1].cut_bytes == 6_000 - 4_096
        cut = FrameDecoder("client", max_held=5_000)
        pieces = [data[at : at + many] for at in range(0, len(data), many)]
        assert [frame for piece in pieces for frame in cut.feed(piece)] == expected
        skipping = FrameDecoder("client", max_held=5_000)
        assert sum(map(skipping.skip, pieces)) == 3
        assert skipping.opcode_counts == whole.opcode_counts
        for decoder in (whole, cut, skipping):
            assert (decoder.pending.held, decoder.pending.came, decoder.bytes_seen) == (
                0,
                0,
                len(data),
            )
            assert decoder.feed(masked(1, b"?"))[0].text == "?"

    @pytest.mark.parametrize("is_fresh", [False, True])
    def test_compression_goes_on_where_that_can_be(self, is_fresh):
        noise = random.Random(1).randbytes(9_000)
        compress = Compressor()
        sent = []
        for data in (b"one", noise, b"three"):
            payload = Compressor()(data) if is_fresh else compress(data)
            sent.append(encode_frame(2, payload, rsv1=True))
        decoder = FrameDecoder("server", Deflate(server_no_context_takeover=is_fresh), max_held=200)
        one, two, three = decoder.feed(b"".join(sent))
        assert one.content == b"one"
        assert (two.inflated, two.size_bytes) == (None, len(sent[1]))
        assert three.inflated == (b"three" if is_fresh else None)
        assert [fault.rule for fault in three.faults] == (
            [] if is_fresh else ["deflate-context-lost"]
        )


class TestManyConnections:
    def test_what_all_hold_together_counts_and_is_bounded(self):
        """A hundred peers, each with a frame that is nearly complete."""
        tape = Tape(max_bytes=MIB)
        tracks = [websocket(tape, f"c{number}") for number in range(100)]
        head = encode_frame(2, bytes(500_000), mask_key=MASK)
        with Held() as held:
            for start in range(0, 480_000, 16_000):
                for track in tracks:
                    track.client(head[start : start + 16_000])
                    assert tape.size_bytes <= tape.max_bytes
            assert held.now < 3
        for track in tracks:
            track.client(head[480_000:] + masked(1, track.connection_id.encode()))
        texts = [frame.text for frame in tape.frames if frame.opcode == 1]
        assert texts == [track.connection_id for track in tracks][-len(texts) :]
        assert len(texts) > 20

    def test_readers_too(self, monkeypatch):
        monkeypatch.setattr(cursor, "MAX_HELD_BYTES", 2 * MIB)
        tape = Tape(max_bytes=64 * MIB)
        tracks = [websocket(tape, f"c{number}") for number in range(50)]
        reader = tape.reader()
        with Held() as held:
            for nth in range(10):
                for track in tracks:
                    track.client(masked(0 if nth else 2, bytes(40_000), fin=False))
            base = held.now
            told = reader.poll()
            assert len([event for event in told if isinstance(event, FrameEvent)]) == 500
            assert "a message is read up to a bound" in problems(told)
            told.clear()
            assert held.now - base < 5

    def test_a_connection_that_has_ended_counts(self):
        """A peer that connects and says nothing, again and again."""
        tape = Tape(max_bytes=MIB)
        with Held() as held:
            for number in range(20_000):
                tape.open(f"{number:06x}", client_address="127.0.0.1:50000").end()
            assert held.now < 2
        assert tape.dropped.connections > 18_000
        assert tape.size_bytes <= tape.max_bytes

    def test_a_reader_that_keeps_pace_forgets_them(self):
        tape = Tape(max_bytes=64 * 2**10)
        reader = SamplingReader(tape.recorder)
        for number in range(5_000):
            tape.open(f"{number:06x}").end()
            reader.sample(10, 10)
        assert len(reader._finished) < 500
        assert len(reader._cursor.readers) < 10


class TestAMessageThatNeverEnds:
    @pytest.mark.parametrize("size", [0, 10, 60_000])
    def test_its_fragments_are_let_go(self, size, monkeypatch):
        monkeypatch.setattr(messages, "MAX_MESSAGE_BYTES", MIB)
        tape = Tape(max_bytes=64 * MIB)
        track = websocket(tape)
        track.client(masked(1, b"begins", fin=False))
        for _ in range(10_000 if size < 1_000 else 60):
            track.client(masked(0, b"a" * size, fin=False))
        reader = tape.reader()
        with Held() as held:
            assert "a message is read up to a bound" in problems(reader.poll())
            assert held.now < 2
        track.client(masked(0, b"at last") + masked(1, b"next"))
        events = reader.poll()
        assert [event.data for event in events if isinstance(event, MessageEvent)] == ["next"]
        assert len([event for event in events if isinstance(event, FrameEvent)]) == 2

    def test_pings_that_are_too_long_are_not_remembered(self):
        tape = Tape(max_bytes=64 * MIB)
        track = websocket(tape)
        for _ in range(20):
            track.client(masked(9, bytes(MIB)))
        reader = tape.reader()
        with Held() as held:
            assert len([e for e in reader.poll() if isinstance(e, FrameEvent)]) == 20
            assert held.now < 2


class TestGarbage:
    def test_after_very_many_faults_bytes_are_only_counted(self):
        data = b"\x71\x00" * 10_000 + encode_frame(1, b"?")
        whole = FrameDecoder("server")
        found = whole.feed(data)
        assert len(found) == 4_098
        assert found[-1].rule == "too-many-faults"
        assert whole.undecodable_bytes == len(data) - 2 * 4_097
        for many in (1, 3, 5_000):
            skipping, feeding = FrameDecoder("server"), FrameDecoder("server")
            for at in range(0, len(data), many):
                skipping.skip(data[at : at + many])
                feeding.feed(data[at : at + many])
            for decoder in (skipping, feeding):
                assert decoder.opcode_counts == whole.opcode_counts
                assert decoder.undecodable_bytes == whole.undecodable_bytes
            assert skipping.feed(b"") == [whole.stopped]

    def test_frames_after_a_close_frame_count_as_such(self):
        decoder = FrameDecoder("client")
        decoder.feed(masked(8))
        decoder.skip(masked(10) * 5_000)
        assert decoder.stopped is not None
        assert decoder.frames_seen == 4_098

    def test_what_no_receiver_would_mind_goes_on_for_ever(self):
        decoder = FrameDecoder("client")
        assert decoder.skip(masked(10) * 50_000 + masked(1, b"a") * 50_000) == 100_000
        assert decoder.stopped is None


def test_a_track_that_cannot_be_read_is_marked_and_passed_over(monkeypatch, tmp_path):
    """Whatever fails in us on one connection's bytes, no other connection feels it."""
    for name, owner in (
        ("advance", MessageState),
        ("_ask", HttpReader),
        ("_data", ConnectionReader),
    ):
        plain = getattr(owner, name)

        def fails(self, *args, plain=plain, **kwargs):
            if any("bad" in repr(arg) for arg in args):
                raise ZeroDivisionError("what nobody has thought of")
            return plain(self, *args, **kwargs)

        with monkeypatch.context() as patch:
            patch.setattr(owner, name, fails)
            tape = Tape(max_bytes=64 * 2**10)
            good, bad = websocket(tape, "good"), tape.open("other")
            upgrade(bad, target="/bad" if name == "_ask" else "/")
            for _ in range(3):
                bad.client(masked(1, b"bad", fin=name == "_data"))
                bad.client(encode_frame(1, b"bad"))
                good.client(masked(1, b"hello"))
            assert [message.data for message in tape.messages] == ["hello"] * 3
            (event,) = [e for e in tape.events if e.kind == "fault" and "report it" in str(e)]
            assert event.connection_id == "other"
            assert "ZeroDivisionError" in event.fault.message
            sampled = SamplingReader(tape.recorder)
            sampled.sample(5, 5)
            tape.to_har(tmp_path / "x.har")
            tape.to_pcapng(tmp_path / "x.pcapng")
            tape.to_rows()
            good.server(bytes(200_000))  # drops what is older
            bad.end()
            good.client(masked(1, b"still here"))
            assert [message.data for message in tape.messages][-1] == "still here"


class TestWhatDroppingCosts:
    """A full tape decodes what it drops, on the loop of every server: only so much at once."""

    def dropping(self, data: bytes) -> Tape:
        tape = Tape(max_bytes=64 * 2**10)
        track = websocket(tape)
        track.client(data)  # more than there is room for: dropped at once
        return tape

    def test_tiny_fragments_by_the_thousand(self):
        tape = self.dropping(masked(1, fin=False) + masked(0, b"a", fin=False) * 40_000)
        (track,) = tape.connections
        track.client(masked(1, b"?"))
        (fault,) = [event for event in tape.events if isinstance(event, FaultEvent)]
        assert fault.fault.rule == "too-costly"
        assert tape.dropped.size_bytes > 200_000
        assert 2_000 < tape.dropped.frames < 10_000

    def test_fragments_of_some_size_go_on(self):
        tape = self.dropping(masked(1, fin=False) + masked(0, b"a" * 90, fin=False) * 2_600)
        (track,) = tape.connections
        track.client(masked(0, b"!") + masked(1, b"?"))
        assert tape.frames[-1].text == "?"
        assert tape.dropped.frames == 2_601

    @pytest.mark.parametrize("data", [masked(9) * 40_000, masked(1, b"a") * 40_000])
    def test_frames_that_need_no_look_go_on(self, data):
        tape = self.dropping(data)
        (track,) = tape.connections
        track.client(masked(1, b"?"))
        assert tape.dropped.frames == 40_000
        assert [frame.number for frame in tape.frames] == [40_001]

    def test_a_body_of_tiny_chunks_has_no_end(self):
        tape = Tape()
        track = tape.open("a1")
        track.client(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        track.client(b"1\r\na\r\n" * 40_000 + b"0\r\n\r\n" + b"GET / HTTP/1.1\r\n\r\n")
        assert [event.kind for event in tape.events].count("request") == 1
        other = tape.open("a2")
        other.client(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            other.client(b"14\r\n" + b"a" * 20 + b"\r\n")
        other.client(b"0\r\n\r\n")
        other.server(b"HTTP/1.1 204 No Content\r\n\r\n")
        other.client(b"GET / HTTP/1.1\r\n\r\n")
        assert [event.kind for event in tape.events].count("request") == 3


class TestWhatNobodyReads:
    def test_only_its_beginning_is_kept_and_the_rest_is_counted(self, tmp_path):
        tape = Tape()
        track = websocket(tape)
        track.client(masked(0xF))
        for _ in range(100):
            track.unread(b"x" * 10_000)
        assert track.left_out_bytes == 1_000_000 - 64 * 2**10
        assert tape.dropped.size_bytes == track.left_out_bytes
        assert tape.size_bytes < 70_000
        track.end()
        for events in (tape.events, SamplingReader(tape.recorder).sample(100_000, 100_000)):
            (event,) = [event for event in events if isinstance(event, DroppedEvent)]
            assert (event.size_bytes, event.sender) == (track.left_out_bytes, "client")
            assert event.is_unread
        for name, write in (("x.har", tape.to_har), ("x.pcapng", tape.to_pcapng)):
            write(tmp_path / name)
            (event,) = [e for e in Tape.load(tmp_path / name).events if isinstance(e, DroppedEvent)]
            assert event.size_bytes == track.left_out_bytes
            assert Tape.load(tmp_path / name).dropped.size_bytes == track.left_out_bytes


class TestWhatAFewBytesInflateTo:
    """0.6 MB of wire may be 550 MiB of messages, each within websockets' own bound."""

    def tape(self, count: int = 120) -> Tape:
        tape = Tape()
        track = websocket(tape, deflate=True)
        compress = Compressor()
        sent = [masked(2, compress(bytes(MIB)), rsv1=True) for _ in range(count)]
        track.client(b"".join(sent) + masked(1, compress(b"the last"), rsv1=True))
        return tape

    def test_one_call_holds_so_much_and_says_what_is_left_out(self):
        tape = self.tape()
        with Held() as held:
            messages = tape.messages
            assert 20 < len(messages) < 64
            assert held.now < 80
        tracemalloc.start()
        events = tape.events
        assert tracemalloc.get_traced_memory()[1] < 120 * MIB
        tracemalloc.stop()
        told = [event for event in events if isinstance(event, MessageEvent | FaultEvent)]
        assert len(told) == 121
        assert set(problems(events)) == {"content is held up to a bound"}
        assert len([event for event in events if isinstance(event, FrameEvent)]) == 121

    def test_one_by_one_nothing_is_left_out(self):
        tape = self.tape()
        tracemalloc.start()
        sizes = [len(e.data) for e in tape.iter_events() if isinstance(e, MessageEvent)]
        assert tracemalloc.get_traced_memory()[1] < 40 * MIB
        tracemalloc.stop()
        assert sizes == [MIB] * 120 + [8]
        assert list(Tape().iter_events()) == []

    def test_a_sample_takes_a_share_and_the_rest_waits(self):
        tape = self.tape()
        reader = SamplingReader(tape.recorder)
        counts = []
        tracemalloc.start()
        while not reader.is_idle:
            events = reader.sample(1_000, 1_000)
            counts.append(sum(isinstance(event, FrameEvent) for event in events))
            events.clear()
        assert tracemalloc.get_traced_memory()[1] < 40 * MIB
        tracemalloc.stop()
        assert sum(counts) == 121
        assert max(counts) < 16

    def test_a_file_holds_the_bytes_and_not_all_that_they_inflate_to(self, tmp_path):
        tape = self.tape()
        tape.to_har(tmp_path / "x.har")
        assert (tmp_path / "x.har").stat().st_size < 80 * MIB
        assert "left out: see log._wslab" in (tmp_path / "x.har").read_text()
        sizes = [
            len(e.data) for e in Tape.load(tmp_path / "x.har").iter_events() if e.kind == "message"
        ]
        assert sizes == [MIB] * 120 + [8]

    def test_very_many_tiny_frames(self, monkeypatch):
        monkeypatch.setattr(readers, "_MIN_EVENTS", 1_000)
        tape = Tape(max_bytes=64 * 2**10)
        track = websocket(tape)
        track.client(masked(9) * 7_000)
        limit = max(1_000, tape.max_bytes // 11)
        events = tape.events
        (dropped,) = [e for e in events if isinstance(e, DroppedEvent) and e.sender == "client"]
        frames = [event for event in events if isinstance(event, FrameEvent)]
        assert len(frames) == limit
        assert dropped.frames == 7_000 - limit
        assert dropped.size_bytes == 6 * dropped.frames
        assert frames[-1].number == 7_000
        assert sum(1 for event in tape.iter_events() if event.kind == "frame") == 7_000
