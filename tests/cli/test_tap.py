"""`wslab tap` until a signal."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus

import wslab
from tests import peers
from tests.cli.rig import WAIT_S, Serving, connect, needs_posix, refused
from tests.cli.rig import wslab as run_wslab


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


@needs_posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("suffix", [".har", ".pcapng"])
def test_what_is_said_is_shown_and_saved(tmp_path: Path, number: int, suffix: str) -> None:
    file = tmp_path / f"session{suffix}"
    with wslab.serve(echo) as server:
        with Serving(f"{server.url}feed", "--save", str(file), command="tap") as tap:
            assert f"leads to {server.url}feed (Ctrl-C stops)" in tap.head
            assert tap.url.endswith("/feed")
            with connect(tap.url, additional_headers={"Cookie": "a=s3cret"}) as ana:
                ana.send("hello")
                assert ana.recv(timeout=WAIT_S) == "hello"
            lines = [tap.line()]
            while "disconnect" not in lines[-1]:
                lines.append(tap.line())
            said = [line.split(maxsplit=2)[2].rstrip() for line in lines]
            assert said[1:3] == [
                "-->  request                GET /feed",
                "<--  answer                 101 Switching Protocols",
            ]
            assert said[3:5] == [
                "-->  text              5 B  hello",
                "<--  text              5 B  hello",
            ]
            assert said[-1] == "disconnect"
            assert re.fullmatch(r"\d\d:\d\d:\d\d\.\d{3}  [0-9a-f]{6}  connect .*\n", lines[0])
            saved = f"wslab: 1 connection saved to {file}\nwslab: stopped\n"
            assert tap.end(number) == (0, saved, "")
    tape = wslab.Tape.load(file)
    assert [message.data for message in tape.messages] == ["hello", "hello"]
    assert b"s3cret" not in file.read_bytes()


@needs_posix
def test_secrets_are_shown_where_that_is_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "session.har"
    with wslab.serve(echo) as server:
        options = (
            "--save",
            str(file),
            "--reveal",
            "--quiet",
            "--header",
            "Authorization: Bearer s3cret",
        )
        with Serving(server.url, *options, command="tap") as tap:
            with connect(tap.url):
                pass
            code, out, err = tap.end(signal.SIGINT)
            assert (code, err) == (0, "")
            assert out.startswith("wslab: 1 connection saved to ")
    assert b"Bearer s3cret" in file.read_bytes()


@needs_posix
def test_an_own_answer_says_why() -> None:
    port = peers.free_port()
    with Serving(f"ws://127.0.0.1:{port}/", command="tap") as tap:
        with pytest.raises(InvalidStatus):
            with connect(tap.url):
                pass
        lines = [tap.line()]
        while "by the tap" not in lines[-1]:
            lines.append(tap.line())
        assert "502 Bad Gateway: The tap did not get through" in lines[-1]
        assert tap.end(signal.SIGINT)[0] == 0


@needs_posix
def test_who_lets_others_in_is_told_so() -> None:
    with Serving("ws://feed.example/", "--host", "0.0.0.0", command="tap") as tap:
        code, out, err = tap.end(signal.SIGINT)
        assert (code, out) == (0, "wslab: stopped\n")
        assert "speak to ws://feed.example/ through this tap, in your name" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "required: URL"),
        (("https://feed.example/",), "wss://"),
        (("ws://feed.example/", "--save", "x.txt"), ".har or .pcapng"),
        (("ws://feed.example/", "--save", "no/such/x.har"), "there is no folder"),
        (("ws://feed.example/", "--header", "nonsense"), "Name: value"),
        (("ws://feed.example/", "--keep", "0"), "MiB"),
        (("wss://feed.example/", "--cafile", "no.pem"), "--cafile no.pem"),
        (("ws://feed.example/", "--host", "203.0.113.1"), "can't listen on 203.0.113.1"),
    ],
)
def test_what_a_user_got_wrong_is_one_line(arguments: tuple[str, ...], said: str) -> None:
    assert said in refused("tap", *arguments)


def test_help_says_what_it_does() -> None:
    assert "byte for byte" in run_wslab("tap", "--help").stdout
