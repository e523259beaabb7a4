"""What went wrong with an event, in words."""

from __future__ import annotations

from wslab.hub.client import event_failure
from wslab.hub.client.event_failure import MAX_TOLD
from wslab.hub.protocol.client_events import ErrorReceived


def test_what_a_handler_let_through():
    try:
        int("x")
    except ValueError as exc:
        failure = event_failure.raised(exc, "handler", "chat")
        other = event_failure.raised(exc, "on_open")
    text = "invalid literal for int() with base 10: 'x'"
    assert str(failure) == f"the handler of 'chat' raised ValueError: {text}"
    assert str(other) == f"on_open raised ValueError: {text}"
    assert (failure.code, failure.event) == ("failed", "chat")
    assert 'int("x")' in failure.traceback


def test_what_the_hub_reports_is_bounded():
    told = event_failure.told(ErrorReceived("too-fast", "slow down", "chat", {}, ()))
    assert str(told) == "the hub said about 'chat': slow down (too-fast)"
    assert (told.kind, told.traceback) == ("", "")
    long = event_failure.told(ErrorReceived("c" * 999, "m" * 9999, "e" * 999, {}, ()))
    assert (len(long.code), len(long.message), len(long.event)) == (128, MAX_TOLD, 128)
