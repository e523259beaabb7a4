"""The chat example, by its packets and by its page in two windows of a real browser."""

from __future__ import annotations

import asyncio
import re
import threading

import pytest

import wslab
from tests.hub import stock
from tests.node import need
from tests.peers import until
from wslab.client.backoff import Reconnect
from wslab.examples.chat import MAX_ROOMS, PAGE, SHOW, chat


@pytest.fixture
def hub():
    return chat(rate=10_000)


@pytest.fixture
def server(hub):
    with wslab.serve(hub, page=PAGE) as server:
        yield server


def entered(server, name, room="lobby"):
    client = wslab.connect(server, name=name)
    answer = client.call("enter", {"name": name, "room": room})
    return client, answer


def test_who_enters_hears_who_is_here_and_what_was_said(server):
    ana, first = entered(server, "ana")
    assert first == {"room": "lobby", "people": ["ana"], "past": []}
    at = ana.call("say", {"room": "lobby", "text": "anybody?"})["at"]
    ben, second = entered(server, "ben")
    assert second["people"] == ["ana", "ben"]
    said = {"room": "lobby", "name": "ana", "text": "anybody?", "at": at}
    assert second["past"] == [said]
    ana.close()
    ben.close()


def test_a_room_is_deaf_to_the_others(server):
    ana, _ = entered(server, "ana", "tea")
    ben, _ = entered(server, "ben", "coffee")
    heard = []
    ben.on("said", heard.append)
    ana.call("say", {"room": "tea", "text": "hot"})
    ben.call("say", {"room": "coffee", "text": "black"})  # answered after what came before it
    ben.call("leave", {"room": "coffee"})
    until(lambda: heard)  # a plain handler runs on a thread of its own
    assert [said["text"] for said in heard] == ["black"]
    ana.close()
    ben.close()


async def heard(client, what, count=1):
    """Return what a stock client tells next of a kind; what comes in between is left out."""
    found = []
    while len(found) < count:
        told = await client.hear()
        if told[: len(what)] == what:
            found.append(told[len(what)])
    return found


@pytest.mark.asyncio
async def test_stock_clients_of_socket_io_talk_with_everybody(server):
    need("socket.io-client")
    url = server.url.replace("ws:", "http:").rstrip("/")
    ana, _ = entered(server, "ana")
    async with stock.node(url) as ben, stock.python(url) as cy:
        for client, name in ((ben, "ben"), (cy, "cy")):
            await heard(client, ["connect"])
            client.say("call", 5000, "enter", {"name": name, "room": "lobby"})
            [answer] = await heard(client, ["answer"])
            assert (answer["room"], answer["past"]) == ("lobby", [])
        [people] = await heard(ben, ["event", "people"])
        assert people["people"] == ["ana", "ben", "cy"]
        ben.say("send", "hello")  # as a text that is no event: in the lobby
        cy.say("emit", "say", {"room": "lobby", "text": "hi"})
        for client in (ben, cy):
            said = await heard(client, ["event", "said"], 2)
            assert {(each["name"], each["text"]) for each in said} == {
                ("ben", "hello"), ("cy", "hi"),
            }  # fmt: skip
        assert ana.call("enter", {"name": "ana", "room": "lobby"})["past"] == said
        cy.say("call", 5000, "say", {"room": "tea", "text": "hot"})
        [answer] = await heard(cy, ["answer"])
        assert answer["error"]["code"] == "refused"
    ana.close()


@pytest.mark.parametrize(
    ("event", "data", "why"),
    [
        ("enter", {"name": "ana", "room": "lobby"}, "called 'ana' already"),
        ("enter", {"name": " ", "room": "lobby"}, '"name" to be a text of 1 to 24'),
        ("enter", {"name": "x" * 25, "room": "lobby"}, '"name" to be a text of 1 to 24'),
        ("enter", None, '"name" to be a text'),
        ("enter", {"name": "ben", "room": 7}, '"room" to be a text'),
        ("say", {"room": "lobby", "text": "hi"}, "you are not in 'lobby'"),
        ("say", {"room": "lobby", "text": ""}, '"text" to be a text of 1 to 2000'),
        ("say", ["lobby"], '"room" to be a text'),
    ],
)
def test_what_is_not_right_is_refused_with_the_reason(server, hub, event, data, why):
    ana, _ = entered(server, "ana")
    with wslab.connect(server) as ben:
        with pytest.raises(wslab.errors.CallFailed, match=re.escape(why)) as caught:
            ben.call(event, data)
        assert caught.value.code == "refused"
    assert hub.errors_seen == 0
    ana.close()


def test_nobody_is_in_any_number_of_rooms(server):
    ana, _ = entered(server, "ana")
    for number in range(MAX_ROOMS - 1):
        ana.call("enter", {"name": "ana", "room": f"room {number}"})
    with pytest.raises(wslab.errors.CallFailed, match="leave one first"):
        ana.call("enter", {"name": "ana", "room": "one more"})
    ana.call("leave", {"room": "room 3"})
    assert ana.call("enter", {"name": "ana", "room": "one more"})["people"] == ["ana"]
    ana.close()


def test_a_long_past_is_cut_to_what_a_page_shows(server):
    ana, _ = entered(server, "ana")
    for number in range(SHOW + 5):
        ana.call("say", {"room": "lobby", "text": f"{number}"})
    past = ana.call("enter", {"name": "ana", "room": "lobby"})["past"]
    assert [said["text"] for said in past] == [f"{number}" for number in range(5, SHOW + 5)]
    ana.close()


def test_who_loses_the_line_for_a_moment_does_not_blink(server, hub):
    ben, _ = entered(server, "ben")
    with wslab.connect(server, reconnect=Reconnect(first_delay_s=0)) as ana:
        ana.call("enter", {"name": "ana", "room": "lobby"})
        heard = []
        ben.on("people", heard.append)
        until(lambda: heard and heard[-1]["people"] == ["ana", "ben"])  # all that waited
        heard.clear()
        for nth in range(1, 4):
            before = next(client for client in hub.clients.values() if client.name == "ana")
            server.runner.call(cut, before)
            until(lambda: ana.reconnected == nth)  # noqa: B023
            ana.call("say", {"room": "lobby", "text": "still here"})
            assert ben.call("enter", {"name": "ben", "room": "lobby"})["people"] == ["ana", "ben"]
        until(lambda: len(heard) == 3)  # of his own entering
        assert {tuple(told["people"]) for told in heard} == {("ana", "ben")}
        heard.clear()
    until(lambda: heard)  # she said goodbye: that is told at once
    assert [told["people"] for told in heard] == [["ben"]]
    ben.close()


def test_who_does_not_come_back_is_gone_after_a_while():
    hub = chat(away_s=0.05)
    with wslab.serve(hub) as server:
        ana, _ = entered(server, "ana")
        ben, _ = entered(server, "ben")
        heard = []
        ben.on("people", heard.append)
        server.runner.call(cut, next(c for c in hub.clients.values() if c.name == "ana"))
        until(lambda: heard and heard[-1]["people"] == ["ben"])
        for client in (ana, ben):
            client.close()


@pytest.mark.browser
def test_two_windows_talk_lose_their_line_and_go_on(server, hub, chromium, expect):
    with_console: list[str] = []
    windows = []
    for name in ("ana", "ben"):
        context = chromium.new_context(viewport={"width": 900, "height": 600})
        page = context.new_page()
        page.on("console", lambda message: with_console.append(message.text))
        page.on("pageerror", lambda error: with_console.append(str(error)))
        page.goto(server.page_url)
        page.get_by_label("Your name").fill(name)
        page.get_by_role("button", name="Enter").click()
        expect(page.get_by_role("status")).to_have_text("connected")
        windows.append((context, page))
    (_, ana), (_, ben) = windows
    for page in (ana, ben):
        expect(page.locator("#people li")).to_have_count(2)
    expect(ana.locator("#people")).to_contain_text("ana (you)")

    def say(page, text):
        page.get_by_label("Message", exact=True).fill(text)
        page.keyboard.press("Enter")

    say(ana, "hello ben <b>bold</b>")
    expect(ben.locator("#log li span")).to_have_text("hello ben <b>bold</b>")
    say(ben, "hello ana")
    expect(ana.locator("#log li").nth(1)).to_contain_text("hello ana")

    # The line breaks; what is said meanwhile comes after it, once.
    server.runner.call(cut, next(c for c in hub.clients.values() if c.name == "ben"))
    say(ana, "are you there?")
    expect(ben.locator("#log li span")).to_have_text(
        ["hello ben <b>bold</b>", "hello ana", "are you there?"]
    )
    expect(ben.get_by_role("status")).to_have_text("connected")
    expect(ana.locator("#people li")).to_have_count(2)

    # Another room: what is said in the first is counted, and shown on return.
    ben.get_by_label("Another room").fill("tea")
    ben.get_by_role("button", name="Join").click()
    expect(ben.get_by_role("heading", level=1)).to_have_text("tea")
    say(ana, "psst")
    expect(ben.get_by_role("button", name="lobby")).to_contain_text("1 new")
    ben.get_by_role("button", name="lobby").click()
    expect(ben.locator("#log li").last).to_contain_text("psst")
    ben.get_by_role("button", name="Leave this room").click()
    expect(ana.locator("#people li")).to_have_count(1)

    ana.goto("about:blank")
    expect(ben.get_by_role("heading", level=1)).to_have_text("tea")
    assert with_console == []
    assert hub.errors_seen == 0
    for context, _ in windows:
        context.close()


@pytest.mark.browser
def test_who_enters_before_the_hub_has_answered_is_let_in(hub, chromium, expect):
    pressed = threading.Event()

    async def slow(_connection, request):
        if "Upgrade" in request.headers:
            await asyncio.to_thread(pressed.wait, 20)

    with wslab.serve(hub, page=PAGE, process_request=slow) as server:
        context = chromium.new_context()
        page = context.new_page()
        page.goto(server.page_url)
        page.get_by_label("Your name").fill("ana")
        page.get_by_role("button", name="Enter").click()
        expect(page.locator("button.main").first).to_be_visible()
        pressed.set()
        expect(page.locator("#people li")).to_have_text(["ana (you)"])
        context.close()


async def cut(client):
    client.websocket.transport.abort()
