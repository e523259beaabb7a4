"""Who handles which event of a client."""

from __future__ import annotations

import pytest

from wslab.hub.client.handlers import Handlers


def test_an_event_has_one_handler_and_the_star_gets_the_rest():
    handlers = Handlers()
    handlers.on("chat", lambda data: None)
    handlers.on("*", lambda event, data: None)
    own, args = handlers.of("chat")
    assert args == ()
    star, args = handlers.of("other")
    assert args == ("other",)
    assert own is not star
    assert handlers.of("*") == (star, ("*",))
    assert handlers.names == ["*", "chat"]
    assert "chat" in handlers
    assert handlers.off("chat")
    assert not handlers.off("chat")
    assert handlers.of("chat") == (star, ("chat",))


@pytest.mark.parametrize("event", ["", "x" * 129, "connect", "disconnect"])
def test_what_no_event_is_called_is_refused(event):
    with pytest.raises(ValueError, match="expected"):
        Handlers().on(event, print)


def test_a_function_of_other_arguments_is_refused():
    with pytest.raises(TypeError, match="a function of one argument, the event's data"):
        Handlers().on("chat", lambda: None)
    with pytest.raises(TypeError, match="a function of two arguments"):
        Handlers().on("*", lambda event: None)
