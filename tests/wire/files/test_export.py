"""Rows, and files read back: nothing is lost, nothing secret is kept."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading

import pytest

from tests.wire.capture import SECRETS, capture
from tests.wire.taping import (
    BROKEN,
    MASK,
    Compressor,
    close,
    differences,
    masked,
    random_secret,
    random_session,
    upgrade,
    websocket,
)
from wslab.wire.events import DroppedEvent, MessageEvent
from wslab.wire.files.rows import COLUMNS
from wslab.wire.frames.layout import encode_frame
from wslab.wire.tape.snapshot import BadFile
from wslab.wire.tape.tape import Tape

# Times in a capture are whole nanoseconds.
FORMATS = pytest.mark.parametrize(
    ("name", "within_s"), [("har", 0.0), ("pcapng", 1e-6)], ids=["har", "pcapng"]
)


def save(tape: Tape, path, name: str, *, reveal: bool = False):
    path = path / f"tape.{name}"
    {"har": tape.to_har, "pcapng": tape.to_pcapng}[name](path, reveal=reveal)
    return path


class TestRows:
    def rows(self) -> list[dict]:
        tape = Tape()
        track = websocket(tape)
        track.client(masked(1, b"Hello"))
        track.server(encode_frame(2, b"\xff\x00"))
        track.server(encode_frame(9, b"?") + encode_frame(8, close(1001, "bye")))
        track.client(masked(10, b"?") + masked(3, b"?"))
        track.end()
        rows = tape.to_rows()
        assert rows == tape.to_rows()
        assert [row["kind"] for row in rows] == [event.kind for event in tape.events]
        assert [row["at_s"] for row in rows] == [event.at_s for event in tape.events]
        return rows

    def test_every_row_has_every_column_in_order(self):
        for row in self.rows():
            assert list(row) == list(COLUMNS)
            assert row["connection_id"] == "a1"
            assert row["label"] == "alice"

    def test_what_they_say(self):
        shown = [
            {name: value for name, value in list(row.items())[3:] if value is not None}
            for row in self.rows()
        ]
        assert shown[0] == {
            "sender": "client", "kind": "opened", "text": "127.0.0.1:50001 to 127.0.0.1:8765",
        }  # fmt: skip
        assert (shown[1]["text"], shown[2]["status"]) == ("GET /chat HTTP/1.1", 101)
        assert shown[3] == {
            "sender": "client", "kind": "frame", "number": 1, "opcode": 1, "name": "text",
            "fin": True, "masked": True, "compressed": False, "size_bytes": 11,
            "payload_bytes": 5, "text": "Hello",
        }  # fmt: skip
        assert shown[4] == {
            "sender": "client", "kind": "message", "opcode": 1, "name": "text",
            "compressed": False, "fragments": 1, "size_bytes": 11, "payload_bytes": 5,
            "text": "Hello",
        }  # fmt: skip
        assert (shown[5]["hex"], shown[6]["hex"], "text" in shown[6]) == ("ff00", "ff00", False)
        assert (shown[7]["name"], shown[7]["hex"]) == ("ping", "3f")
        assert (shown[9]["kind"], shown[9]["status"], shown[9]["text"]) == ("close", 1001, "bye")
        assert shown[11]["kind"] == "pong"
        assert shown[11]["round_trip_s"] >= 0
        assert (shown[12]["name"], shown[13]["kind"]) == ("reserved 0x3", "fault")
        assert shown[13]["text"].startswith("reserved-opcode: Expected ")
        assert shown[-1] == {"sender": "server", "kind": "ended", "text": "not clean"}

    def test_dropped_and_bodies(self):
        tape = Tape(max_bytes=2**16)
        track = websocket(tape)
        for _ in range(8000):
            track.client(masked(1, b"Hello"))
        row = next(row for row in tape.to_rows() if row["kind"] == "dropped")
        assert row["text"] == f"{tape.dropped.frames} frames"
        http = Tape()
        track = http.open("a1")
        track.client(b"GET / HTTP/1.1\r\n\r\n")
        track.server(b"HTTP/1.1 200 OK\r\n\r\n")
        track.server(b"data: 1\n\n")
        assert http.to_rows()[-1]["hex"] == b"data: 1\n\n".hex()

    def test_secrets(self):
        tape = Tape()
        upgrade(tape.open("a1"), target="/?token=s3cretS3cret")
        assert "s3cret" not in repr(tape.to_rows())
        assert "s3cretS3cret" in repr(tape.to_rows(reveal=True))

    def test_pandas_is_not_loaded(self):
        self.rows()
        assert "pandas" not in sys.modules


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


class TestBadFiles:
    def fails(self, path, data: bytes) -> str:
        path = path / "some.file"
        path.write_bytes(data)
        with pytest.raises(BadFile) as error:
            Tape.load(path)
        message = str(error.value)
        assert message.startswith("expected ")
        assert "some.file" in message
        assert ": " in message
        return message

    @pytest.mark.parametrize(
        ("data", "advice"),
        [
            (b"", "it is empty"),
            (b"\x1f\x8b\x08\x00", "unpack it first"),
            (b"\xd4\xc3\xb2\xa1" + bytes(20), "that is pcap, the older format"),
            (b"hello", "write one with tape.to_har"),
            (b"{}", "HTTP Archive"),
            (b"{", "HTTP Archive"),
            (b'{"log": {"entries": 5}}', "HAR 1.2"),
            (b'{"log": {"entries": [{}]}}', "got entry 0"),
            (b'{"log": {"entries": [], "_wslab": {"format": 99}}}', "a newer wslab"),
            (b'{"log": {"entries": [], "_wslab": []}}', "format 1"),
            (b'{"log": {"entries": [], "_wslab": {"format": 1}}}', "load the original"),
            (b'{"log": "\xff"}', "UTF-8"),
            (b"\x0a\x0d\x0d\x0a\x00\x00\x00\x1c\x1a\x2b\x3c\x4d", "little-endian"),
            (b"\x0a\x0d\x0d\x0a\x1c\x00\x00\x00\x4d\x3c\x2b\x1a", "cut off"),
        ],
    )
    def test_says_what_is_wrong(self, tmp_path, data, advice):
        assert advice in self.fails(tmp_path, data)

    def test_a_missing_file(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            Tape.load(tmp_path / "nothing.har")

    def test_a_capture_of_another_program(self, tmp_path):
        data = save(Tape(), tmp_path, "pcapng").read_bytes()
        size = int.from_bytes(data[4:8], "little")
        assert "another program wrote it" in self.fails(tmp_path, data[:size])

    def test_a_capture_cut_anywhere(self, tmp_path):
        tape = Tape()
        websocket(tape).client(masked(1, b"Hello"))
        data = save(tape, tmp_path, "pcapng").read_bytes()
        for cut in range(1, len(data), 7):
            path = tmp_path / "cut"
            path.write_bytes(data[:cut])
            try:
                loaded = Tape.load(path)
            except BadFile:
                continue
            assert len(loaded.events) <= len(tape.events)  # cut between two blocks

    def test_changed_bytes_never_raise_anything_else(self, tmp_path):
        source = random.Random(9)
        tape = Tape()
        random_session(tape, source, ["secret"] * 5)
        path = tmp_path / "changed"
        for name in ("har", "pcapng"):
            clean = save(tape, tmp_path, name).read_bytes()
            for _ in range(150):
                data = bytearray(clean)
                for _ in range(3):
                    data[source.randrange(len(data))] = source.randrange(256)
                path.write_bytes(data)
                try:
                    Tape.load(path).read()
                except BadFile:
                    pass

    def test_columns_that_do_not_fit_together(self, tmp_path):
        tape = Tape()
        websocket(tape)
        har = json.loads(save(tape, tmp_path, "har").read_text())
        for name, value in [
            ("what", [9, 9, 9]), ("connection", [5, 5, 5]), ("size_bytes", [10**9] * 3),
            ("at_s", []), ("data", "!"), ("connections", [{}]), ("data", ""),
        ]:  # fmt: skip
            changed = json.loads(json.dumps(har))
            changed["log"]["_wslab"][name] = value
            assert "load the original file" in self.fails(tmp_path, json.dumps(changed).encode())


class TestWholeOrNotAtAll:
    """A file that is written takes the old one's place when it is complete, and not before."""

    @pytest.fixture
    def tape(self) -> Tape:
        tape = Tape()
        track = websocket(tape)
        for _ in range(50):
            track.client(masked(1, b"x" * 2000))
        return tape

    @pytest.mark.parametrize("name", ["har", "pcapng"])
    @pytest.mark.parametrize("is_there", [True, False])
    def test_a_disk_that_is_full(self, tape, tmp_path, name, is_there):
        resource = pytest.importorskip("resource")
        path = tmp_path / f"tape.{name}"
        if is_there:
            save(Tape(), tmp_path, name)
        before = path.read_bytes() if is_there else None
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
        try:
            with pytest.raises(OSError, match="File too large"):
                save(tape, tmp_path, name)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, ignored)
        assert (path.read_bytes() if is_there else None) == before
        assert [each.name for each in tmp_path.iterdir()] == ([path.name] if is_there else [])

    @pytest.mark.parametrize("name", ["har", "pcapng"])
    def test_an_interrupt_while_writing(self, tape, tmp_path, name, monkeypatch):
        path = save(tape, tmp_path, name)
        before = path.read_bytes()
        monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            save(Tape(), tmp_path, name)
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]

    @pytest.mark.skipif(sys.platform == "win32", reason="POSIX modes and links")
    def test_modes_and_links_stay(self, tape, tmp_path):
        (tmp_path / "away").mkdir()
        real = tmp_path / "away" / "real.har"
        real.write_bytes(b"old")
        real.chmod(0o604)
        (tmp_path / "tape.har").symlink_to(real)
        path = save(tape, tmp_path, "har")
        assert path.is_symlink()
        assert real.stat().st_mode & 0o777 == 0o604
        assert len(Tape.load(path).messages) == 50
        mask = os.umask(0o027)
        try:
            assert save(tape, tmp_path, "pcapng").stat().st_mode & 0o777 == 0o640
        finally:
            os.umask(mask)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name here")
    def test_a_pipe_is_written_to(self, tape, tmp_path):
        os.mkfifo(tmp_path / "tape.har")
        read: list[bytes] = []
        thread = threading.Thread(target=lambda: read.append((tmp_path / "tape.har").read_bytes()))
        thread.start()
        save(tape, tmp_path, "har")
        thread.join(10)
        assert json.loads(read[0])["log"]["version"] == "1.2"
