"""What is read of an argument, and how a mistake is said."""

from __future__ import annotations

import argparse

import pytest

from wslab.cli.arguments import complain, port


@pytest.mark.parametrize("text", ["0", "80", "08765", "65535"])
def test_a_port(text: str) -> None:
    assert port(text) == int(text)


@pytest.mark.parametrize("text", ["", "-1", "65536", "123456", "8 0", "x", "٨"])
def test_what_is_no_port(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="expected a port from 0 to 65535, got"):
        port(text)


def test_a_complaint_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    complain("this\n  is\twrong")
    assert tuple(capsys.readouterr()) == ("", "wslab: this is wrong\n")
