"""Small mistakes, put into methods, which conversations must notice."""

from __future__ import annotations

import inspect
import sys
import textwrap


def put_in(monkeypatch, function, right, wrong):
    """Compile a method again with a mistake in it."""
    source = textwrap.dedent(inspect.getsource(function))
    assert source.count(right) == 1, f"expected {right!r} once in {function.__qualname__}"
    module = sys.modules[function.__module__]
    scope = {}
    exec(source.replace(right, wrong), module.__dict__, scope)
    owner = getattr(module, function.__qualname__.partition(".")[0])
    monkeypatch.setattr(owner, function.__name__, scope[function.__name__])


def is_noticed(run, seeds, errors):
    """Whether a conversation of one of so many seeds fails with one of these errors."""
    for seed in range(seeds):
        try:
            run(seed)
        except errors:
            return True
    return False
