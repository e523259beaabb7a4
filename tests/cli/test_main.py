"""The command line itself: its help, and what a user got wrong."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli.rig import refused, wslab


@pytest.mark.parametrize("command", [[], ["lab"], ["serve"], ["tap"], ["doctor"]])
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
