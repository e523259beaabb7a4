"""What may be the fragments of one message."""

from __future__ import annotations

import pytest

from wslab.client.fragments import check_fragments


def test_fragments():
    check_fragments([])
    check_fragments(["a", "b"])
    check_fragments((b"a", bytearray(b"b"), memoryview(b"c")))
    for wrong in ([1], ["a", b"b"], [b"a", "b"], [["a"]], [None]):
        with pytest.raises(TypeError, match="all of them str or all of them bytes"):
            check_fragments(wrong)
