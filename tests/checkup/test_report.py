"""How a report shows itself, and what it never shows."""

from __future__ import annotations

import re

import pytest

from wslab.checkup.report import Finding, Report, tidied

SAMPLE = Report(
    (
        Finding("event loop", True, "uvloop"),
        Finding("page <b>", False, "it said " + "no " * 40, "do this & that"),
        Finding("place", None, ""),
    )
)


def test_the_text_is_aligned_and_80_columns_wide() -> None:
    lines = str(SAMPLE).splitlines()
    assert re.fullmatch(r"wslab \S+: 1 of 3 work, 1 does not work, 1 is not known\.", lines[0])
    assert lines[2] == "works          event loop  uvloop"
    assert lines[3].startswith("does not work  page <b>    it said no no")
    assert lines[4].startswith(" " * 27 + "no no")
    assert " " * 27 + "-> do this & that" in lines
    assert lines[-1] == "not known      place"
    assert max(map(len, lines)) <= 80
    assert repr(SAMPLE) == str(SAMPLE)


def test_the_html_says_the_same_and_escapes_it() -> None:
    text = SAMPLE._repr_html_()
    assert "page &lt;b&gt;" in text
    assert "do this &amp; that" in text
    assert "<b>" not in text
    for state in ("works", "does not work", "not known"):
        assert f">{state}</td>" in text


def test_ok_is_false_only_for_what_does_not_work() -> None:
    assert not SAMPLE.ok
    assert Report((Finding("a", None, ""), Finding("b", True, ""))).ok


def test_secrets_and_the_home_folder_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/alice")
    monkeypatch.setenv("USERPROFILE", "/home/alice")
    finding = Finding(
        "x", False, "abc123 at /home/alice/x http://u:pw@h/?token=zz&a", "its token is"
    )
    (finding,) = tidied([finding], {"abc123"})
    assert finding.seen == "[hidden] at ~/x http://[hidden]@h/?token=[hidden]&a"
    assert finding.advice == "its token is"
