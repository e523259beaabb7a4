"""What a request asks for, and the checks in the reference server's order."""

from __future__ import annotations

import pytest

from wslab.hub.engineio.requests import Asked, asked, is_of_python, is_own_page, judge

SESSIONS = {"p": "polling", "w": "websocket"}


def test_a_query():
    assert asked("/socket.io/?EIO=4&transport=polling&t=x&sid=a%2Db") == Asked(
        "polling", "a-b", "4"
    )
    assert asked("/socket.io/") == Asked("", "", "")
    assert asked("/socket.io/?" + "&".join(f"a{n}=1" for n in range(100_000))) == Asked("", "", "")


@pytest.mark.parametrize(
    ("query", "method", "is_socket", "code"),
    [
        ("EIO=4&transport=polling", "GET", False, None),
        ("EIO=4&transport=websocket", "GET", True, None),
        ("EIO=4&transport=polling&sid=p", "POST", False, None),
        ("EIO=4&transport=websocket&sid=p", "GET", True, None),
        ("EIO=4&transport=websocket&sid=w", "GET", True, None),  # accepted, then closed
        ("EIO=4&transport=pigeon", "GET", False, 0),
        ("", "GET", False, 0),
        ("EIO=4&transport=polling&sid=x", "GET", False, 1),
        ("EIO=3&transport=polling&sid=x", "POST", False, 1),
        ("EIO=4&transport=polling", "POST", False, 2),
        ("EIO=3&transport=polling", "POST", False, 2),
        ("EIO=4&transport=websocket", "GET", False, 3),
        ("EIO=4&transport=polling&sid=w", "GET", False, 3),
        ("EIO=3&transport=polling&sid=p", "GET", False, 3),
        ("EIO=4&transport=polling&sid=p", "GET", True, 3),
        ("EIO=3&transport=polling", "GET", False, 5),
        ("transport=polling", "GET", False, 5),
    ],
)
def test_checks(query, method, is_socket, code):
    question = asked(f"/socket.io/?{query}")
    assert judge(question, method, SESSIONS.get, is_socket=is_socket) == code


def test_whose_pages_may_come():
    assert is_own_page("https://example.org", "example.org", None)
    assert is_own_page("http://example.org:8000", "Example.org:8000", None)
    assert not is_own_page("https://evil.example", "example.org", None)
    assert not is_own_page("null", "example.org", None)
    assert not is_own_page("https://example.org", None, None)
    assert is_own_page("https://other.example", "example.org", ("https://other.example",))
    assert not is_own_page("https://example.org", "example.org", ("https://other.example",))
    assert is_own_page("null", None, ("*",))


def test_clients_of_python_are_told_from_others():
    assert is_of_python("/socket.io/?transport=websocket&EIO=4&t=1.5")
    assert is_of_python("/socket.io/?a=1&transport=polling&EIO=4")
    assert not is_of_python("/socket.io/?EIO=4&transport=websocket")
    assert not is_of_python("/socket.io/?a=1&EIO=4&transport=polling&t=x")
    assert not is_of_python("/ws")
