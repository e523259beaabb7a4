"""The state of a connection whose beginning was dropped, as plain values, and back again.

Its rule: whoever goes on from the saved state reads the same frames as whoever was there. What is
not saved is a message under way that is compressed: there the caller goes on to its end first; and
pings, which a story forgets with the bytes that it skips.
"""

from __future__ import annotations

import base64
import dataclasses
import zlib
from typing import Any

from ..connection import Handover, Story, _Half
from ..frames.decoder import FrameDecoder
from ..frames.deflate import Deflate, Inflater
from ..frames.violations import Fault
from ..http.bodies import ChunkedReader
from ..http.head_reader import HeadReader
from ..http.heads import Request
from ..http.redaction import redact
from ..sender import Sender

__all__ = ["is_settled", "state_of", "story_from", "unfinished_frames"]

State = dict[str, Any]


def is_settled(story: Story) -> bool:
    """Tell whether all that matters of a story can be saved: no compressed message is open."""
    return not any(
        half.decoder is not None and half.decoder._message and half.decoder._compressed
        for half in story._halves.values()
    )


def unfinished_frames(story: Story) -> dict[Sender, bytes]:
    """Return the bytes of each side's frame that is not complete: they belong to what follows."""
    return {
        sender: bytes(half.decoder._buffer)
        for sender, half in story._halves.items()
        if half.decoder is not None and half.decoder._buffer and not half.decoder._cut
    }


def state_of(story: Story) -> State:
    """Return a settled story's state, without the bytes of what is not complete, for JSON."""
    state: State = {"number": story._number}
    over = story.handover
    if over is not None:
        handover = dataclasses.asdict(over)
        if not story.reveal:
            request, response = story.retell(None)
            handover["request"] = request.request.raw  # type: ignore[attr-defined]
            handover["response"] = response.response.raw  # type: ignore[attr-defined]
        handover["request"] = _text(handover["request"])
        handover["response"] = _text(handover["response"])
        state["handover"] = handover
    if story._request is not None:
        state["request"] = _text(redact(story._request, story.reveal).raw)
        state["request_s"] = story._request_s
    for sender, half in story._halves.items():
        state[sender] = {
            "bytes": half.bytes,
            "frames": half.frames,
            "close_seen": half.close_seen,
            "is_broken": half.heads is None,
            "body_left": half.body_left,
        }
        if half.chunked is not None:
            chunked = {name: getattr(half.chunked, name) for name in ChunkedReader.__slots__}
            state[sender]["chunked"] = chunked | {"_line": _text(half.chunked._line)}
        if half.decoder is not None:
            state[sender]["decoder"] = _state_of_decoder(half.decoder)
    return state


def _state_of_decoder(decoder: FrameDecoder) -> State:
    deflate, inflater = decoder.deflate, decoder._inflater
    state: State = {
        "deflate": dataclasses.asdict(deflate) if deflate is not None else None,
        "frames_seen": decoder.frames_seen,
        "bytes_seen": decoder.bytes_seen - (0 if decoder._cut else len(decoder._buffer)),
        "faulty": decoder._faulty,
        "undecodable_bytes": decoder.undecodable_bytes,
        "stopped": dataclasses.asdict(decoder.stopped) if decoder.stopped is not None else None,
        "counts": decoder._counts,
        "message": int(decoder._message),
        "carry": _text(decoder._carry),
        "is_opaque": decoder._is_opaque,
        "close_seen": decoder._close_seen,
        "stop_is_told": decoder._stop_is_told,
    }
    if decoder._cut:  # part of this frame is gone for good: its state stands for the bytes
        state["cut"] = {
            "buffer": _text(bytes(decoder._buffer)),
            "need": decoder._need,
            "cut": decoder._cut,
            "left": decoder._left,
        }
    if inflater is not None:
        state["is_lost"] = inflater._is_lost
        state["window"] = _text(b"".join(inflater._recent)[-(2**15) :])
    return state


def story_from(state: State, connection_id: str) -> Story:
    """Return a story that goes on from a saved state."""
    story = Story(connection_id)
    story._number = state["number"]
    if "handover" in state:
        heads = state["handover"]
        story.handover = Handover(
            heads["request_s"], _bytes(heads["request"]),
            heads["response_s"], _bytes(heads["response"]),
        )  # fmt: skip
    if "request" in state:
        request, _ = HeadReader("client").feed(_bytes(state["request"]))
        story._request = request if isinstance(request, Request) else None
        story._request_s = state["request_s"]
    for sender, half in story._halves.items():
        _fill_half(half, state[sender], sender)
    return story


def _fill_half(half: _Half, state: State, sender: Sender) -> None:
    half.bytes, half.frames = state["bytes"], state["frames"]
    half.close_seen, half.body_left = state["close_seen"], state["body_left"]
    if state["is_broken"]:
        half.heads = None
    if "chunked" in state:
        half.chunked = ChunkedReader()
        for name, value in state["chunked"].items():
            setattr(half.chunked, name, _bytes(value) if name == "_line" else value)
    if "decoder" in state:
        half.decoder = _decoder_from(state["decoder"], sender)


def _decoder_from(state: State, sender: Sender) -> FrameDecoder:
    deflate = Deflate(**state["deflate"]) if state["deflate"] is not None else None
    decoder = FrameDecoder(sender, deflate)
    decoder.frames_seen, decoder.bytes_seen = state["frames_seen"], state["bytes_seen"]
    decoder.undecodable_bytes = state["undecodable_bytes"]
    decoder.stopped = Fault(**state["stopped"]) if state["stopped"] is not None else None
    decoder._counts = list(state["counts"])
    decoder._message, decoder._carry = state["message"], _bytes(state["carry"])
    decoder._is_opaque, decoder._close_seen = state["is_opaque"], state["close_seen"]
    decoder._stop_is_told = state["stop_is_told"]
    decoder._faulty = state.get("faulty", 0)
    if "cut" in state:
        cut = state["cut"]
        decoder._buffer += _bytes(cut["buffer"])
        decoder._need, decoder._cut, decoder._left = cut["need"], cut["cut"], cut["left"]
    inflater: Inflater | None = decoder._inflater
    if inflater is not None:
        window = _bytes(state["window"])
        inflater._is_lost = state["is_lost"]
        inflater._stream = zlib.decompressobj(inflater._wbits, zdict=window)
        inflater._remember(window)
    return decoder


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
