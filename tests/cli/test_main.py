"""The command line, as a shell runs it: real processes, real signals, real clients."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync import client

from tests.kernels import environment
from wslab.cli import main

WAIT_S = 30.0
WSLAB = (sys.executable, "-P", "-m", "wslab.cli.main")  # -P: as the script `wslab` does it
needs_posix = pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="no git on the PATH")


def connect(url: str, **kwargs: Any) -> Any:
    """Connect with websockets' own sync client, whatever proxies the environment names."""
    return client.connect(url, proxy=None, **kwargs)


def wslab(*arguments: str, cwd: Path | None = None, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a command line to its end."""
    return subprocess.run(
        [*WSLAB, *arguments],
        cwd=cwd,
        env=environment(**env),
        capture_output=True,
        text=True,
        timeout=WAIT_S,
    )


def refused(*arguments: str, cwd: Path | None = None, **env: str) -> str:
    """Run a command line that must be a user's mistake; return its one line."""
    done = wslab(*arguments, cwd=cwd, **env)
    assert (done.returncode, done.stdout) == (2, ""), done
    assert re.fullmatch(r"wslab: [^\n]+\n", done.stderr), done.stderr
    return done.stderr


class Serving:
    """A `wslab serve` that has said its URL; at the end it is gone, by its pid."""

    def __init__(self, *arguments: str, cwd: Path | None = None) -> None:
        self.process = subprocess.Popen(
            [*WSLAB, "serve", *arguments],
            cwd=cwd,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.head = self.process.stdout.readline() + self.process.stdout.readline()
        found = re.search(r"ws://\S+", self.head)
        if found is None:
            raise AssertionError(self.head + "".join(self.process.communicate(timeout=WAIT_S)))
        self.url = found[0]

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def end(self, number: int) -> tuple[int, str, str]:
        """Send a signal; return the exit code and what was still printed to both streams."""
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=WAIT_S)
        return self.process.returncode, out, err

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate(timeout=WAIT_S)


# wslab, --help, --version, doctor


@pytest.mark.parametrize("command", [[], ["lab"], ["serve"], ["doctor"]])
def test_help_teaches_within_80_columns(command: list[str]) -> None:
    done = wslab(*command, "--help", COLUMNS="200")
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "examples:" in done.stdout or command == ["doctor"]


def test_without_a_command_it_shows_the_help() -> None:
    assert wslab().stdout == wslab("--help").stdout


def test_version() -> None:
    done = wslab("--version")
    assert re.fullmatch(r"wslab \S+ \(websockets \S+, Python 3\.\S+\)\n", done.stdout), done
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["fly"], "invalid choice: 'fly'"),
        (["--fly"], "--fly"),
        (["doctor", "--fly"], "unrecognized arguments: --fly"),
        (["serve", "echo", "chat"], "unrecognized arguments: chat"),
        (["serve", "--port", "65536"], "expected a port from 0 to 65535, got '65536'"),
        (["serve", "--port", "-1"], "--port"),
        (["serve", "fly"], "expected echo, chat or FILE.py:NAME; got 'fly'"),
        (["serve", "app.py"], "say which function of it: app.py:handler"),
        (["serve", "no/app.py:handler"], "there is no file"),
        (["serve", "--host", "192.0.2.1"], "can't listen on 192.0.2.1"),
    ],
)
def test_a_mistake_is_one_line(arguments: list[str], expected: str, tmp_path: Path) -> None:
    assert expected in refused(*arguments, cwd=tmp_path)


def test_doctor_exits_with_1_if_something_does_not_work(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    runtime = str(tmp_path)
    done = wslab("doctor", JUPYTER_RUNTIME_DIR=runtime)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    assert re.search(r"^works +handshake and echo +101", done.stdout, re.MULTILINE)
    done = wslab("doctor", JUPYTER_RUNTIME_DIR=runtime, HTTP_PROXY="http://u:pw9@192.0.2.1:1")
    assert done.returncode == 1
    assert "pw9" not in done.stdout


# wslab serve


@needs_posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_echo_until_a_signal(number: int) -> None:
    with Serving() as serving:
        with connect(f"{serving.url}path?token=secret") as alice:
            alice.send("hello")
            assert alice.recv(timeout=WAIT_S) == "hello"
            assert re.fullmatch(
                r"\d\d:\d\d:\d\d  connect     [0-9a-f]{6}  127\.0\.0\.1:\d+ /path\n",
                serving.line(),
            )
            code, out, err = serving.end(number)
            with pytest.raises(ConnectionClosed):
                alice.recv(timeout=WAIT_S)
            assert alice.close_code == 1001
        assert (code, err) == (0, "")
        assert re.fullmatch(
            r"\S+  disconnect  [0-9a-f]{6}  \S+ 1001 going away, \d+\.\d s\nwslab: stopped\n", out
        )


@needs_posix
def test_the_page_is_where_it_says() -> None:
    with Serving("--name", "my echo") as serving:
        assert serving.head.startswith("wslab: my echo at ws://127.0.0.1:")
        found = re.search(r"page at (http://127\.0\.0\.1:\d+/) ", serving.head)
        assert found
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(found[1], timeout=WAIT_S) as response:
            assert "my echo" in response.read().decode()
        assert serving.end(signal.SIGINT) == (0, "wslab: stopped\n", "")


@needs_posix
@pytest.mark.parametrize("which", [("chat",), ("--example", "chat")])
def test_chat_is_a_hub_with_a_page_of_its_own(which: tuple[str, ...]) -> None:
    with Serving(*which, "--quiet") as serving:
        with connect(serving.url) as alice:
            assert json.loads(alice.recv(timeout=WAIT_S))["event"] == "welcome"
            alice.send("hello")
            assert json.loads(alice.recv(timeout=WAIT_S))["event"] == "people"
            said = json.loads(alice.recv(timeout=WAIT_S))
            assert (said["event"], said["data"]["text"]) == ("said", "hello")
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(serving.url.replace("ws:", "http:"), timeout=WAIT_S) as response:
            assert "<title>Chat</title>" in response.read().decode()
        assert serving.end(signal.SIGTERM) == (0, "wslab: stopped\n", "")


def handshake(url: str) -> socket.socket:
    """Ask for a WebSocket without waiting for the answer, which a blocked server does not give."""
    connection = socket.create_connection(("127.0.0.1", int(url.split(":")[2].rstrip("/"))))
    connection.sendall(
        b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    return connection


APP = """\
from neighbour import shout

async def handler(websocket):
    async for message in websocket:
        await websocket.send(shout(message))

class Chat:
    async def run(self, websocket):
        await websocket.send("a method's " + await websocket.recv())

chat = Chat()

async def failing(websocket):
    await websocket.recv()
    raise ValueError("my mistake")

async def blocking(websocket):
    import time
    print("blocking", flush=True)
    time.sleep(60)

async def blocking_twice(websocket):
    import signal, time
    print("blocking", flush=True)
    while signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        time.sleep(0.001)
    print("stopping", flush=True)
    time.sleep(60)

def plain(websocket):
    pass

from wslab.hub import Hub

hub = Hub()

@hub.on("fail")
async def fail(client, data):
    raise ValueError("the hub's mistake")

@hub.on("fail_on_a_thread")
def fail_on_a_thread(client, data):
    raise StopIteration("the hub's other mistake")
"""


@needs_posix
def test_a_failure_of_a_hub_is_printed_once(app: Path) -> None:
    with Serving("app.py:hub", "--quiet", cwd=app) as serving:
        with connect(serving.url) as alice:
            for number, event in enumerate(("fail", "fail_on_a_thread")):
                alice.send(json.dumps({"event": event, "id": number}))
            for _ in range(3):
                alice.recv(timeout=WAIT_S)
        code, out, err = serving.end(signal.SIGINT)
    assert (code, out) == (0, "wslab: stopped\n")
    assert err.count("ValueError: the hub's mistake") == 1
    assert err.count("StopIteration: the hub's other mistake") == 1


@pytest.fixture
def app(tmp_path: Path) -> Path:
    (tmp_path / "app.py").write_text(APP)
    (tmp_path / "neighbour.py").write_text("def shout(text): return text.upper()\n")
    (tmp_path / "queue.py").write_text(
        "async def handler(ws): await ws.send('own ' + await ws.recv())\n"
    )
    (tmp_path / "fails.py").write_text("import os\n\nos.nothing\n")
    (tmp_path / "typo.py").write_text("x = 1\ndef f(:\n")
    return tmp_path


@needs_posix
@pytest.mark.parametrize(
    ("handler", "answer"),
    [
        ("app.py:handler", "HELLO"),
        ("app.py:chat.run", "a method's hello"),
        ("queue.py:handler", "own hello"),  # named as a module that is loaded already
    ],
)
def test_a_handler_of_the_users(app: Path, handler: str, answer: str) -> None:
    with Serving(handler, cwd=app) as serving:
        with connect(serving.url) as alice:
            alice.send("hello")
            assert alice.recv(timeout=WAIT_S) == answer
        assert serving.end(signal.SIGINT)[0] == 0


def test_a_file_elsewhere_finds_its_neighbours(app: Path, tmp_path: Path) -> None:
    assert callable(main._handler(str(app / "app.py:handler")))
    sys.path.remove(str(app))
    for name in ("app", "neighbour"):
        del sys.modules[name]


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        ("app.py:nothing", "app.py has no 'nothing'; its async functions are handler, failing"),
        ("app.py:plain", "got a plain `def`"),
        ("app.py:Chat", "app.py:Chat: expected"),
        ("fails.py:handler", "fails.py line 3: AttributeError: module 'os' has no attribute"),
        ("typo.py:handler", "typo.py line 2: SyntaxError"),
    ],
)
def test_a_handler_that_can_not_be(app: Path, handler: str, expected: str) -> None:
    assert expected in refused("serve", handler, cwd=app)


@needs_posix
def test_a_handlers_error_is_shown_with_its_own_traceback(app: Path) -> None:
    with Serving("app.py:failing", "--quiet", cwd=app) as serving:
        with connect(serving.url) as alice:
            alice.send("x")
            with pytest.raises(ConnectionClosed):
                alice.recv(timeout=WAIT_S)
            assert alice.close_code == 1011
        code, out, err = serving.end(signal.SIGINT)
    assert (code, out) == (0, "wslab: stopped\n")
    lines = err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert 'app.py", line 15, in failing' in lines[1]
    assert lines[-1] == "ValueError: my mistake"
    assert err.count("ValueError: my mistake") == 1
    assert "main.py" not in err


@needs_posix
def test_a_handler_that_blocks_is_named_and_not_waited_for(app: Path) -> None:
    with Serving("app.py:blocking", "--quiet", cwd=app) as serving, handshake(serving.url):
        assert serving.line() == "blocking\n"
        code, _, err = serving.end(signal.SIGINT)
    assert code == 1
    assert "blocking() at app.py:" in err
    assert "Traceback" not in err
    assert len(err.splitlines()) == 1


@needs_posix
def test_a_second_interrupt_does_not_wait(app: Path) -> None:
    name = "app.py:blocking_twice"
    with Serving(name, "--quiet", cwd=app) as serving, handshake(serving.url):
        assert serving.line() == "blocking\n"
        serving.process.send_signal(signal.SIGINT)
        assert serving.line() == "stopping\n"
        code, _, err = serving.end(signal.SIGINT)
    assert (code, err) == (130, "wslab: interrupted\n")


@needs_posix
@pytest.mark.parametrize("host", ["127.0.0.2", "::1", "0.0.0.0"])
def test_the_addresses_that_are_printed_lead_there(host: str) -> None:
    try:
        with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else 2):
            pass
    except OSError:
        pytest.skip(f"no {host} here")
    with Serving("--host", host) as serving:
        with connect(serving.url) as websocket:
            websocket.send("hi")
            assert websocket.recv(timeout=WAIT_S) == "hi"
        page_url = re.search(r"http://\S+", serving.head)
        assert page_url is not None
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(page_url[0], timeout=WAIT_S) as answer:
            assert answer.status == 200


@needs_posix
def test_a_refused_origin_is_told() -> None:
    with Serving() as serving:
        with pytest.raises(InvalidStatus), connect(serving.url, origin="https://a.example"):
            pass
        assert re.search(
            r"  refused     [0-9a-f]{6}  127\.0\.0\.1:\d+ 403 Forbidden", serving.line()
        )
        assert serving.end(signal.SIGINT)[0] == 0


def test_a_port_in_use_is_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refused("serve", "--port", str(port))
    assert f"expected port {port} on 127.0.0.1 to be free" in line
    assert "Errno" not in line


@needs_posix
def test_the_port_is_free_afterwards() -> None:
    with Serving() as serving:
        with connect(serving.url):
            code, _, _ = serving.end(signal.SIGTERM)
        assert code == 0
    port = serving.url.split(":")[2][:-1]
    with Serving("--port", port) as again:
        assert again.url == serving.url
        again.end(signal.SIGTERM)


@needs_posix
def test_nobody_reading_ends_it_quietly() -> None:
    with Serving() as serving:
        assert serving.process.stdout is not None
        serving.process.stdout.close()
        with connect(serving.url) as alice, pytest.raises(ConnectionClosed):
            alice.recv(timeout=WAIT_S)
        assert serving.process.wait(WAIT_S) == 0
        assert serving.process.stderr is not None
        assert serving.process.stderr.read() == ""
        serving.process.stdout = None


def test_what_a_client_sends_is_no_control_sequence() -> None:
    assert main._printable("/a\x1b[2J\x00é") == "/a\\x1b[2J\\x00é"


# wslab lab


@pytest.fixture
def jupyter(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Catch the command that would become JupyterLab."""
    commands: list[list[str]] = []

    def become(command: list[str]) -> int:
        commands.append(command)
        return 0

    monkeypatch.setattr(main, "_become", become)
    monkeypatch.setattr(os, "geteuid", lambda: 1000, raising=False)
    return commands


@pytest.fixture
def packaged(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A course as a wheel carries it, and no checkout; the current folder is empty."""
    course = tmp_path / "site-packages" / "wslab" / "_course"
    (course / "solutions" / "__pycache__").mkdir(parents=True)
    (course / ".ipynb_checkpoints").mkdir()
    (course / "00_start_here.ipynb").write_text("{}")
    (course / "solutions" / "00_start_here.py").write_text("x = 1\n")
    (course / "solutions" / "__pycache__" / "x.pyc").write_text("")
    (course / ".ipynb_checkpoints" / "x.ipynb").write_text("")
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    monkeypatch.setattr(main, "_checkout", lambda: None)
    monkeypatch.setattr(main, "_packaged_course", lambda: course)
    return course


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_its_kernels_say_which_cell_of_a_lesson_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    app = pytest.importorskip("jupyterlab.labapp").LabApp
    launched: list[str | None] = []
    monkeypatch.setattr(
        app, "launch_instance", lambda: launched.append(os.environ.get("PYTHONSTARTUP"))
    )
    mine = {name: value for name, value in os.environ.items() if name != "PYTHONSTARTUP"}
    monkeypatch.setattr(os, "environ", mine)
    monkeypatch.setattr(logging.getLogger("ServerApp"), "filters", [])
    main.jupyterlab()
    mine["PYTHONSTARTUP"] = "their own"
    main.jupyterlab()
    first, second = launched
    assert first is not None
    assert Path(first).read_text().startswith('"""Run by IPython')
    assert second == "their own"


def test_a_clone_opens_its_own_notebooks(
    jupyter: list[list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "00_start_here.ipynb").write_text("{}")
    (tmp_path / "pyproject.toml").write_text("")
    monkeypatch.setattr(main, "PACKAGE", tmp_path / "wslab")
    assert main.main(["lab"]) == 0
    assert jupyter == [
        [
            *(sys.executable, "-P", "-c", "from wslab.cli.main import jupyterlab; jupyterlab()"),
            f"--ServerApp.root_dir={tmp_path / 'notebooks'}",
            "--LabApp.default_url=/lab/tree/00_start_here.ipynb",
            main.QUIET,
        ]
    ]


def test_a_folder_beside_an_installed_package_is_no_clone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "notebooks").mkdir()
    monkeypatch.setattr(main, "PACKAGE", tmp_path / "wslab")
    assert main._checkout() is None


@pytest.mark.parametrize(
    ("arguments", "passed_on"),
    [
        (["--no-browser", "--port", "8899"], ["--no-browser", "--port=8899"]),
        (["--port=8899"], ["--port=8899"]),
        (["--ip", "0.0.0.0", "--allow-root"], ["--ip", "0.0.0.0", "--allow-root"]),
        (["--no-brow"], ["--no-brow"]),
        (["--ServerApp.token=x", "--no-browser"], ["--no-browser", "--ServerApp.token=x"]),
        (["--", "--help", "--port", "x"], ["--help", "--port", "x"]),
        (["--debug", "--", "--dir"], ["--debug", "--dir"]),
    ],
)
def test_other_arguments_go_on_to_jupyter(
    jupyter: list[list[str]], packaged: Path, arguments: list[str], passed_on: list[str]
) -> None:
    assert main.main(["lab", *arguments]) == 0
    assert jupyter[0][6:] == [main.QUIET, *passed_on]  # what comes later wins


def test_the_course_is_copied_once_and_says_so(
    jupyter: list[list[str]], packaged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["lab"]) == 0
    course = Path("wslab-course").resolve()
    assert files(course) == ["00_start_here.ipynb", "solutions/00_start_here.py"]
    assert jupyter[0][4] == f"--ServerApp.root_dir={course}"
    assert capsys.readouterr().out == "wslab: the course is in wslab-course (2 files copied)\n"

    assert main.main(["lab"]) == 0
    assert capsys.readouterr().out == "wslab: the course is in wslab-course (nothing missing)\n"


def test_a_file_of_the_users_is_never_overwritten(
    jupyter: list[list[str]], packaged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    course = Path("my course")
    course.mkdir()
    (course / "00_start_here.ipynb").write_text("mine")
    (course / "notes.txt").write_text("mine, too")
    assert main.main(["lab", "--dir", "my course"]) == 0
    assert (course / "00_start_here.ipynb").read_text() == "mine"
    assert files(course) == ["00_start_here.ipynb", "notes.txt", "solutions/00_start_here.py"]
    assert capsys.readouterr().out == (
        "wslab: the course is in my course (1 file copied, left as they are: 1 that differ from "
        "this version's)\n"
    )


@needs_posix
def test_a_link_that_leads_nowhere_is_left_alone(packaged: Path) -> None:
    Path("wslab-course").mkdir()
    Path("wslab-course/00_start_here.ipynb").symlink_to("elsewhere.ipynb")
    assert main._lay_out(packaged, Path("wslab-course")) == (1, 1)
    assert not Path("wslab-course/elsewhere.ipynb").exists()


@needs_posix
def test_read_only_files_of_a_wheel_become_writable_ones(packaged: Path) -> None:
    (packaged / "00_start_here.ipynb").chmod(0o444)
    main._lay_out(packaged, Path("x"))
    assert Path("x/00_start_here.ipynb").stat().st_mode & 0o200


def test_a_copy_that_breaks_off_leaves_no_half_file(
    packaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks_off(source: Path, target: Path) -> None:
        Path(target).write_text("ha")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", breaks_off)
        with pytest.raises(OSError, match="No space"):
            main._lay_out(packaged, Path("x"))
    assert files(Path("x")) == []
    assert main._lay_out(packaged, Path("x")) == (2, 0)


def test_a_folder_that_can_not_be_is_one_line(
    jupyter: list[list[str]], packaged: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("taken").write_text("")
    assert main.main(["lab", "--dir", "taken"]) == 2
    assert capsys.readouterr().err.startswith("wslab: the course can't be copied to taken: ")
    assert jupyter == []


def test_an_installation_without_a_course(
    jupyter: list[list[str]],
    packaged: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(main, "_packaged_course", lambda: None)
    assert main.main(["lab"]) == 2
    assert "carries no course" in capsys.readouterr().err


def test_without_jupyterlab_it_names_the_extra(
    packaged: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "jupyterlab" else real(name)
    )
    assert main.main(["lab"]) == 2
    assert "pip install 'wslab[lab]'" in capsys.readouterr().err
    assert not Path("wslab-course").exists()


@pytest.mark.parametrize("arguments", [[], ["--allow-root"], ["--ServerApp.allow_root=False"]])
def test_root_may_run_it_and_is_told(
    jupyter: list[list[str]],
    packaged: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0, raising=False)
    assert main.main(["lab", *arguments]) == 0
    is_ours = not arguments
    assert jupyter[0][7:] == (["--allow-root"] if is_ours else arguments)
    assert ("started with --allow-root" in capsys.readouterr().out) is is_ours


def test_what_jupyter_always_warns_of_stands_below_no_address() -> None:
    def passes(level: int, text: str) -> bool:
        return main._say_address_alone(logging.LogRecord("x", level, "", 0, text, (), None))

    usual = ["Notebook 00_start_here.ipynb is not trusted", "WARNING: over TCP without encryption"]
    assert not any(passes(logging.WARNING, text) for text in usual)
    assert passes(logging.WARNING, "wslab.tunnel could not tell kernels that it is here")
    assert passes(logging.ERROR, "Notebook x is not trusted: unreadable")


def leads_somewhere(address: str) -> bool:
    """Open it; Jupyter says its address a moment before it listens there."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            with urllib.request.urlopen(address, timeout=WAIT_S) as answer:
                return bool(answer.status == 200)
        except urllib.error.URLError as exc:
            if not isinstance(exc.reason, ConnectionRefusedError) or time.monotonic() > deadline:
                raise
        time.sleep(0.05)


@needs_posix
@pytest.mark.parametrize("arguments", [["--no-browser"], ["--no-browser", "--debug"]])
def test_the_address_stands_alone_and_once(
    packaged: Path, tmp_path: Path, arguments: list[str]
) -> None:
    own = {"HOME": str(tmp_path), "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime")}
    command = [*WSLAB, "lab", "--port", "0", "--dir", str(tmp_path / "course"), *arguments]
    with subprocess.Popen(
        command,
        env=environment(**own, PYTHONUNBUFFERED="1"),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        said: list[str] = []
        try:
            for line in process.stdout:
                said.append(line.rstrip("\n"))
                if re.fullmatch(r"    https?://\S+", said[-1]):
                    break
            address = said[-1].strip()
            assert "/lab/tree/00_start_here.ipynb?token=" in address
            assert leads_somewhere(address)
        finally:
            process.terminate()  # once: a second one would ask nobody
            rest = process.communicate(timeout=WAIT_S)[0]
    if "--debug" not in arguments:
        text = "\n".join([*said, rest])
        assert text.count("http://") == 1, text
        assert said[-3:-1] == ["wslab: JupyterLab runs until Ctrl-C. Open", ""]
    assert process.returncode == 0


@needs_posix
def test_it_becomes_the_other_program() -> None:
    code = "import sys; from wslab.cli import main; print('before'); main._become(sys.argv[1:])"
    inner = "import os, sys; print(os.getpid()); sys.exit(7)"
    with subprocess.Popen(
        [sys.executable, "-c", code, sys.executable, "-c", inner],
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        out, _ = process.communicate(timeout=WAIT_S)
    assert out == f"before\n{process.pid}\n"
    assert process.returncode == 7


def test_where_there_is_no_exec_the_childs_exit_code_is_handed_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(main, "CAN_EXEC", False)
    assert main._become([sys.executable, "-c", "import sys; sys.exit(7)"]) == 7


# wslab lab --binder-link


LINK = "https://mybinder.org/v2/{}?urlpath=lab/tree/notebooks/00_start_here.ipynb\n"


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with one commit on `main`, without a remote."""
    monkeypatch.setattr(main, "_checkout", lambda: tmp_path)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "symbolic-ref", "HEAD", "refs/heads/main")
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    git(tmp_path, *identity, "commit", "--quiet", "--allow-empty", "--message=x")
    return tmp_path


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def pushed(clone: Path, remote: str, branch: str = "main") -> None:
    git(clone, "remote", "add", "origin", remote)
    git(clone, "update-ref", f"refs/remotes/origin/{branch}", "HEAD")


@needs_git
@pytest.mark.parametrize(
    ("remote", "expected"),
    [
        ("https://github.com/owner/repo", "gh/owner/repo/main"),
        ("https://github.com/owner/repo.git", "gh/owner/repo/main"),
        ("https://GitHub.com/owner/repo.js.git/", "gh/owner/repo.js/main"),
        ("https://me:hunter2@github.com/owner/repo.git", "gh/owner/repo/main"),
        ("https://hunter2@github.com/owner/repo", "gh/owner/repo/main"),
        ("git@github.com:owner/repo.git", "gh/owner/repo/main"),
        ("github.com:owner/repo", "gh/owner/repo/main"),
        ("ssh://git@github.com/owner/repo.git", "gh/owner/repo/main"),
        ("ssh://git@ssh.github.com:443/owner/repo.git", "gh/owner/repo/main"),
        ("git://github.com/owner/repo", "gh/owner/repo/main"),
        ("https://gitlab.com/group/repo.git", "gl/group%2Frepo/main"),
        ("git@gitlab.com:group/sub/repo.git", "gl/group%2Fsub%2Frepo/main"),
        ("https://github.com/owner/re%20po", "gh/owner/re%20po/main"),
    ],
)
def test_binder_link(
    clone: Path, remote: str, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    pushed(clone, remote)
    assert main.main(["lab", "--binder-link"]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == (LINK.format(expected), "")


@needs_git
def test_binder_link_of_a_branch_that_is_not_pushed(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pushed(clone, "https://github.com/owner/repo")
    git(clone, "checkout", "--quiet", "-b", "feature/a&b")
    assert main.main(["lab", "--binder-link"]) == 0
    out, err = capsys.readouterr()
    assert out == LINK.format("gh/owner/repo/feature%2Fa%26b")
    assert "branch 'feature/a&b' is not at origin yet" in err


@needs_git
def test_binder_link_of_a_detached_head_names_the_commit(
    clone: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pushed(clone, "https://github.com/owner/repo")
    git(clone, "checkout", "--quiet", "--detach")
    assert main.main(["lab", "--binder-link"]) == 0
    assert capsys.readouterr().out == LINK.format(
        f"gh/owner/repo/{git(clone, 'rev-parse', 'HEAD')}"
    )


@needs_git
@pytest.mark.parametrize(
    ("remote", "expected"),
    [
        ("https://me:hunter2@git.example.org/owner/repo", "got git.example.org"),
        ("/srv/git/repo.git", "got a local path"),
        ("C:\\git\\repo", "got a local path"),
        ("https://github.com/repo", "expected 'origin' to name OWNER/REPOSITORY, got 'repo'"),
        ("https://github.com/a/b/c", "got 'a/b/c'"),
        (None, "no git clone with a remote 'origin'"),
    ],
)
def test_no_binder_link(
    clone: Path, remote: str | None, expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if remote is not None:
        pushed(clone, remote)
    assert main.main(["lab", "--binder-link"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"wslab: [^\n]+\n", err)
    assert expected in err
    assert "hunter2" not in err
