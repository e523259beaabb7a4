"""HTTP Archives written: valid, complete, and read by Chrome."""

from __future__ import annotations

import base64
import gzip
import json
import math
import random
import re
from pathlib import Path
from typing import Any

import pytest

from tests.wire.capture import BINARY, LONG, SECRETS, capture
from tests.wire.taping import masked, random_session, upgrade, websocket
from wslab.wire.events import MessageEvent
from wslab.wire.http.building import build_response
from wslab.wire.tape.tape import Tape

# The objects of HAR 1.2: name to (type, is required). A name with an underscore is somebody's own.
TEXT, NUMBER = (str,), (int, float)


PAIR = {"name": (TEXT, True), "value": (TEXT, True), "comment": (TEXT, False)}
SCHEMA: dict[str, dict[str, tuple[Any, bool]]] = {
    "log": {
        "version": (TEXT, True), "creator": ("creator", True), "browser": ("creator", False),
        "pages": (["page"], False), "entries": (["entry"], True), "comment": (TEXT, False),
    },
    "creator": {"name": (TEXT, True), "version": (TEXT, True), "comment": (TEXT, False)},
    "page": {},
    "entry": {
        "pageref": (TEXT, False), "startedDateTime": (TEXT, True), "time": (NUMBER, True),
        "request": ("request", True), "response": ("response", True), "cache": ("cache", True),
        "timings": ("timings", True), "serverIPAddress": (TEXT, False),
        "connection": (TEXT, False), "comment": (TEXT, False),
    },
    "request": {
        "method": (TEXT, True), "url": (TEXT, True), "httpVersion": (TEXT, True),
        "cookies": (["pair"], True), "headers": (["pair"], True), "queryString": (["pair"], True),
        "postData": ("postData", False), "headersSize": (NUMBER, True),
        "bodySize": (NUMBER, True), "comment": (TEXT, False),
    },
    "postData": {"mimeType": (TEXT, True), "text": (TEXT, True), "params": (["pair"], False)},
    "response": {
        "status": (NUMBER, True), "statusText": (TEXT, True), "httpVersion": (TEXT, True),
        "cookies": (["pair"], True), "headers": (["pair"], True), "content": ("content", True),
        "redirectURL": (TEXT, True), "headersSize": (NUMBER, True), "bodySize": (NUMBER, True),
        "comment": (TEXT, False),
    },
    "content": {
        "size": (NUMBER, True), "compression": (NUMBER, False), "mimeType": (TEXT, True),
        "text": (TEXT, False), "encoding": (TEXT, False), "comment": (TEXT, False),
    },
    "cache": {},
    "timings": {
        "blocked": (NUMBER, False), "dns": (NUMBER, False), "connect": (NUMBER, False),
        "send": (NUMBER, True), "wait": (NUMBER, True), "receive": (NUMBER, True),
        "ssl": (NUMBER, False), "comment": (TEXT, False),
    },
    "pair": PAIR,
}  # fmt: skip
DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def check(value: Any, kind: str, where: str) -> None:
    """Assert that a value is what HAR 1.2 says of its kind."""
    assert isinstance(value, dict), where
    fields = SCHEMA[kind]
    for name, (_, is_required) in fields.items():
        assert name in value or not is_required, f"{where}.{name} is missing"
    for name, part in value.items():
        if name.startswith("_"):
            continue
        assert name in fields, f"{where}.{name} is not in HAR 1.2"
        form = fields[name][0]
        if isinstance(form, list):
            assert isinstance(part, list)
            for number, each in enumerate(part):
                check(each, form[0], f"{where}.{name}[{number}]")
        elif isinstance(form, str):
            check(part, form, f"{where}.{name}")
        else:
            assert isinstance(part, form), f"{where}.{name} is {part!r}"
            assert not isinstance(part, bool), f"{where}.{name} is {part!r}"


def validated(text: str) -> dict[str, Any]:
    """Return log, once all that HAR 1.2 and Chrome ask for is there."""
    har = json.loads(text)
    assert list(har) == ["log"]
    log = har["log"]
    check(log, "log", "log")
    assert log["version"] == "1.2"
    for entry in log["entries"]:
        assert DATE.fullmatch(entry["startedDateTime"])
        timings = entry["timings"]
        parts = [part for name, part in timings.items() if name != "ssl" and part != -1]
        assert min(parts) >= 0
        assert math.isclose(entry["time"], sum(parts), abs_tol=1e-3)
        assert entry["_resourceType"] in {
            "websocket", "eventsource", "document", "fetch",
        }  # fmt: skip
        assert isinstance(entry["_initiator"], dict)
        if "_webSocketMessages" in entry:
            assert entry["_resourceType"] == "websocket"
            assert entry["response"]["status"] == 101
            assert entry["request"]["url"].startswith(("ws://", "wss://"))
        for message in entry.get("_webSocketMessages", ()):
            assert set(message) == {"type", "time", "opcode", "data"}
            assert message["type"] in ("send", "receive")
            assert isinstance(message["time"], float)
            assert message["opcode"] in (1, 2)
            assert isinstance(message["data"], str)
            if message["opcode"] == 2:
                base64.b64decode(message["data"], validate=True)
    return log


def export(tape: Tape, path: Path, *, reveal: bool = False) -> dict[str, Any]:
    tape.to_har(path / "x.har", reveal=reveal)
    return validated((path / "x.har").read_text(encoding="utf-8"))


def messages_of(tape: Tape) -> dict[str, list[tuple[str, float, int, bytes]]]:
    """What Chrome's field should say, from the events: who, when, opcode and bytes."""
    found: dict[str, list[Any]] = {}
    for event in tape.events:
        if isinstance(event, MessageEvent):
            is_text = isinstance(event.data, str)
            found.setdefault(event.connection_id, []).append(
                (
                    {"client": "send", "server": "receive"}[event.sender],
                    tape.began_at + event.at_s,
                    1 if is_text else 2,
                    event.data.encode() if isinstance(event.data, str) else event.data,
                )
            )
    return found


def messages_in(entry: dict[str, Any]) -> list[tuple[str, float, int, bytes]]:
    return [
        (
            each["type"],
            each["time"],
            each["opcode"],
            each["data"].encode() if each["opcode"] == 1 else base64.b64decode(each["data"]),
        )
        for each in entry["_webSocketMessages"]
    ]


@pytest.fixture(scope="module")
def session():
    return capture()


class TestRealSession:
    def test_is_har_and_says_what_the_events_say(self, tmp_path, session):
        tape, port = session
        log = export(tape, tmp_path)
        alice, bob, page = log["entries"]
        expected = messages_of(tape)
        for entry, label in ((alice, "alice"), (bob, "bob")):
            assert entry["comment"] == label
            assert messages_in(entry) == expected[entry["_connectionId"]]
            assert entry["request"]["url"] == f"ws://127.0.0.1:{port}/chat?token=[redacted]"
            assert (entry["serverIPAddress"], entry["connection"]) == ("127.0.0.1", str(port))
        texts = [data.decode() for _, _, opcode, data in messages_in(alice) if opcode == 1]
        assert texts == [
            "Hello", "Hello", LONG, LONG, LONG, LONG, "ping me", "ping me", "héllo €", "héllo €",
            "in pieces", "in pieces", "one, two, three",
        ]  # fmt: skip
        assert [each[3] for each in messages_in(bob) if each[2] == 2] == [BINARY, BINARY]
        assert page["request"]["url"] == "http://x/page?token=[redacted]"
        assert page["response"]["content"]["text"].startswith("you sent [redacted]")
        assert not any(secret in json.dumps(log) for secret in SECRETS)

    def test_every_header_is_there(self, tmp_path, session):
        tape, _ = session
        alice = export(tape, tmp_path)["entries"][0]
        headers = {each["name"]: each["value"] for each in alice["request"]["headers"]}
        assert headers["Cookie"] == "[redacted]"
        assert headers["Authorization"] == "Bearer [redacted]"
        assert headers["Upgrade"] == "websocket"
        assert alice["request"]["queryString"] == [{"name": "token", "value": "[redacted]"}]
        answer = {each["name"]: each["value"] for each in alice["response"]["headers"]}
        assert answer["Sec-WebSocket-Extensions"].startswith("permessage-deflate")

    def test_revealed(self, tmp_path, session):
        tape, _ = session
        alice = export(tape, tmp_path, reveal=True)["entries"][0]
        assert alice["request"]["queryString"] == [{"name": "token", "value": SECRETS[1]}]
        assert alice["request"]["cookies"] == [{"name": "sid", "value": SECRETS[0]}]

    @pytest.mark.browser
    def test_what_chrome_exports_again(self, tmp_path, session, page):
        """A file from Chrome's own writer, without our field: its messages are ours."""
        tape, _ = session
        export(tape, tmp_path)
        page.goto("devtools://devtools/bundled/inspector.html")
        log = page.evaluate(CHROME_EXPORT, (tmp_path / "x.har").read_text())
        assert log["creator"]["name"] == "WebInspector"
        assert "_wslab" not in log
        (tmp_path / "chrome.har").write_text(json.dumps({"log": log}), encoding="utf-8")
        loaded = Tape.load(tmp_path / "chrome.har")
        assert [(m.sender, m.data) for m in loaded.messages] == [
            (m.sender, m.data) for m in tape.messages
        ]
        late_s = [
            loaded.began_at + one.at_s - (tape.began_at + other.at_s)
            for one, other in zip(loaded.messages, tape.messages, strict=True)
        ]
        assert max(map(abs, late_s)) < 1e-3
        # Of its own file Chrome says when a WebSocket was over, and not how.
        ends = [event for event in loaded.events if event.kind in ("ended", "over")]
        assert [event.kind for event in ends] == ["over"] * 2
        for end, other in zip(ends, [e for e in tape.events if e.kind == "ended"], strict=False):
            assert loaded.began_at + end.at_s == pytest.approx(tape.began_at + other.at_s, abs=0.01)

    @pytest.mark.browser
    def test_chrome_imports_it(self, tmp_path, session, page):
        """The code of Chrome's network panel reads the file, and shows what was said."""
        tape, port = session
        log = export(tape, tmp_path)
        page.goto("devtools://devtools/bundled/inspector.html")
        found = page.evaluate(CHROME_IMPORT, (tmp_path / "x.har").read_text())
        assert [each["type"] for each in found] == ["websocket", "websocket", "fetch"]
        assert [each["status"] for each in found] == [101, 101, 200]
        for each, entry in zip(found, log["entries"], strict=True):
            assert each["url"] == entry["request"]["url"]
            assert each["headers"] == len(entry["request"]["headers"])
            assert each["address"] == f"127.0.0.1:{port}"
            wanted = [
                {"type": m["type"], "time": m["time"], "opcode": m["opcode"], "text": m["data"]}
                for m in entry.get("_webSocketMessages", ())
            ]
            assert each["messages"] == wanted
        assert found[2]["content"] == log["entries"][2]["response"]["content"]["text"]


CHROME_EXPORT = """async text => {
  const har = await import('devtools://devtools/bundled/models/har/har.js');
  const root = new har.HARFormat.HARRoot(JSON.parse(text));
  const requests = har.Importer.Importer.requestsFromHARLog(root.log);
  return await har.Log.Log.build(requests, {sanitize: false});
}"""
CHROME_IMPORT = """async text => {
  const har = await import('devtools://devtools/bundled/models/har/har.js');
  const root = new har.HARFormat.HARRoot(JSON.parse(text));
  const found = [];
  for (const request of har.Importer.Importer.requestsFromHARLog(root.log)) {
    const content = await request.requestContentData();
    found.push({
      url: request.url(), type: request.resourceType().name(), status: request.statusCode,
      headers: request.requestHeaders().length, address: request.remoteAddress(),
      content: content.isTextContent ? content.text : content.base64,
      messages: request.frames().map(frame => (
        {type: frame.type, time: frame.time, opcode: frame.opCode, text: frame.text})),
    });
  }
  return found;
}"""


class TestEntries:
    def test_polls_and_a_page(self, tmp_path):
        tape = Tape()
        track = tape.open("a1", server_address="127.0.0.1:8000")
        page = gzip.compress(b"<p>hello</p>" * 50)
        track.client(b"POST /poll?a=1&b= HTTP/1.1\r\nHost: h:8000\r\nContent-Length: 5\r\n"
                     b"Content-Type: text/plain\r\n\r\nhe")  # fmt: skip
        track.client(b"llo")
        track.server(b"HTTP/1.1 302 Found\r\nLocation: /page\r\nContent-Length: 0\r\n\r\n")
        track.client(b"GET /page HTTP/1.1\r\nHost: h:8000\r\n\r\n")
        track.server(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Encoding: gzip\r\n"
                     b"Transfer-Encoding: chunked\r\n\r\n")  # fmt: skip
        track.server(b"%x\r\n%s\r\n0\r\n\r\n" % (len(page), page))
        poll, document = export(tape, tmp_path)["entries"]
        assert poll["request"]["url"] == "http://h:8000/poll?a=1&b="
        assert poll["request"]["queryString"] == [
            {"name": "a", "value": "1"}, {"name": "b", "value": ""},
        ]  # fmt: skip
        assert poll["request"]["postData"] == {"mimeType": "text/plain", "text": "hello"}
        assert poll["request"]["bodySize"] == 5
        assert (poll["response"]["status"], poll["response"]["redirectURL"]) == (302, "/page")
        assert poll["_resourceType"] == "fetch"
        assert document["_resourceType"] == "document"
        content = document["response"]["content"]
        assert content["text"] == "<p>hello</p>" * 50
        assert content["size"] == 600
        assert content["size"] - content["compression"] == document["response"]["bodySize"]

    def test_an_event_stream(self, tmp_path):
        tape = Tape()
        track = tape.open("a1")
        track.client(b"GET /events HTTP/1.1\r\nHost: h\r\n\r\n")
        track.server(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        track.server(b"data: 1\n\n")
        track.server(b"data: 2\n\n")
        (entry,) = export(tape, tmp_path)["entries"]
        assert entry["_resourceType"] == "eventsource"
        assert entry["response"]["content"]["text"] == "data: 1\n\ndata: 2\n\n"
        assert entry["timings"]["receive"] > 0

    def test_a_connection_that_idles_on_is_not_counted(self, tmp_path):
        tape = Tape()
        track = tape.open("a1")
        track.client(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
        track.server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        track.end()
        (entry,) = export(tape, tmp_path)["entries"]
        assert entry["timings"]["receive"] == 0

    def test_bytes_that_are_no_text(self, tmp_path):
        tape = Tape()
        track = tape.open("a1")
        track.client(b"GET / HTTP/1.1\r\n\r\n")
        track.server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\xfe")
        content = export(tape, tmp_path)["entries"][0]["response"]["content"]
        assert (content["text"], content["encoding"]) == ("//4=", "base64")

    def test_nobody_answers(self, tmp_path):
        tape = Tape()
        tape.open("a1").client(b"GET /x HTTP/1.1\r\nUpgrade: websocket\r\n\r\n")
        (entry,) = export(tape, tmp_path)["entries"]
        assert entry["response"]["status"] == 0
        assert entry["_resourceType"] == "websocket"
        assert "_webSocketMessages" not in entry

    def test_a_refused_handshake(self, tmp_path):
        tape = Tape()
        track = tape.open("a1")
        track.client(b"GET /x HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n")
        track.server(build_response(403, body=b"no"))
        (entry,) = export(tape, tmp_path)["entries"]
        assert (entry["response"]["status"], entry["_resourceType"]) == (403, "websocket")
        assert entry["request"]["url"] == "ws://h/x"

    @pytest.mark.parametrize("seed", range(30))
    def test_any_session_is_har(self, tmp_path, seed):
        tape = Tape()
        random_session(tape, random.Random(seed), ["secret" * 4] * 5)
        expected = messages_of(tape)
        for entry in export(tape, tmp_path)["entries"]:
            if "_webSocketMessages" in entry:
                assert messages_in(entry) == expected.get(entry["_connectionId"], [])

    def test_what_is_left_of_a_tape_that_dropped(self, tmp_path):
        tape = Tape(max_bytes=2**16)
        track = websocket(tape)
        for number in range(5000):
            track.client(masked(1, b"%d" % number))
        (entry,) = export(tape, tmp_path)["entries"]
        assert tape.dropped
        assert messages_in(entry) == messages_of(tape)["a1"]
        assert messages_in(entry)[-1][3] == b"4999"


def test_upgraded_twice_on_one_tape(tmp_path):
    tape = Tape()
    for connection_id in ("a1", "a2"):
        track = tape.open(connection_id)
        upgrade(track)
        track.client(masked(1, connection_id.encode()))
    entries = export(tape, tmp_path)["entries"]
    assert [messages_in(entry)[0][3] for entry in entries] == [b"a1", b"a2"]


@pytest.mark.parametrize("port", [443, 8443])
@pytest.mark.parametrize("is_secure", [False, True])
def test_tls_decides_the_scheme_and_not_the_port(tmp_path, port, is_secure):
    tape = Tape()
    track = tape.open("a1", server_address=f"127.0.0.1:{port}", is_secure=is_secure)
    upgrade(track)
    page = tape.open("a2", server_address=f"127.0.0.1:{port}", is_secure=is_secure)
    page.client(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    for again in range(2):
        urls = [entry["request"]["url"] for entry in export(tape, tmp_path)["entries"]]
        schemes = ["wss", "https"] if is_secure else ["ws", "http"]
        assert [url.partition(":")[0] for url in urls] == schemes
        tape.to_pcapng(tmp_path / "x.pcapng")
        tape = Tape.load(tmp_path / ("x.pcapng" if again else "x.har"))
