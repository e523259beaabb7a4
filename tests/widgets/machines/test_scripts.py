"""Scripts by their titles, and those of a hub's own engine among them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from wslab.hub.backplane import redis as engine
from wslab.widgets.machines import scripts
from wslab.widgets.machines.scripts import UPKEEP, Scripts, is_own_channel, without_prefix


def test_a_script_without_a_comment_goes_by_its_digest(monkeypatch):
    monkeypatch.setattr(scripts, "MAX_SCRIPTS", 2)
    known = Scripts()
    digest = hashlib.sha1(b"return 1").hexdigest()
    assert known.title(digest) == known.learn(b"return 1") == f"script {digest[:6]}"
    assert known.learn(b"\n-- One, two. Three") == "One, two"
    assert known.learn(b"-- " + b"long words " * 9) == "long words long words long words long ..."
    for number in range(5):
        known.learn(b"-- Script %d" % number)
    assert len(known._titles) == 2


def test_what_counts_as_upkeep_is_called_so_by_the_engine():
    known = Scripts()
    folder = Path(next(iter(engine.__path__)))
    titles = {known.learn(path.read_bytes()) for path in folder.glob("*.lua")}
    assert [one for one in UPKEEP if not any(title.startswith(one) for title in titles)] == []


def test_keys_of_a_hub_are_shown_without_what_all_have_in_front():
    assert without_prefix("wslab:{chat}:everybody") == "everybody"
    assert without_prefix("room") == "room"
    assert is_own_channel("wslab:{chat}:node:ab12:canary")
    assert not is_own_channel("wslab:{chat}:node:ab12:own")
