"""A server to ask, and an editor for it."""

from __future__ import annotations

import pytest

import wslab
from tests.widgets.handshake_editor.handlers import echo
from wslab.widgets import HandshakeEditor


@pytest.fixture
def server():
    with wslab.serve(echo) as running:
        yield running


@pytest.fixture
def editor(server):
    editor = HandshakeEditor(server)
    yield editor
    editor.close()
