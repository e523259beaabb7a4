"""Routes: which there are, which is asked about, and that none is said."""

from __future__ import annotations

import wslab
from tests.widgets.browser.page import URL, Page
from wslab.notebook import environment
from wslab.notebook.page import seen_by_page
from wslab.widgets import Browser
from wslab.widgets.browser.routes import ROUTES, Routes


def test_ways_to_a_server_and_to_a_url(monkeypatch):
    here = environment.Environment(
        environment.Kind.JUPYTER, "Jupyter", "/", "http://localhost:8888", True, "", True
    )
    monkeypatch.setattr(environment, "detect", lambda *_: here)

    async def handler(websocket):
        pass

    with wslab.serve(handler) as server:
        routes = Routes(server).to_page()
        assert [route["kind"] for route in routes] == ["direct", "proxy", "comm"]
        assert [route["to_try"] for route in routes] == [False, True, True]
        assert routes[0]["url"] == server.url
        with_path = Routes(f"{server.url}room?token=secret").to_page()
        assert with_path[0]["url"] == f"{server.url}room?token=secret"
        assert with_path[1]["url"].endswith(f"/proxy/{server.port}/room?token=secret")
        assert "secret" not in with_path[1]["shown"]
        for kind in ROUTES:
            expected = [] if kind == "tunnel" else [kind]
            assert [route["kind"] for route in Routes(server, forced=kind).to_page()] == expected
    assert [route["kind"] for route in Routes("wss://echo.example/").to_page()] == [
        "direct",
        "comm",
    ]
    hub = environment.Environment(environment.Kind.HUB, "Hub", "/user/a/", None, False, "", False)
    monkeypatch.setattr(environment, "detect", lambda *_: hub)
    assert Routes("foo", forced="direct").to_page()[0]["url"] == "foo"


def test_no_way_is_said():
    browser = Browser(URL, route="tunnel")
    page = Page(browser)
    assert page.told("own")[0]["routes"] == []
    page.say("route", kind="none", label="no route there", changes="", tried=[])
    assert browser.route is None
    expected = f"No route leads to {URL}: the route that was asked for is not there"
    assert browser.events[-1].text == expected
    tried = [{"kind": "direct", "label": "directly", "seen": "no connection"}]
    page.say("route", kind="none", label="no route there", changes="", tried=tried)
    assert browser.events[-1].text == f"No route leads to {URL}: no answer directly: no connection"


def test_a_way_that_gives_cookies_away_is_asked_about(server, monkeypatch):
    hub = environment.Environment(environment.Kind.HUB, "Hub", "/user/a/", None, False, "", True)
    monkeypatch.setattr(environment, "detect", lambda *_: hub)
    browser = Browser(server)
    page = Page(browser)
    asks = {route["kind"]: route["asks"] for route in page.told("own")[0]["routes"]}
    assert "cookies" in asks["proxy"]
    assert asks["comm"] == ""
    assert Routes(server, forced="proxy").to_page()[0]["asks"] == ""  # was asked for by name
    tried = [{"kind": "tunnel", "label": "by the tunnel", "seen": "403"}]
    page.say("asks", asks=asks["proxy"], tried=tried)
    assert browser.route is None
    assert "no answer by the tunnel: 403. jupyter-server-proxy would" in browser.events[-1].text
    for form in (str(browser), browser._repr_mimebundle_()[0]["text/html"]):
        assert "it waits for an answer: jupyter-server-proxy would carry it" in form.replace(
            "It", "it"
        ).replace("&#x27;", "'")
        assert "route=" in form
    assert seen_by_page("tunnel") == "403"
    page.say("route", kind="proxy", label="by the proxy", changes="", tried=[])
    assert (browser.route, browser.page_sockets.routes.asks) == ("proxy", "")
    assert "waits" not in str(browser)
    # Allowed once, and not asked again in each page that is loaded anew.
    again = Page(browser, "page2", own=False)
    page.say("gone")
    again.say("ready", origin="http://localhost:8888", base="/", holds=False)
    assert {route["asks"] for route in again.told("own")[0]["routes"]} == {""}


def test_what_a_page_tried_of_a_server_elsewhere_says_nothing_of_those_here():
    browser = Browser(URL)
    page = Page(browser)
    tried = [{"kind": "direct", "label": "directly", "seen": "no connection"}]
    page.say("route", kind="comm", label="", changes="", tried=tried)
    assert seen_by_page("direct") is None
    page.say("route", kind="comm", label="", changes="", tried=[{"kind": "direct"}])
    assert "KeyError" in browser.view.failure  # no page of ours says that


def test_a_certificate_made_on_the_spot_is_tried_before_it_is_relied_on(monkeypatch):
    here = environment.Environment(
        environment.Kind.JUPYTER, "Jupyter", "/", "http://localhost:8888", True, "", False
    )
    monkeypatch.setattr(environment, "detect", lambda *_: here)

    async def handler(websocket):
        pass

    with wslab.serve(handler, tls=True) as server:
        routes = Routes(server).to_page()
        assert [(route["kind"], route["to_try"]) for route in routes] == [
            ("direct", True),
            ("comm", True),
        ]
