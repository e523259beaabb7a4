"""Which of two versions is newer, and what wslab asks of others."""

from __future__ import annotations

import pytest

from wslab.checkup.versions import at_least, minimums, own_requirements


@pytest.mark.parametrize(
    ("version", "minimum", "expected"),
    [
        ("17", "17", True),
        ("17.0", "17", True),
        ("17", "17.0.1", False),
        ("1.10", "1.9", True),
        ("1.7.4", "1.7.4", True),
        ("1.7.4rc1", "1.7.4", False),
        ("1.7.4.dev3", "1.7.4", False),
        ("1.7.5.dev3", "1.7.4", True),
        ("1.7.4.post1", "1.7.4", True),
        ("1.7.4+local", "1.7.4", True),
        ("v2.0", "1.9", True),
        ("unknown", "1", False),
    ],
)
def test_at_least(version: str, minimum: str, expected: bool) -> None:
    assert at_least(version, minimum) is expected


def test_minimums_are_read_from_requirement_strings() -> None:
    assert minimums(
        [
            "websockets>=17",
            "nest-asyncio2 (>=1.7.4)",
            "jupyterlab<5,>=4.1; extra == 'lab'",
            'uvloop>=0.21; (sys_platform != "win32") and extra == "fast"',
            "ipykernel>=7; extra == 'test'",
            "wslab[lab]; extra == 'test'",
            "anywidget",
            "",
        ]
    ) == {"websockets": "17", "nest-asyncio2": "1.7.4", "jupyterlab": "4.1", "uvloop": "0.21"}


def test_its_own_minimums_are_known_here() -> None:
    _, requirements = own_requirements()
    assert at_least(minimums(requirements)["nest-asyncio2"], "1.7.4")
