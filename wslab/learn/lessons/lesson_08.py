"""The check of lesson 08: a cell that may be run again, and the page that rehearses an effect.

Its rule: the learner's cell is called three times on one event loop, which lives on between the
runs as a notebook's does; before the third the server closes what it had opened. Every text is
random, and the wire alone says how many connections heard it and how often it came back. Whether
a run replaces a connection that lives, or leaves it alone, is the learner's affair.
"""

from __future__ import annotations

import asyncio
import functools
import html
import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.protocol import State

from ...errors import LoopBlocked
from ...failures import in_words
from ...loops.portal import Portal
from ...server.handler import handler_name
from .. import learner_loop
from ..exercises import Miss, exercise
from ..page_look import PAGE_LOOK
from ..testbench import TestBench, describe, nonce

__all__ = ["effect_page"]

RUN_S = 3.0  # for one run of the cell
OPEN_S = 1.5  # from its end until its connection is there
SETTLE_S = 0.5  # from its end until an old connection is gone
ANSWER_S = 1.5  # for a text to come back
TEXTS = 3  # after each run
TRIES = 4  # for a text whose connection was just being replaced

_CLOSE_OLD = (
    "a new value for a name closes nothing: before the cell opens a connection, it has to close "
    "the one that its last run opened, and wait until that is closed"
)
_CLOSE_FIRST = (
    "close the old connection first, and wait for that (`await old.close()`), then open the new "
    "one; in between, both are there and both hear"
)
_GROWS = (
    "what else does a run add? A function in a list, or a task, is a thing that the last run left "
    "behind, just as the connection is"
)
_EARLIER = (
    "after the first run already: functions of an earlier try are still in `handlers`, or the "
    "cell answers twice by itself. Run the cell with `handlers = []` again, then the exercise's, "
    "then this one"
)
_DEAD = (
    "a name that holds a connection does not say that it lives: ask its state, or open a new one "
    "in each run"
)
_ANSWER = "send each message back as it is, once, through the connection that it came on"
_UNHEARD = (
    f"{_ANSWER}. Is your function in the list that pass_on reads, when a message comes? In the "
    "cell, `handlers = [...]` makes a new local name, and `handlers[:] = [...]` changes the list"
)


@dataclass
class _Text:
    """A random text: who was connected when it was sent, and on whose wires it came back."""

    text: str = field(default_factory=nonce)
    to: list[int] = field(default_factory=list)
    back: list[int] = field(default_factory=list)
    is_welcome: bool = False  # sent at the very moment when a connection opens


class _House:
    """The server's side: who is connected, and what crossed each wire."""

    def __init__(self) -> None:
        self.bench = TestBench(self.handle)
        self.open: dict[int, Any] = {}
        self.texts: dict[Any, _Text] = {}
        self.strange: list[Any] = []  # messages that are none of the texts
        self.seen = 0
        self.closed_by_us: set[int] = set()

    async def handle(self, websocket: Any) -> None:
        """Greet a new connection together with all that are open; then note what comes back."""
        self.seen += 1
        number = self.seen
        self.open[number] = websocket
        try:
            await self.say(is_welcome=True)
            async for message in websocket:
                text = self.texts.get(message)
                if text is None:
                    self.strange.append(message)
                else:
                    text.back.append(number)
        except ConnectionClosed:
            pass  # broken off; that is the learner's affair
        finally:
            self.open.pop(number, None)

    async def say(self, *, is_welcome: bool = False) -> _Text:
        """Send a fresh text to every open connection."""
        text = _Text(is_welcome=is_welcome)
        self.texts[text.text] = text
        for number, websocket in list(self.open.items()):
            if websocket.state is not State.OPEN:
                continue
            try:
                await websocket.send(text.text)
            except ConnectionClosed:
                continue
            text.to.append(number)
        return text

    async def close_all(self) -> None:
        """Close every connection, as a server does that goes away."""
        for number, websocket in list(self.open.items()):
            self.closed_by_us.add(number)
            try:
                async with asyncio.timeout(ANSWER_S):
                    await websocket.close(1001, "the server goes away")
            except TimeoutError:
                websocket.transport.abort()  # nobody answers there

    @property
    def now(self) -> int:
        """How many connections are open."""
        return sum(one.state is State.OPEN for one in tuple(self.open.values()))

    def on_loop(self, func: Callable[..., Any], *args: Any) -> Any:
        """Call one of these in the server's loop."""
        return self.bench.server.runner.call(func, *args, timeout=10.0)

    def until(self, is_true: Callable[[], Any], wait_s: float) -> bool:
        """Wait until something is so; return whether it is."""
        deadline = time.monotonic() + self.bench.left_s(wait_s)
        while not is_true():
            if time.monotonic() > deadline:
                return False
            time.sleep(0.003)
        return True


@exercise(
    "08 again",
    hints=(
        "Ask of every line that starts or adds something: what is left of it when the cell runs "
        "again? There are two such things here, the connection and the function in the list. What "
        "the last run left has to go before the new one comes.",
        "`socket` still is the last run's connection when the next run begins (or None): "
        "`if socket is not None: await socket.close()`, before the new one is opened. And "
        "`handlers[:] = [answer]` puts one function in the place of all that are there.",
    ),
    solution="solutions/08_again.py",
)
def again(cell: Any) -> str:
    """Run the cell three times; one connection, and every text comes back once."""
    run = _runnable(cell)
    house = _House()
    runner = Portal("check")
    try:
        with house.bench:
            try:
                for number in (1, 2, 3):
                    if number == 3:
                        # What lives when a run begins may stay; what is dead may not.
                        house.on_loop(house.close_all)
                        house.until(lambda: not house.closed_by_us & set(house.open), OPEN_S)
                    _run(house, runner, run, number)
                    _look(house, number)
            finally:
                # The server's end first, so that the learner's tasks end by themselves.
                learner_loop.free_loop(runner)
                house.bench.close()
    finally:
        learner_loop.end_loop(runner)
    _judge(house, "all three runs")  # what came late
    heard = sum(not text.is_welcome for text in house.texts.values())
    way = "the second run left the first one's alone" if house.seen == 2 else "each run opened one"
    return (
        f"after each of three runs one connection was open ({way}), and each of {heard} random "
        "texts crossed one wire and came back once"
    )


def _runnable(cell: Any) -> Callable[[str], Any]:
    expected = "`async def cell(url)`, or `def cell(url)`"
    if inspect.iscoroutine(cell):
        cell.close()
        raise Miss(expected, "a coroutine: give the function itself, without calling it")
    if not callable(cell):
        raise Miss(expected, f"{type(cell).__name__} {cell!r:.60}")
    try:
        inspect.signature(cell).bind("ws://127.0.0.1/")
    except ValueError:
        pass  # a builtin without a signature
    except TypeError:
        seen = f"{handler_name(cell)}{inspect.signature(cell)}"
        raise Miss(expected, seen, "it is called with the server's URL") from None

    async def run(url: str) -> None:
        result = cell(url)
        if inspect.isawaitable(result):
            await result

    return run


def _run(house: _House, runner: Portal, run: Callable[[str], Any], number: int) -> None:
    """Run the cell once, within a bound."""
    expected = f"run {number} of the cell to end, so that it can be run again"
    began_s = time.monotonic()
    try:
        runner.call(run, house.bench.server.url, timeout=house.bench.left_s(RUN_S))
    except LoopBlocked:
        where = learner_loop.position(runner)
        seen = f"after {RUN_S:g} s it holds its event loop: {where}"
        raise Miss(expected, seen, "what waits for messages belongs into a task") from None
    except TimeoutError as exc:
        if time.monotonic() - began_s < RUN_S - 0.1:  # the cell's own
            raise Miss(expected, f"TimeoutError: {exc}", "fix what your cell raised") from exc
        seen = f"after {RUN_S:g} s it still waits"
        hint = "a cell that listens itself never ends: let a task do that (asyncio.create_task)"
        raise Miss(expected, seen, hint) from None
    except NotImplementedError:
        raise
    except RuntimeError as exc:
        hint = "fix what your cell raised"
        if "asyncio.run()" in str(exc):
            hint = "the cell runs on an event loop already: `await` takes the place of asyncio.run"
        elif "loop" in str(exc):
            hint = (
                "the check runs the cell on an event loop of its own, and a name still holds a "
                "connection or a task of another one. Run the exercise's cell again, then this one"
            )
        raise Miss(expected, f"RuntimeError: {exc}", hint) from exc
    except Exception as exc:
        raise Miss(expected, in_words(exc), _fix(exc)) from exc


def _fix(exc: Exception) -> str:
    """Say how to fix what beginners' cells raise most."""
    hint = "fix what your cell raised"
    if isinstance(exc, UnboundLocalError):
        hint += ": a name that a function gives a value is local to it, unless `global` names it"
    elif isinstance(exc, AttributeError) and "'NoneType'" in str(exc):
        hint += ": in the first run there is no connection yet, and the name holds None"
    elif isinstance(exc, AttributeError) and exc.name in ("open", "closed"):
        hint += (
            ": ask `socket.state`, or do not ask. close() does no harm where it is closed already"
        )
    return hint


def _look(house: _House, number: int) -> None:
    """After a run: one connection, and each of a few texts comes back once on it."""
    expected = f"1 open connection after run {number}"
    if not house.until(lambda: house.now > 0, OPEN_S):
        _none_open(house, number, expected)
    if not house.until(lambda: house.now == 1, SETTLE_S):
        text = max(house.texts.values(), key=lambda one: len(one.to))
        seen = f"{house.now} are open, and {text.text!r} crossed {len(text.to)} wires"
        raise Miss(expected, seen + _wire(house, text), _CLOSE_OLD)
    _no_overlap(house, number)
    for _ in range(TEXTS):
        _say(house, number)
        _judge(house, f"run {number}")
        _no_overlap(house, number)


def _none_open(house: _House, number: int, expected: str) -> None:
    if number == 3:
        seen = "none is open: the server had closed the one before, and this run opened no other"
        raise Miss(expected, seen, _DEAD)
    seen = "none is open" + ("" if house.seen else ", and none ever was")
    ran = f"the cell opened {house.seen} so far, and what it opened is closed again"
    hint = ran if house.seen else "does the cell connect to the URL that it is given? " + _DEAD
    raise Miss(expected, seen, hint)


def _no_overlap(house: _House, number: int) -> None:
    """No text went out to two: that was so only while an old and a new connection were open."""
    for text in tuple(house.texts.values()):
        if len(text.to) > 1:
            raise Miss(
                f"at each moment of run {number} at most one connection, so that a message that "
                "comes just then is heard once",
                f"{text.text!r} crossed {len(text.to)} wires: connection {text.to[-1]} opened "
                f"while connection {text.to[0]} was still open" + _wire(house, text),
                _CLOSE_FIRST,
            )


def _say(house: _House, number: int) -> None:
    """Send a text and wait until it came back."""
    text = _Text()
    for _ in range(TRIES):
        text = house.on_loop(house.say)
        house.until(functools.partial(_is_settled, house, text), ANSWER_S)
        if text.back:
            return
        # Its connection may just have been replaced: then the next one's counts.
        if any(one in house.open for one in text.to):
            break
        house.until(lambda: house.now > 0, OPEN_S)
    expected = f"after run {number} the text {text.text!r} comes back once"
    if not text.to:
        raise Miss(expected, "no connection was open to send it on", _DEAD)
    came = house.strange[-1] if house.strange else None
    seen = f"it crossed the wire of connection {text.to[0]}, and nothing came back"
    if came is not None:
        seen = f"{came!r:.40} came back instead"
    raise Miss(expected, seen + _wire(house), _UNHEARD if came is None else _ANSWER)


def _is_settled(house: _House, text: _Text) -> bool:
    """Whether it came back, or cannot any more."""
    return bool(text.back) or not any(one in house.open for one in text.to)


def _judge(house: _House, when: str) -> None:
    for text in tuple(house.texts.values()):
        if len(text.back) > 1:
            raise Miss(
                f"after {when} each message comes back once",
                f"{text.text!r} came back {len(text.back)} times" + _wire(house, text),
                _EARLIER if when == "run 1" else _GROWS,
            )
    if house.strange:
        raise Miss(
            f"after {when} each message comes back as it is, and nothing else comes",
            f"{house.strange[0]!r:.40} came" + _wire(house),
            _ANSWER,
        )


def _wire(house: _House, text: _Text | None = None) -> str:
    """Say what the wire carried: the frames with this text, or the last few."""
    frames = [frame for frame in house.bench.tape.frames if frame.opcode in (1, 2)]
    if text is not None:
        frames = [frame for frame in frames if frame.text == text.text]
    if not frames:
        return ""
    began_s = house.bench.tape.events[0].at_s
    return "; on the wire: " + "; ".join(describe(one, began_s) for one in frames[-4:])


# The page that rehearses an effect.


def effect_page(effect: str) -> str:
    """Return a page that runs an effect as React does, in plain JavaScript, without React.

    Its buttons stand for a component that appears and disappears. With Strict Mode an effect that
    appears is rehearsed first: set up, cleaned up, set up again.

    Args:
        effect: a JavaScript function. It may use ``url``, of the server that gives the page, and
            ``show(text)``; what it returns, if anything, is its cleanup.
    """
    source = html.escape(inspect.cleandoc(effect))
    page = _PAGE.replace("%LOOK%", PAGE_LOOK).replace("%SOURCE%", source)
    return page.replace("%EFFECT%", effect.strip().rstrip(";"))


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>An effect</title>
%LOOK%
<style>
  pre { margin: 0 0 10px; padding: 8px 10px; overflow-x: auto; font: 13px/1.45 ui-monospace,
    monospace; border-left: 3px solid light-dark(#1d4ed8, #8ab4ff); }
  button { font: inherit; padding: 2px 12px; margin-right: 6px; }
  ol { margin: 8px 0 0; padding-left: 2.4em; height: 11em; overflow-y: auto;
    font: 13px/1.5 ui-monospace, monospace; }
</style>
<pre aria-label="the effect">%SOURCE%</pre>
<div><button id="mount">Mount</button><button id="unmount" disabled>Unmount</button>
<label><input type="checkbox" id="strict" checked> Strict Mode</label></div>
<ol role="log" tabindex="0" aria-label="what happened"></ol>
<script>
const url = location.href.replace(/^http/, "ws").split("#")[0];
const element = id => document.getElementById(id);
function show(text) {
  const line = document.createElement("li");
  line.textContent = text;
  const log = document.querySelector("ol");
  log.append(line);
  log.scrollTop = log.scrollHeight;  // in here only: the notebook around us stays where it is
}
const effect = %EFFECT%;
let cleanup;

function setUp(why) {
  show(why + ": the effect runs");
  cleanup = effect();
}
function cleanUp(why) {
  show(why + (cleanup ? ": its cleanup runs" : ": it has no cleanup"));
  if (cleanup) cleanup();
}
element("mount").onclick = () => {
  setUp("mounted");
  if (element("strict").checked) {  // what React adds in development
    cleanUp("Strict Mode unmounts");
    setUp("Strict Mode mounts again");
  }
  element("mount").disabled = true;
  element("unmount").disabled = false;
};
element("unmount").onclick = () => {
  cleanUp("unmounted");
  element("mount").disabled = false;
  element("unmount").disabled = true;
};
</script>
</html>
"""
