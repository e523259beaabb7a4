from __future__ import annotations

from wslab.wire.http.message import HttpRequest, HttpResponse


def test_a_request_knows_its_path_and_its_headers_in_any_case():
    request = HttpRequest("POST", "/socket.io/?EIO=4", (("Content-Type", "text/plain"),), b"4hi")
    assert request.path == "/socket.io/"
    assert request.header("content-type") == "text/plain"
    assert request.header("Origin") is None


def test_a_response_is_empty_unless_told():
    assert HttpResponse(204) == (204, (), b"")
