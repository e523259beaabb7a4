"""Events are frozen values; a frame's event is a window on its frame."""

from __future__ import annotations

import dataclasses

import pytest

from wslab.wire import events
from wslab.wire.events import Event, FrameEvent, ResponseEvent
from wslab.wire.frames.decoder import FrameDecoder
from wslab.wire.frames.frame import Frame
from wslab.wire.http.building import build_request, build_response
from wslab.wire.http.head_reader import HeadReader
from wslab.wire.http.heads import Request, Response

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
KINDS = [cls for name in events.__all__ if issubclass(cls := getattr(events, name), Event)]


def frame_event(data: str) -> FrameEvent:
    (frame,) = FrameDecoder("client").feed(bytes.fromhex(data))
    assert isinstance(frame, Frame)
    return FrameEvent(at_s=1.5, connection_id="a1", sender="client", number=7, frame=frame)


def test_every_kind_has_a_name_of_its_own():
    assert len(KINDS) == 13
    assert len({cls.kind for cls in KINDS}) == 13


@pytest.mark.parametrize("cls", KINDS)
def test_every_event_begins_with_when_where_and_who(cls):
    names = [field.name for field in dataclasses.fields(cls)]
    assert names[:3] == ["at_s", "connection_id", "sender"]
    assert all(field.kw_only for field in dataclasses.fields(cls))


def test_an_event_is_a_value():
    event = frame_event("8185 37fa213d 7f9f4d5158")
    assert event == frame_event("8185 37fa213d 7f9f4d5158")
    assert event != dataclasses.replace(event, sender="server")
    assert hash(event) == hash(frame_event("8185 37fa213d 7f9f4d5158"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.at_s = 0.0


@pytest.mark.parametrize("data", ["8185 37fa213d 7f9f4d5158", "4900", "a282 00000000 ffff"])
def test_a_frames_event_shows_its_frame(data):
    event = frame_event(data)
    for name in (
        "fin", "rsv1", "rsv2", "rsv3", "opcode", "label", "masked", "mask_key", "payload", "text",
        "raw", "size_bytes", "fields",
    ):  # fmt: skip
        assert getattr(event, name) == getattr(event.frame, name)


def test_a_response_with_its_request_is_a_handshake():
    request, _ = HeadReader("client").feed(build_request("/", "x", KEY))
    response, _ = HeadReader("server").feed(build_response(101, key=KEY))
    assert isinstance(request, Request)
    assert isinstance(response, Response)
    values = {"at_s": 0.0, "connection_id": "a1", "sender": "server", "response": response}
    handshake = ResponseEvent(request=request, **values).handshake
    assert handshake is not None
    assert handshake.accepted
    assert ResponseEvent(request=None, **values).handshake is None
