"""The lab at / that the tests of pages share."""

from __future__ import annotations

from tests.lab.conftest import lab

__all__ = ["lab"]
