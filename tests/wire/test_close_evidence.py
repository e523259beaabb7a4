"""What a record tells about a connection's end: literal records, and files of other programs."""

from __future__ import annotations

import pytest

from tests.wire.files.formats import save
from tests.wire.taping import KEY, close, masked
from wslab.wire.close_evidence import CloseEvidence, why_ended
from wslab.wire.frames.layout import encode_frame
from wslab.wire.http.building import build_request, build_response
from wslab.wire.tape.segment import ENDED
from wslab.wire.tape.tape import Tape

BROKE_OFF = (
    "The connection broke off: TCP ended without a close frame, which is reported as 1006 (never "
    "sent; RFC 6455 §7.1.5)."
)


def record(*said, ended_s=None, target="/chat", status=101):
    """Return a tape of one connection: (seconds, who, bytes), after a handshake at 0.1 s."""
    tape = Tape()
    track = tape.open("a1", label="alice")
    track.client(build_request(target, "127.0.0.1:8765", KEY), 0.0)
    if status is not None:
        track.server(build_response(status, key=KEY), 0.1)
    for at_s, who, data in said:
        (track.client if who == "client" else track.server)(data, at_s)
    if ended_s is not None:
        track.ended_s = tape.recorder.record(track, ENDED, b"", ended_s)
    return tape


def text(data):
    return encode_frame(1, data)


CLOSED = encode_frame(8, close(1000))
PING, PONG = encode_frame(9, b"abcd"), masked(10, b"abcd")


@pytest.mark.parametrize(
    ("tape", "expected"),
    [
        pytest.param(
            record((1.0, "client", masked(8, close(1000))), (1.1, "server", CLOSED),
                   ended_s=1.2),
            "alice closed it with 1000 (normal closure: the purpose of the connection has been "
            "fulfilled). It had been open for 0.9 s.",
            id="closed",
        ),
        pytest.param(
            record((2.0, "client", masked(1, b"hi")), (62.5, "server", b""), ended_s=62.6),
            f"{BROKE_OFF} Neither side had sent anything for 60.6 s before. That fits the idle "
            "timeout of a proxy: 60 s are the default of nginx (proxy_read_timeout) and of AWS's "
            "Application Load Balancer. Pings that come more often keep such a connection open. It "
            "had been open for 62.5 s.",
            id="a proxy's 60 s",
        ),
        pytest.param(
            record((2.0, "client", masked(1, b"hi")), ended_s=352.5),
            f"{BROKE_OFF} Neither side had sent anything for 350.5 s before. That fits the idle "
            "timeout of a proxy: 350 s are the default of AWS's Network Load Balancer. Pings that "
            "come more often keep such a connection open. It had been open for 352.4 s.",
            id="a load balancer's 350 s",
        ),
        pytest.param(
            record((2.0, "client", masked(1, b"hi")), ended_s=42.0),
            f"{BROKE_OFF} Neither side had sent anything for 40.0 s before. It had been open for "
            "41.9 s.",
            id="silence that fits nothing",
        ),
        pytest.param(
            record((20.1, "server", PING), (20.2, "client", PONG), (40.1, "server", PING),
                   ended_s=60.2),
            f"{BROKE_OFF} The server had sent a ping that alice never answered, 20.1 s "
            "before. That fits a keepalive that waits 20 s for a pong, as websockets and uvicorn "
            "do (ping_timeout). Neither side had sent anything for 20.1 s before. It had been open "
            "for 60.1 s.",
            id="keepalive, 20 s and 20 s",
        ),
        pytest.param(
            record((20.1, "server", PING), (40.1, "server", encode_frame(
                8, close(1011, "keepalive ping timeout"))), ended_s=50.1),
            "The server closed it with 1011 (internal error: something unexpected happened, such "
            'as an exception in a handler) and the reason "keepalive ping timeout". It had sent a '
            "ping, and alice's pong did not come in time. alice did not answer the close frame. "
            "TCP ended 10.0 s later, as with websockets' close_timeout. The server had sent a ping "
            "that alice never answered, 20.0 s before. Neither side had sent anything "
            "for 20.0 s before. It had been open for 40.0 s.",
            id="keepalive that says so",
        ),
        pytest.param(
            record((1.0, "client", masked(2, bytes(1_200_000))),
                   (1.1, "server", encode_frame(8, close(1009))),
                   (1.2, "client", masked(8, close(1009))), ended_s=1.3),
            "The server closed it with 1009 (message too big: the message is larger than this side "
            "is willing to take). The last that alice had sent was a message of 1,200,000 bytes. "
            "That is more than 1,048,576, which is what websockets takes unless max_size=... says "
            "otherwise. It had been open for 1.0 s.",
            id="1009",
        ),
        pytest.param(
            record((1.0, "client", text(b"unmasked")),
                   (1.1, "server", encode_frame(8, close(1002))), ended_s=1.2),
            "The server closed it with 1002 (protocol error: the other side broke a rule of the "
            "protocol). alice did not answer the close frame. alice had broken a rule. Expected a "
            "masked frame, as from every client; came a frame with MASK 0. It had been open for "
            "1.0 s.",
            id="a broken rule",
        ),
        pytest.param(
            record((1.0, "client", masked(1, b"hello")[:-2]), ended_s=1.2),
            f"{BROKE_OFF} The last frame of alice was cut in the middle. Expected a whole frame of "
            "11 bytes; came 9 bytes. It had been open for 1.1 s.",
            id="cut in a frame",
        ),
        pytest.param(
            record(*((float(at_s), "client", masked(1, b"x")) for at_s in range(1, 30)),
                   ended_s=29.5),
            f"{BROKE_OFF} The server had sent nothing for 29.4 s, while alice still did. It had "
            "been open for 29.4 s.",
            id="one side is silent",
        ),
        pytest.param(
            record((25.0, "server", text(b"2")), (25.1, "client", masked(1, b"3")),
                   (50.0, "server", text(b"2")), ended_s=70.1,
                   target="/socket.io/?EIO=4&transport=websocket"),
            f"{BROKE_OFF} alice had not answered Engine.IO's heartbeat, sent 20.1 s before, which "
            "fits its pingTimeout of 20 s. Neither side had sent anything for 20.1 s before. It "
            "had been open for 70.0 s.",
            id="Engine.IO's heartbeat",
        ),
        pytest.param(
            record((1.0, "server", text(b"hi"))),
            "Its end is not on this record. The last that is there came from the server.",
            id="no end",
        ),
        pytest.param(
            record(ended_s=0.2, status=403),
            "It never became a WebSocket: the server answered 403 Forbidden.",
            id="refused",
        ),
        pytest.param(
            record(ended_s=5.0, status=None), "No handshake is on this record.", id="no answer"
        ),
    ],
)  # fmt: skip
def test_what_a_record_tells(tape, expected):
    assert tape.why_ended() == expected
    assert tape.why_ended("alice") == expected


@pytest.mark.parametrize("name", ["har", "pcapng"])
def test_a_file_tells_the_same(tmp_path, name):
    tape = record((2.0, "client", masked(1, b"hi")), ended_s=62.6)
    loaded = Tape.load(save(tape, tmp_path, name))
    [track] = loaded.connections
    told = loaded.why_ended(track.connection_id)
    assert "Neither side had sent anything for 60.6 s before. That fits the idle" in told


def test_a_pong_answers_the_pings_before_it():
    tape = record(
        *((float(number), "server", encode_frame(9, bytes([number]))) for number in (1, 2)),
        (2.1, "client", masked(10, b"\2")),
        ended_s=3.0,
    )  # fmt: skip
    assert "ping" not in tape.why_ended()


def test_whoever_pings_without_end_costs_little():
    evidence = CloseEvidence()
    tape = record(
        *((1.0 + n / 1000, "client", masked(9, bytes(125))) for n in range(5000)), ended_s=9
    )
    for event in tape.iter_events():
        evidence.see(event)
    assert sum(map(len, evidence._pings.values())) == 16
    assert (
        "The client had sent 16 pings that the server never answered, the first " in evidence.told()
    )


def test_of_which_connection():
    tape = record(ended_s=1.0)
    tape.open("b2", label=None)
    assert "No handshake" in tape.why_ended("b2")
    for wanted, found in ((None, 2), ("carol", 0)):
        with pytest.raises(LookupError, match=rf"found {found}; it has: a1 \(alice\), b2"):
            tape.why_ended(wanted)


def test_what_was_dropped_is_said():
    tape = Tape(max_bytes=2**16)
    track = tape.open("a1")
    track.client(build_request("/", "h", KEY))
    track.server(build_response(101, key=KEY))
    for _ in range(200):
        track.client(masked(1, bytes(1000)))
    track.end()
    assert why_ended(tape.events).endswith("no longer on the tape, and not counted here.")
