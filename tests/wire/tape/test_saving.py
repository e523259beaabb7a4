"""What is saved reads as the same events again, and keeps nothing secret."""

from __future__ import annotations

import random

import pytest

from tests.wire.capture import SECRETS, capture
from tests.wire.files.formats import save
from tests.wire.taping import (
    BROKEN,
    MASK,
    Compressor,
    differences,
    masked,
    random_secret,
    random_session,
    websocket,
)
from wslab.wire.events import DroppedEvent, MessageEvent
from wslab.wire.frames.layout import encode_frame
from wslab.wire.tape.tape import Tape

# Times in a capture are whole nanoseconds.
FORMATS = pytest.mark.parametrize(
    ("name", "within_s"), [("har", 0.0), ("pcapng", 1e-6)], ids=["har", "pcapng"]
)


class TestRoundTrip:
    @FORMATS
    @pytest.mark.parametrize("seed", range(60))
    def test_any_session(self, tmp_path, name, within_s, seed):
        source = random.Random(seed)
        secrets = [random_secret(source) for _ in range(5)]
        tape = Tape(name="any")
        random_session(tape, source, secrets)
        for reveal in (False, True):
            path = save(tape, tmp_path, name, reveal=reveal)
            loaded = Tape.load(path)
            events = tape.read(reveal=reveal)
            assert differences(events, loaded.read(reveal=reveal), within_s) == []
            assert (loaded.name, loaded.began_at) == ("any", tape.began_at)
            if not reveal:
                data = path.read_bytes() + b"".join(chunk.data for chunk in loaded.chunks())
                assert [secret for secret in secrets if secret.encode() in data] == []

    @FORMATS
    @pytest.mark.parametrize("nth", range(len(BROKEN)))
    def test_heads_that_cannot_be_read(self, tmp_path, name, within_s, nth):
        secret = "Qs3cretQ1s3cret9"
        data = BROKEN[nth].replace(b"%s", secret.encode())
        tape = Tape()
        for sender in ("client", "server"):
            for size in (1, 7, 1000):
                for ends in (False, True):
                    track = tape.open(f"{sender}-{size}-{ends}")
                    record = track.client if sender == "client" else track.server
                    for at in range(0, len(data), size):
                        record(data[at : at + size])
                    record(secret.encode() + b": more\r\n")
                    if ends:
                        track.end()
        loaded = Tape.load(save(tape, tmp_path, name))
        assert differences(tape.events, loaded.events, within_s) == []
        assert any(event.kind == "fault" for event in loaded.events)
        kept: dict[str, bytes] = {}
        for chunk in loaded.chunks():
            key = chunk.track.connection_id
            kept[key] = kept.get(key, b"") + chunk.data
        assert [key for key, data in kept.items() if b"s3cret" in data] == []
        # As many bytes as came, so that what is said of positions stays true.
        sizes = {len(data) for data in kept.values()}
        assert sizes == {len(data) + len(secret) + 8}

    @FORMATS
    @pytest.mark.parametrize("ends", [False, True])
    def test_bytes_that_wait_for_more(self, tmp_path, name, within_s, ends):
        tape = Tape()
        one, two = tape.open("one"), tape.open("two")
        one.client(b"GET /?token=s3cretS3cret HTTP/1.1\r\nCookie: s3cret")
        upgraded = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
        two.client(upgraded + b"GET /?token=s3cretS3cret HTTP/1.1\r\n")
        if ends:
            one.end()
            two.end()
        loaded = Tape.load(save(tape, tmp_path, name))
        assert differences(tape.events, loaded.events, within_s) == []
        kept = b"".join(chunk.data for chunk in loaded.chunks())
        assert b"s3cret" not in kept
        assert b"GET /xxxxxxxxxxxxxxxxxxx HTTP/1.1\r\nCookie: xxxxxx" in kept
        revealed = Tape.load(save(tape, tmp_path, name, reveal=True))
        assert sorted(b"".join(chunk.data for chunk in revealed.chunks())) == sorted(
            b"".join(chunk.data for chunk in tape.chunks())
        )

    @FORMATS
    def test_revealed_files_keep_the_bytes(self, tmp_path, name, within_s):
        tape = Tape()
        random_session(tape, random.Random(7), ["secret" * 4] * 5)
        loaded = Tape.load(save(tape, tmp_path, name, reveal=True))

        def sent(tape: Tape) -> dict[tuple[str, str], bytes]:
            found: dict[tuple[str, str], bytes] = {}
            for chunk in tape.chunks():
                key = (chunk.track.connection_id, chunk.what)
                found[key] = found.get(key, b"") + chunk.data
            return found

        assert sent(loaded) == sent(tape)
        # What was revealed to a file is still hidden from who did not ask for it.
        assert differences(tape.events, loaded.events, within_s) == []

    @FORMATS
    @pytest.mark.parametrize("deflate", [False, True])
    def test_a_tape_that_dropped_its_beginning(self, tmp_path, name, within_s, deflate):
        tape = Tape(max_bytes=2**16)
        tracks = [websocket(tape, f"c{number}", deflate=deflate) for number in range(3)]
        forgotten = websocket(tape, "forgotten")
        forgotten.end()
        compress, source = [Compressor() for _ in tracks], random.Random(5)
        for number in range(3000):
            nth = source.randrange(3)
            text = f"message {number} of many, many".encode()
            data = compress[nth](text) if deflate else text
            frame = encode_frame(1, data, rsv1=deflate, mask_key=MASK)
            tracks[nth].client(frame[:3])
            tracks[nth].client(frame[3:])
            if number % 50 == 0:
                tracks[nth].server(encode_frame(9, b"%d" % number))
                tracks[nth].client(masked(10, b"%d" % number))
        tracks[0].end()
        assert tape.dropped.connections == 1
        loaded = Tape.load(save(tape, tmp_path, name))
        events = loaded.events
        assert differences(tape.events, events, within_s) == []
        assert loaded.dropped == tape.dropped
        assert sum(isinstance(event, DroppedEvent) for event in events) == 6
        texts = [event.data for event in events if isinstance(event, MessageEvent)]
        assert texts == [f"message {n} of many, many" for n in range(3000)][-len(texts) :]
        # And once more, from the copy.
        (tmp_path / "again").mkdir()
        again = Tape.load(save(loaded, tmp_path / "again", name))
        assert differences(tape.events, again.events, within_s) == []

    @FORMATS
    @pytest.mark.parametrize("size", range(0, 160, 23))
    def test_http_that_dropped_its_beginning(self, tmp_path, name, within_s, size):
        """Wherever in an exchange the tape was cut."""
        tape = Tape(max_bytes=2**16)
        tape.open("first").client(b"G" * size)
        track = tape.open("a1")
        for number in range(700):
            track.client(b"GET /%d HTTP/1.1\r\nHost: x\r\n" % number)
            track.client(b"\r\n")
            track.server(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe")
            track.server(b"llo\r\n0\r\n\r\n")
        assert tape.dropped
        loaded = Tape.load(save(tape, tmp_path, name))
        assert differences(tape.events, loaded.events, within_s) == []

    @FORMATS
    def test_an_open_fragmented_message_where_the_tape_was_cut(self, tmp_path, name, within_s):
        tape = Tape(max_bytes=2**16)
        track = websocket(tape)
        track.server(encode_frame(1, b"", fin=False))
        for number in range(5000):
            track.server(encode_frame(0, f"é{number}".encode(), fin=False))
        loaded = Tape.load(save(tape, tmp_path, name))
        assert tape.dropped
        assert differences(tape.events, loaded.events, within_s) == []
        assert loaded.frames[-1].text == "é4999"

    @FORMATS
    def test_an_open_compressed_message_is_passed_over(self, tmp_path, name, within_s):
        tape = Tape(max_bytes=2**16)
        track = websocket(tape, deflate=True)
        compress = Compressor()
        data = random.Random(1).randbytes(80_000)
        payload = compress(data)
        track.server(encode_frame(2, payload[:10], rsv1=True, fin=False))
        for at in range(10, len(payload) - 100, 100):
            track.server(encode_frame(0, payload[at : at + 100], fin=False))
        last = len(payload) - (len(payload) - 10) % 100 if (len(payload) - 10) % 100 else -100
        track.server(encode_frame(0, payload[last:]))
        # It refers back to the end of the one before.
        track.server(encode_frame(2, compress(data[-9000:]), rsv1=True))
        assert tape.dropped
        loaded = Tape.load(save(tape, tmp_path, name))
        expected = [event for event in tape.events if event.kind == "message"]
        found = [event for event in loaded.events if event.kind == "message"]
        assert differences(expected, found, within_s) == []
        assert len(found) == 1
        assert not [event for event in loaded.events if event.kind == "fault"]

    @FORMATS
    def test_an_empty_tape(self, tmp_path, name, within_s):
        loaded = Tape.load(save(Tape(), tmp_path, name))
        assert loaded.events == ()
        assert loaded.connections == ()

    @FORMATS
    def test_a_tape_bigger_than_the_usual_bound(self, tmp_path, name, within_s):
        tape = Tape(max_bytes=40 * 2**20)
        track = websocket(tape)
        for _ in range(5):
            track.server(encode_frame(2, bytes(2**22)))
        loaded = Tape.load(save(tape, tmp_path, name))
        assert not loaded.dropped
        assert [len(event.data) for event in loaded.messages] == [2**22] * 5

    @FORMATS
    def test_a_loaded_tape_goes_on_recording(self, tmp_path, name, within_s):
        tape = Tape()
        websocket(tape).end()
        loaded = Tape.load(save(tape, tmp_path, name))
        last_s = loaded.events[-1].at_s
        track = websocket(loaded, "later")
        assert track.opened_s >= last_s
        assert loaded.connections[-1] is track
        assert [event.connection_id for event in loaded.events].count("later") == 3

    @FORMATS
    def test_a_real_session(self, tmp_path, name, within_s, session):
        tape, _ = session
        path = save(tape, tmp_path, name)
        data = path.read_bytes()
        assert not any(secret.encode() in data for secret in SECRETS)
        loaded = Tape.load(path)
        assert differences(tape.events, loaded.events, within_s) == []
        assert [track.label for track in loaded.connections] == ["alice", "bob", "a browser"]
        revealed = save(tape, tmp_path, name, reveal=True)
        assert b"Bearer " + SECRETS[2].encode() in b"".join(
            chunk.data for chunk in Tape.load(revealed).chunks()
        )


@pytest.fixture(scope="module")
def session():
    return capture()
