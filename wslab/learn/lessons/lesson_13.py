"""The checks of lesson 13: Socket.IO's packets by hand, and then the same with a Hub.

Its rule: a stock client, python-socketio's as people install it, talks to the learner's code with
random texts, and the server's wire decides. How a packet is taken apart is the learner's affair.
"""

from __future__ import annotations

import inspect
import json
import random
import re
import time
from typing import Any

from ...failures import in_words
from ...wire.events import FrameEvent
from ..exercises import Miss, NotYet, exercise
from ..page_look import PAGE_LOOK
from ..stock_client import StockClient
from ..testbench import TestBench, describe, nonce

WAIT_S = 2.0  # for one answer
ROUNDS = 2  # of everybody saying something
EVENTS, CALLS, AT_ONCE = 3, 12, 4  # more than nine calls, so that their numbers have two digits
SOLUTION = "solutions/13_socketio.py"

_OPEN = {"upgrades": [], "pingInterval": 25000, "pingTimeout": 20000, "maxPayload": 1000000}
_WEBSOCKET = ("websocket",)
_SIGNS = ("äöü", "→", "☂ 雨", '"quoted"', "[1, 2]", "{7}", "chat", "back\\slash", "42")

_FOUR = "each message begins with 4 (an Engine.IO message); the digit after it is Socket.IO's"
_CONNECT = 'the answer to 40 is `40{"sid":"..."}`: 4, 0, then JSON with an id'
_SID = "each connection gets an id of its own: `secrets.token_hex(8)` makes one up"
_JSON = (
    "what follows the digits is JSON: `json.loads` makes a list of it, and `json.dumps` the text. "
    "On the wire ä may be written as \\u00e4"
)
_ACK = (
    "digits between 42 and [ are the number of a call: answer 43, the same digits, and a JSON list"
)
_NOTHING = "return None where nothing is to be sent: for 3, for 41, for all that the table omits"


def _text() -> str:
    return f"{nonce(2)} {random.choice(_SIGNS)} {random.choice(_SIGNS)}"


# --- by hand ---------------------------------------------------------------------------------


@exercise(
    "13 by hand",
    hints=(
        "Look at the first characters, longest first: 40, then 42. Behind 42 come digits, where an "
        "answer is wanted, and then the JSON. Where does the JSON begin? `message.index('[')` says "
        "it.",
        "`at = message.index('[')`, then `number = message[2:at]`, which may be empty, and `event, "
        "text = json.loads(message[at:])`. With a number return `f'43{number}[{len(text)}]'`; "
        'without one return `"42" + json.dumps(["heard", text])`.',
    ),
    solution=SOLUTION,
)
def by_hand(answer: Any) -> str:
    """Let two stock clients talk to it, one after the other, and look at the wire."""
    if not callable(answer):
        raise Miss("a function answer(message)", f"{type(answer).__name__} {answer!r:.60}")

    async def serve(websocket: Any) -> None:
        await websocket.send("0" + json.dumps({"sid": nonce(8), **_OPEN}))
        await websocket.send("2")  # a ping, which the client answers with 3
        async for message in websocket:
            reply = answer(message)
            if inspect.isawaitable(reply):
                reply = await reply
            if reply is not None:
                await websocket.send(reply)

    ids = [_talk(serve, {"name": nonce()}), _talk(serve, None)]
    if ids[0] == ids[1]:
        raise Miss("another id for the next connection", f"{ids[0]!r} for both", _SID)
    return (
        f"two stock clients (python-socketio) connected, each heard {EVENTS} random texts and had "
        f"{CALLS + AT_ONCE} calls answered, {AT_ONCE} of them asked at once"
    )


def _talk(serve: Any, auth: Any) -> str:
    """Play one client's part; return the id that it was given."""
    with TestBench(serve, wait_s=WAIT_S) as bench:
        bench.server.name = "answer"
        with StockClient(
            bench.server.url, ["heard"], transports=_WEBSOCKET, wait_s=WAIT_S
        ) as client:
            wire = _Wire(bench, client)
            wire.connect(auth)
            for _ in range(EVENTS):
                wire.emit(_text())
            for _ in range(CALLS):
                wire.ask([_text()])
            wire.ask([_text() for _ in range(AT_ONCE)])
            found = str(client.id)
        bench.until(
            lambda: not bench.server.connections, "an end of the connection", lambda: "it is open"
        )
        wire.expect_no_more()
    return found


class _Wire:
    """A stock client's talk with the learner's function, and what the wire carried of it."""

    def __init__(self, bench: TestBench, client: StockClient) -> None:
        self.bench = bench
        self.client = client
        self._expected = 2  # the server's frames: the open packet and the ping

    def connect(self, auth: Any) -> None:
        message = "40" + json.dumps(auth, separators=(",", ":")) if auth else "40"
        expected = f'`40{{"sid":"..."}}` in answer to `{message}`'
        self._try(lambda: self.client.connect(auth), expected, self._why_not_connected)
        frame = self._last()
        if frame is None or not _has_sid(frame.text or ""):
            raise self._miss(expected, self._why_not_connected())
        self._expected += 1

    def emit(self, text: str) -> None:
        expected = f"the event `42{json.dumps(['heard', text], ensure_ascii=False)}`"
        self._try(lambda: self.client.emit("chat", text), expected, lambda: _FOUR)
        if not self.client.hears("heard", text, wait_s=self.bench.left_s()):
            raise self._miss(expected, self._why_unheard())
        self._expected += 1

    def ask(self, texts: list[str]) -> None:
        wanted = [len(text) for text in texts]
        expected = (
            f"{wanted[0]} as the answer to the call with {texts[0]!r}"
            if len(texts) == 1
            else f"{wanted} as the answers to {len(texts)} calls at once"
        )
        got: list[Any] = []
        self._try(
            lambda: got.extend(self.client.ask_at_once("chat", texts)), expected, self._why_no_ack
        )
        if got != wanted or any(type(one) is not int for one in got):
            seen = f"the stock client got {got[0] if len(got) == 1 else got!r}"
            raise self._miss(expected, self._why_no_ack(), seen)
        self._expected += len(texts)

    def expect_no_more(self) -> None:
        """Raise a Miss where the wire has carried more than what was due."""
        frames = self._frames()
        if len(frames) > self._expected:
            odd = [one for one in frames if not re.match(r"0\{|2$|40\{|42\[|43\d", one.text or "")]
            shown = describe((odd or frames)[-1])
            raise Miss(
                f"{self._expected - 2} messages from answer() and no more",
                f"{len(frames) - 2}, such as {shown}",
                _NOTHING,
            )

    def _try(self, run: Any, expected: str, why: Any) -> None:
        try:
            run()
        except Exception as exc:
            words = in_words(exc) if str(exc) else type(exc).__name__
            raise self._miss(expected, why(), f"the stock client says {words}") from None

    def _frames(self) -> list[FrameEvent]:
        kinds = (1, 2)
        return [
            one for one in self.bench.tape.frames if one.sender == "server" and one.opcode in kinds
        ]

    def _last(self) -> FrameEvent | None:
        """Return the last that the learner's function has said."""
        said = self._frames()[2:]
        return said[-1] if said else None

    def _miss(self, expected: str, hint: str, seen: str = "") -> Miss:
        frame = self._last()
        asked = [one for one in self.bench.tape.frames if one.sender == "client"]
        asked = [one for one in asked if one.opcode == 1 and (one.text or "")[:1] == "4"]
        parts = [seen] if seen else []
        if asked:
            parts.append("the client's last message was " + describe(asked[-1]))
        parts.append("answer()'s last was " + ("none at all" if frame is None else describe(frame)))
        if self.client.troubles:
            parts.append(f"the stock client fell over it: {self.client.troubles[-1]}")
        if frame is not None and frame.opcode == 2:
            hint = "return a str: bytes go out as a binary frame"
        return Miss(expected, "; ".join(parts), hint)

    def _why_not_connected(self) -> str:
        frame = self._last()
        text = "" if frame is None else frame.text or ""
        if text[:1] in ("2", "3"):
            return _NOTHING
        if text and text[0] != "4":
            return _FOUR
        return _CONNECT if not text.startswith("40") else f"{_CONNECT}, a text that is not empty"

    def _why_unheard(self) -> str:
        frame = self._last()
        text = "" if frame is None else frame.text or ""
        if text.startswith("2["):
            return _FOUR
        if text.startswith("43"):
            return "43 is an answer to a call; an event is 42, and here no answer was asked for"
        if '["chat"' in text:
            return "the event that goes back is called heard: take the JSON apart and build another"
        if not text.startswith("42"):
            return 'an event goes out as `"42" + json.dumps(["heard", text])`'
        return _JSON

    def _why_no_ack(self) -> str:
        frame = self._last()
        text = "" if frame is None else frame.text or ""
        if re.match(r"3\d*\[", text):
            return _FOUR
        if text.startswith("43["):
            return f"the number is missing, which says what call this answers. {_ACK}"
        if re.match(r"43\d+$", text) or re.match(r"43\d+ ", text):
            return "what an ack carries is a JSON list: [5], and not 5"
        if text.startswith("42"):
            return f"42 is an event. {_ACK}"
        if re.match(r"43\d+\[\"", text):
            return "the answer is how many characters the text has, a number"
        return f"{_ACK}. {_JSON}" if text.startswith("43") else _ACK


def _has_sid(text: str) -> bool:
    if not text.startswith("40"):
        return False
    try:
        said = json.loads(text[2:])
    except ValueError:
        return False
    return isinstance(said, dict) and isinstance(said.get("sid"), str) and bool(said["sid"])


# --- with a Hub ------------------------------------------------------------------------------

_HUB = (
    '`@house.on("chat")` stands above a function of (client, text); it calls `house.emit("heard", '
    "text)`"
)
_RETURN = "what the handler returns is the answer: `return len(text)`"
_EVERYBODY = "`house.emit` without `to=` and without `skip=` goes to everybody, the sender too"


@exercise(
    "13 hub",
    hints=(
        "Two things happen for a `chat`: an event goes out to everybody, and the caller gets an "
        "answer. The first is a call of `house.emit`; the second is what the function returns.",
        '`@house.on("chat")`, then `def chat(client, text):`, and in it `house.emit("heard", '
        "text)` and `return len(text)`.",
    ),
    solution=SOLUTION,
)
def with_a_hub(hub: Any) -> str:
    """Let a client that polls first, one on a WebSocket and a plain one talk to each other."""
    if not (callable(hub) and callable(getattr(hub, "emit", None)) and hasattr(hub, "clients")):
        raise Miss("a Hub", f"{type(hub).__name__} {hub!r:.60}", "house = wslab.Hub()")
    with TestBench(hub, wait_s=WAIT_S) as bench:
        url = bench.server.url
        with (
            StockClient(url, ["heard"], wait_s=WAIT_S) as first,
            StockClient(url, ["heard"], transports=_WEBSOCKET, wait_s=WAIT_S) as second,
        ):
            people: list[_Stock | _Plain] = [_Stock("the stock client that polls first", first)]
            people.append(_Stock("the stock client on a WebSocket", second))
            people.append(_Plain("the plain client", bench))
            for _ in range(ROUNDS):
                for person in people:
                    try:
                        _chat(person, people)
                    except Miss:
                        if any(one.kind.rpartition(".")[2] == "NotYet" for one in hub.errors):
                            raise NotYet from None
                        raise
            for person in people:
                more = len(person.heard) - ROUNDS * len(people)
                if more > 0:
                    raise Miss(
                        f"each text once, at {person.name}",
                        f"{more} more than were said; the last: {person.heard[-1]!r:.60}",
                        "one emit for each chat is enough",
                    )
    return (
        f"{len(people) * ROUNDS} random texts, each heard once by everybody (a stock client that "
        "polls first, one on a WebSocket, a plain one), and each answered with its length"
    )


def _chat(speaker: _Stock | _Plain, people: list[_Stock | _Plain]) -> None:
    text = _text()
    expected = f"{len(text)} as the answer to {text!r} of {speaker.name}"
    try:
        answer = speaker.ask(text)
    except Exception as exc:
        words = in_words(exc) if str(exc) else f"{type(exc).__name__}: none came in time"
        raise Miss(expected, words, f"{_HUB}. {_RETURN}") from None
    error = answer.get("error") if isinstance(answer, dict) else None
    if isinstance(error, dict):  # how a Hub tells a stock client of a failure
        hint = _HUB if error.get("code") == "unknown-event" else "fix what your handler raised"
        raise Miss(expected, str(error.get("message")), hint)
    if type(answer) is not int or answer != len(text):
        raise Miss(expected, f"{answer!r:.60}", _RETURN)
    for person in people:
        if not person.hears(text):
            late = [one for one in person.heard if text in str(one)]
            seen = f"{late[0]!r:.60}" if late else "nothing of it"
            raise Miss(
                f"the event heard with {text!r}, said by {speaker.name}, at {person.name}",
                f"{seen} within {WAIT_S:g} s",
                _EVERYBODY if person is speaker or late == [] else _HUB,
            )


class _Stock:
    """A stock client in the talk."""

    def __init__(self, name: str, client: StockClient) -> None:
        self.name = name
        self.client = client
        try:
            client.connect()
        except Exception as exc:
            raise Miss(f"a connection for {name}", in_words(exc)) from None

    @property
    def heard(self) -> list[Any]:
        return self.client.heard

    def ask(self, text: str) -> Any:
        return self.client.ask("chat", text)

    def hears(self, text: str) -> bool:
        return self.client.hears("heard", text)


class _Plain:
    """A client of the Hub's own JSON in the talk."""

    def __init__(self, name: str, bench: TestBench) -> None:
        self.name = name
        self.heard: list[Any] = []
        self._bench = bench
        self._handle = bench.connect("/").handle
        self._handle.on("heard", lambda *args: self.heard.append(args))

    def ask(self, text: str) -> Any:
        return self._handle.call("chat", text, timeout=self._bench.left_s())

    def hears(self, text: str) -> bool:
        end_s = time.monotonic() + self._bench.left_s()
        while (text,) not in self.heard and time.monotonic() < end_s:
            time.sleep(0.005)
        return (text,) in self.heard


# --- the page --------------------------------------------------------------------------------

STOCK_VERSION = "4.8.4"
STOCK_CLIENT = (
    f"https://cdn.jsdelivr.net/npm/socket.io-client@{STOCK_VERSION}/dist/socket.io.min.js"
)
STOCK_HASH = "sha384-fBrXvbDtHoeKWJ/hcA6M+YGueiDW+h45I7V6F2kD1S8bOkrF9rZYPLVkCR6BLR/1"

STOCK_PAGE = (
    """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>The stock client</title>
%LOOK%
<style>
  form { display: flex; flex-wrap: wrap; gap: 6px; margin: 8px 0; }
  input { flex: 1 1 160px; min-width: 0; font: inherit; padding: 2px 6px; }
  button { font: inherit; padding: 2px 12px; }
  ol { margin: 0; padding-left: 2.4em; height: 8em; overflow-y: auto;
    font: 13px/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
</style>
<div role="status" id="state">Loading the stock client from the internet ...</div>
<form><input aria-label="what to say" value="hello from the page" disabled>
<button disabled>Say it</button></form>
<ol role="log" tabindex="0" aria-label="what happened"></ol>
<script>
const [state, form, log] = ["#state", "form", "ol"].map(one => document.querySelector(one));
const say = text => { state.textContent = text; };
function note(text) {
  const line = document.createElement("li");
  line.textContent = text;
  log.append(line);
  log.scrollTop = log.scrollHeight;  // in here only: the notebook around us stays where it is
}

function start() {
  // Behind Jupyter the page is not at the root, and a Hub wants its token for each request.
  const path = new URL("socket.io/", location.href).pathname;
  const token = /(?:^|;\\s*)_xsrf=([^;]*)/.exec(document.cookie)?.[1] ?? "";
  const socket = io({ path, extraHeaders: { "X-XSRFToken": token } });
  const how = () => say(`Connected by ${socket.io.engine.transport.name}, id ${socket.id}`);
  socket.io.on("open", () => {  // a session, of Engine.IO
    note("opened by " + socket.io.engine.transport.name);
    socket.io.engine.on("upgrade", to => { how(); note("upgraded to " + to.name); });
  });
  socket.on("connect", () => {  // the namespace /, of Socket.IO
    how();
    note("connected, with the id " + socket.id);
    for (const one of form.elements) one.disabled = false;
  });
  socket.on("connect_error", error => say("No connection yet: " + error.message));
  socket.on("disconnect", reason => say("Disconnected: " + reason));
  socket.on("chat", text => note("chat: " + text));
  form.onsubmit = async event => {
    event.preventDefault();
    const text = form.elements[0].value;
    const length = await socket.timeout(5000).emitWithAck("chat", text).catch(String);
    note("the answer: " + length);
  };
}

const script = document.createElement("script");
script.src = "%SOURCE%";
script.integrity = "%HASH%";
script.crossOrigin = "anonymous";  // without it the browser can't compare
script.onload = start;
script.onerror = () => say("The stock client could not be loaded: no internet here, or its hash "
  + "was another one. The lesson goes on without this page.");
document.head.append(script);
</script>
</html>
""".replace("%SOURCE%", STOCK_CLIENT)
    .replace("%HASH%", STOCK_HASH)
    .replace("%LOOK%", PAGE_LOOK)
)
"""A page with the stock JavaScript client, from a CDN, compared with its hash by the browser."""
