"""What is answered by HTTP, byte by byte."""

from __future__ import annotations

import pytest

from wslab.hub.engineio import answers
from wslab.wire.http.message import HttpRequest


@pytest.mark.parametrize(
    ("code", "status", "body"),
    [
        (0, 400, b'{"code":0,"message":"Transport unknown"}'),
        (1, 400, b'{"code":1,"message":"Session ID unknown"}'),
        (2, 400, b'{"code":2,"message":"Bad handshake method"}'),
        (3, 400, b'{"code":3,"message":"Bad request"}'),
        (4, 403, b'{"code":4,"message":"Forbidden"}'),
        (5, 400, b'{"code":5,"message":"Unsupported protocol version"}'),
    ],
)
def test_errors(code, status, body):
    response = answers.error(code)
    assert (response.status, response.body) == (status, body)
    assert dict(response.headers) == {"Content-Type": "application/json"}
    assert answers.refusal(code).status == status


def test_a_poll_is_not_kept_by_any_cache():
    assert dict(answers.payload(b"2").headers)["Cache-Control"] == "no-store"


def test_cors():
    assert answers.allowing(None) == ()
    allowed = dict(answers.allowing("https://example.org"))
    assert allowed["Access-Control-Allow-Origin"] == "https://example.org"
    assert allowed["Vary"] == "Origin"
    asked = HttpRequest("OPTIONS", "/", (("Access-Control-Request-Headers", "content-type"),))
    assert dict(answers.preflight(asked).headers)["Access-Control-Allow-Headers"] == "content-type"
    assert answers.preflight(HttpRequest("OPTIONS", "/")).status == 204
