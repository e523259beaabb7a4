"""What is answered at /wslab/hub.js."""

from __future__ import annotations

from pathlib import Path

import pytest

import wslab
from wslab.hub.server.script import SCRIPT_PATH, script_response
from wslab.wire.http.message import HttpRequest


def asked(**headers):
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return script_response(HttpRequest("GET", f"{SCRIPT_PATH}?v=1", named))


def test_it_is_the_file_as_a_module_for_any_page():
    response = asked()
    assert response.status == 200
    written = (Path(wslab.__file__).parent / "hub" / "hub.js").read_bytes()
    assert response.body == written.replace(b'const SOCKET = "..";', b'const SOCKET = "../";')
    elsewhere = script_response(HttpRequest("GET", SCRIPT_PATH), '/w"s')
    assert rb'const SOCKET = "../w\"s";' in elsewhere.body
    assert dict(elsewhere.headers)["ETag"] != dict(response.headers)["ETag"]
    headers = dict(response.headers)
    assert headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Access-Control-Allow-Origin"] == "*"


def test_who_has_it_already_is_told_so():
    etag = dict(asked().headers)["ETag"]
    for known in (etag, f'"x", W/{etag}', "*"):
        response = asked(If_None_Match=known)
        assert (response.status, response.body) == (304, b"")
        assert dict(response.headers)["ETag"] == etag
    assert asked(If_None_Match='"x"').status == 200


@pytest.mark.parametrize("target", ["/", "/hub.js", "/wslab/hub.js/", "/x/wslab/hub.js"])
def test_anything_else_is_not_its_affair(target):
    assert script_response(HttpRequest("GET", target)) is None


def test_it_is_only_read():
    response = script_response(HttpRequest("POST", SCRIPT_PATH, (), b"x"))
    assert (response.status, dict(response.headers)) == (405, {"Allow": "GET, HEAD"})


@pytest.mark.asyncio
async def test_a_hub_answers_it_and_leaves_the_rest_to_others():
    hub = wslab.Hub()
    response = await hub.http(HttpRequest("GET", SCRIPT_PATH))
    assert response.status == 200
    assert await hub.http(HttpRequest("GET", "/")) is None
