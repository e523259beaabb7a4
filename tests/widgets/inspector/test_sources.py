"""What can be inspected, and what is said of the rest."""

from __future__ import annotations

import re

import pytest

from wslab.widgets.inspector.inspector import Inspector


@pytest.mark.parametrize(
    ("sources", "error", "words"),
    [
        ((), ValueError, "expected a Server, a Client or a Tape"),
        (("ws://example.org",), TypeError, "got str"),
        (([object()],), TypeError, "got object"),
    ],
)
def test_what_cannot_be_inspected_is_refused(sources, error, words):
    with pytest.raises(error, match=re.escape(words)):
        Inspector(*sources)


def test_a_server_without_a_record_is_refused_with_advice():
    class Unrecorded:
        tape = None

    with pytest.raises(ValueError, match="record=False"):
        Inspector(Unrecorded())
