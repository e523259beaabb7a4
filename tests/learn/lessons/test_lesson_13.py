"""Lesson 13's checks: the solutions, other right ways, the stubs, and plausible wrong ones."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import re
import secrets
import threading

import pytest

import wslab
from tests import node
from tests.learn.rig import cells, solution
from wslab.learn import NotYet, check, hint
from wslab.learn.lessons import lesson_13
from wslab.wire import socketio

LESSON = "13_socketio"


@pytest.fixture
def impatient(monkeypatch):
    """Wait less long for what a wrong answer never brings."""
    monkeypatch.setattr(lesson_13, "WAIT_S", 0.7)


def right(message):
    return solution(LESSON).answer(message)


# By hand: right ways.


def with_a_pattern(message):
    found = re.fullmatch(r"42(\d*)(\[.*)", message)
    if found is None:
        return f'40{{"sid":"{secrets.token_urlsafe()}"}}' if message[:2] == "40" else None
    text = json.loads(found[2])[1]
    return f"43{found[1]}[{len(text)}]" if found[1] else f"42{json.dumps(['heard', text])}"


def by_our_packets(message):
    if not message.startswith("4"):
        return None
    packet = socketio.Decoder().add(message[1:])
    if packet.type is socketio.PacketType.CONNECT:
        said = socketio.Packet(packet.type, data={"sid": secrets.token_hex(4)})
    elif packet.type is not socketio.PacketType.EVENT:
        return None
    elif packet.id is None:
        said = packet._replace(data=["heard", packet.data[1]])
    else:
        said = socketio.Packet(socketio.PacketType.ACK, id=packet.id, data=[len(packet.data[1])])
    return "4" + socketio.encode(said)[0]


async def as_a_coroutine_function(message):
    return with_a_pattern(message)


class Counting:
    """Number the clients, and say more than an id, as other servers do."""

    def __init__(self):
        self.count = 0

    def __call__(self, message):
        if not message.startswith("40"):
            return with_a_pattern(message)
        self.count += 1
        return "40" + json.dumps({"sid": f"client {self.count}", "pid": "x"}, indent=1)


def digit_by_digit(message):
    if message[:2] != "42":
        return with_a_pattern(message)
    rest, number = message[2:], ""
    while rest[0].isdigit():
        number, rest = number + rest[0], rest[1:]
    _, text = json.JSONDecoder(strict=False).decode(rest)
    if number:
        return "".join(["4", "3", number, json.dumps([len(text)])])
    return "42" + json.dumps(["heard", text], ensure_ascii=False)


def bound_to(prefix):
    return functools.partial(lambda _prefix, message: with_a_pattern(message), prefix)


def as_python_socketio_does(message):
    import socketio as stock

    if message[:1] != "4":
        return None
    packet = stock.packet.Packet(encoded_packet=message[1:])
    if packet.packet_type == stock.packet.CONNECT:
        said = stock.packet.Packet(stock.packet.CONNECT, data={"sid": secrets.token_hex(4)})
    elif packet.packet_type != stock.packet.EVENT:
        return None
    elif packet.id is None:
        said = stock.packet.Packet(stock.packet.EVENT, data=["heard", packet.data[1]])
    else:
        said = stock.packet.Packet(stock.packet.ACK, id=packet.id, data=[len(packet.data[1])])
    return "4" + said.encode()


RIGHT = {
    "solution": right,
    "pattern": with_a_pattern,
    "our packets": by_our_packets,
    "coroutine function": as_a_coroutine_function,
    "class": Counting(),
    "digit by digit": digit_by_digit,
    "partial": bound_to("x"),
    "python-socketio's packets": as_python_socketio_does,
}


@pytest.mark.parametrize("answer", RIGHT.values(), ids=RIGHT)
def test_right_answers_pass(answer):
    verdict = check("13 by hand", answer)
    assert verdict.passed is True, str(verdict)
    assert "each heard 3 random texts and had 16 calls answered" in verdict.seen


# Stubs.


def stub():
    namespace = {"NotYet": NotYet, "json": json, "secrets": secrets}
    exec(cells(LESSON)["exercise-answer"], namespace)
    return namespace["answer"]


def test_the_stub_in_the_notebook_is_not_yet():
    assert check("13 by hand", stub()).passed is None
    assert check("13 by hand", ...).passed is None


def test_a_not_yet_that_is_left_over_is_not_yet():
    def answer(message):
        if message[:3] == "42[":
            raise NotYet
        return with_a_pattern(message)

    assert check("13 by hand", answer).passed is None


# Wrong ones.


def but(prefix, reply):
    """The solution, but for messages that begin so."""

    def answer(message):
        if re.match(prefix, message):
            return reply(message)
        return with_a_pattern(message)

    return answer


def text_of(message):
    return json.loads(message[message.index("[") :])[1]


def number_of(message):
    return message[2 : message.index("[")]


CALL, EVENT = r"42\d", r"42\["
WRONG = {
    "says nothing": (lambda message: None, "in answer to `40{", "the answer to 40 is"),
    "echoes": (lambda message: message, "in answer to `40{", "return None"),
    "only 40": (but("40", lambda m: "40"), 'in answer to `40{"', "the answer to 40 is"),
    "no 4 before 0": (but("40", lambda m: '0{"sid":"a"}'), "in answer to", "begins with 4"),
    "a sid for all": (but("40", lambda m: '40{"sid":"a"}'), "another id", "of its own"),
    "an id as a number": (but("40", lambda m: '40{"sid":1}'), "in answer to", "a text"),
    "knows only a bare 40": (
        lambda message: with_a_pattern(message) if message == "40" or message[:2] != "40" else None,
        'in answer to `40{"name"', "the answer to 40 is",
    ),
    "acks as events": (but(CALL, lambda m: f"42[{len(text_of(m))}]"), "as the answer", "42 is an"),
    "no number": (but(CALL, lambda m: f"43[{len(text_of(m))}]"), "as the answer", "is missing"),
    "one digit of the number": (
        but(CALL, lambda m: f"43{m[2]}[{len(text_of(m))}]"), "as the answer", "the same digits"),
    "no list": (but(CALL, lambda m: f"43{number_of(m)}{len(text_of(m))}"), "answer", "a JSON list"),
    "no 4 in front": (
        but(CALL, lambda m: f"3{number_of(m)}[{len(text_of(m))}]"), "as the answer", "begins with"),
    "the text itself": (
        but(CALL, lambda m: f"43{number_of(m)}{json.dumps([text_of(m)])}"), "answer", "how many"),
    "length on the wire": (
        but(CALL, lambda m: f"43{number_of(m)}[{len(m.split('chat', 1)[1]) - 5}]"), "answer",
        "json.loads"),
    "length as a text": (
        but(CALL, lambda m: f'43{number_of(m)}["{len(text_of(m))}"]'), "as the answer", "a number"),
    "answers no call": (but(CALL, lambda m: None), "as the answer", "the number of a call"),
    "answers calls only": (but(EVENT, lambda m: None), "the event `42", "an event goes out as"),
    "sends it back as it is": (but(EVENT, lambda m: m), "the event `42", "called heard"),
    "replaces the word": (
        but(EVENT, lambda m: m.replace("chat", "heard")), "the event `42", "json.loads"),
    "acks an event": (but(EVENT, lambda m: "431[5]"), "the event `42", "43 is an answer"),
    "no 4 before an event": (
        but(EVENT, lambda m: "2" + json.dumps(["heard", text_of(m)])), "the event", "begins with"),
    "repr for JSON": (
        but(EVENT, lambda m: "42" + str(["heard", text_of(m)])), "the event `42", "JSON"),
    "bytes": (
        lambda m: (with_a_pattern(m) or "").encode() or None, "in answer to", "return a str"),
    "a pong for a pong": (but("3", lambda m: "3"), "", "return None"),
    "a dict": (but("40", lambda m: {"sid": "a"}), "in answer", "fix what your"),
}  # fmt: skip


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("case", WRONG)
def test_wrong_answers_are_told_apart(case):
    answer, expected, tip = WRONG[case]
    for _ in range(3):  # which signs a text has is random; some slips show only with some
        verdict = check("13 by hand", answer)
        if verdict.passed is False:
            break
    assert verdict.passed is False, str(verdict)
    assert expected in verdict.expected, str(verdict)
    assert tip in verdict.hint, str(verdict)


@pytest.mark.usefixtures("impatient")
def test_a_forgotten_await():
    async def work(message):
        return with_a_pattern(message)

    made = []

    def forgets(message):
        made.append(work(message))
        return made[-1]

    verdict = check("13 by hand", forgets)  # what awaits the answer takes a coroutine, too
    assert verdict.passed is True, str(verdict)


@pytest.mark.usefixtures("impatient")
def test_what_answer_raises_is_said():
    verdict = check("13 by hand", but(CALL, lambda m: json.loads(m)))
    assert verdict.passed is False
    assert "JSONDecodeError" in verdict.seen
    assert "fix what your handler raised" in verdict.hint


def test_one_that_blocks_is_bounded_and_named(monkeypatch):
    monkeypatch.setattr(lesson_13, "WAIT_S", 0.5)
    let_go = threading.Event()
    try:
        verdict = check("13 by hand", but("40", lambda m: let_go.wait(20)))
    finally:
        let_go.set()
    assert verdict.passed is False
    assert verdict.took_s < 10


def test_what_is_no_function():
    verdict = check("13 by hand", '43["x"]')
    assert verdict.passed is False
    assert "a function answer(message)" in verdict.expected


def test_without_the_stock_client_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "socketio", None)
    verdict = check("13 by hand", right)
    assert verdict.passed is False
    assert "pip install python-socketio aiohttp" in verdict.hint


# With a Hub.


def house_of(handler, **kwargs):
    """Return a Hub whose handler of "chat" is called with the hub, a client and a text."""
    hub = wslab.Hub(**kwargs)

    @hub.on("chat")
    def chat(client, text):
        return handler(hub, client, text)

    return hub


def said(hub, client, text):
    hub.emit("heard", text)
    return len(text)


def awaiting():
    hub = wslab.Hub()

    @hub.on("chat")
    async def chat(client, text):
        await hub.emit("heard", text)
        return len(text)

    return hub


def one_by_one():
    def chat(hub, client, text):
        for each in hub.clients.values():
            each.emit("heard", text)
        return len(text)

    return house_of(chat)


def the_sender_apart():
    def chat(hub, client, text):
        hub.emit("heard", text, skip=client)
        client.emit("heard", text)
        return len(text)

    return house_of(chat)


def by_a_room():
    hub = house_of(lambda hub, client, text: (hub.emit("heard", text, to="all"), len(text))[1])

    @hub.on("connect")
    def connect(client):
        client.join("all")

    return hub


def for_all_events():
    hub = wslab.Hub()

    @hub.on("*")
    def anything(client, event, text):
        hub.emit("heard", text)
        return len(text)

    return hub


def with_history():
    return house_of(said, history=100)


RIGHT_HUBS = [awaiting, one_by_one, the_sender_apart, by_a_room, for_all_events, with_history]


def test_the_solutions_hub_passes_every_time():
    house = solution(LESSON).house
    for _ in range(2):
        verdict = check("13 hub", house)
        assert verdict.passed is True, str(verdict)
    assert "6 random texts, each heard once by everybody" in verdict.seen


@pytest.mark.parametrize("make", RIGHT_HUBS, ids=[make.__name__ for make in RIGHT_HUBS])
def test_other_right_hubs_pass(make):
    verdict = check("13 hub", make())
    assert verdict.passed is True, str(verdict)


def raising(hub, client, text):
    raise NotYet


def test_a_hub_with_a_not_yet_that_is_left_over_is_not_yet():
    assert check("13 hub", house_of(raising)).passed is None
    assert check("13 hub", ...).passed is None


def no_handler():
    return wslab.Hub()


def forgets_await_of_its_own():
    hub = wslab.Hub()

    async def length(text):
        return len(text)

    made = []

    @hub.on("chat")
    def chat(client, text):
        hub.emit("heard", text)
        made.append(length(text))
        made[-1].close()
        return str(made[-1])

    return hub


WRONG_HUBS = {
    "raises": (
        lambda: house_of(lambda hub, client, text: text + 1), "as the answer", "handler raised"),
    "the stub": (no_handler, "as the answer to", "house.on"),
    "no emit": (lambda: house_of(lambda hub, client, text: len(text)), "the event heard", "every"),
    "no return": (
        lambda: house_of(lambda hub, client, text: hub.emit("heard", text) and None),
        "as the answer", "return len(text)"),
    "returns the text": (
        lambda: house_of(lambda hub, client, text: (said(hub, client, text), text)[1]),
        "as the answer", "return len(text)"),
    "a str for a number": (
        lambda: house_of(lambda hub, client, text: str(said(hub, client, text))),
        "as the answer", "return len(text)"),
    "a coroutine's name": (forgets_await_of_its_own, "as the answer", "return len(text)"),
    "leaves the sender out": (
        lambda: house_of(lambda hub, client, text: (
            hub.emit("heard", text, skip=client), len(text))[1]),
        "the event heard", "the sender too"),
    "to the sender only": (
        lambda: house_of(lambda hub, client, text: (client.emit("heard", text), len(text))[1]),
        "the event heard", "everybody"),
    "to an empty room": (
        lambda: house_of(lambda hub, client, text: (
            hub.emit("heard", text, to="tea"), len(text))[1]),
        "the event heard", "without `to=`"),
    "another event": (
        lambda: house_of(lambda hub, client, text: (hub.emit("chat", text), len(text))[1]),
        "the event heard", ""),
    "twice": (
        lambda: house_of(lambda hub, client, text: (
            hub.emit("heard", text), said(hub, client, text))[1]),
        "each text once", "one emit"),
    "the name as well": (
        lambda: house_of(lambda hub, client, text: (
            hub.emit("heard", [client.id, text]), len(text))[1]),
        "the event heard", ""),
    "no Hub": (lambda: right, "a Hub", "wslab.Hub()"),
}  # fmt: skip


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("case", WRONG_HUBS)
def test_wrong_hubs_are_told_apart(case):
    make, expected, tip = WRONG_HUBS[case]
    verdict = check("13 hub", make())
    assert verdict.passed is False, str(verdict)
    assert expected in verdict.expected, str(verdict)
    assert tip in verdict.hint, str(verdict)


# The page.


def test_the_pages_hash_is_of_npms_own_file():
    node.need("socket.io-client")
    file = node.MODULES / "socket.io-client" / "dist" / "socket.io.min.js"
    digest = base64.b64encode(hashlib.sha384(file.read_bytes()).digest()).decode()
    assert f"sha384-{digest}" == lesson_13.STOCK_HASH
    package = json.loads((file.parent.parent / "package.json").read_text())
    assert f"@{package['version']}/" in lesson_13.STOCK_CLIENT
    assert lesson_13.STOCK_CLIENT in lesson_13.STOCK_PAGE


@pytest.mark.parametrize("name", ["13 by hand", "13 hub"])
def test_hints_end_with_the_solution(name):
    assert "solutions/13_socketio.py" in repr(hint(name, 3))
