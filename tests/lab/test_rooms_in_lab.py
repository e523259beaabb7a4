"""The room map and the chat panel in a real JupyterLab: played by mouse and by keyboard alone.

WSLAB_SCREENSHOTS=folder keeps pictures of the states, in both themes and narrow.
"""

from __future__ import annotations

import pytest

from tests.browser import Sync
from tests.lab.harness import DARK, LIGHT, Lab, Notebook, keep_screenshots
from tests.lab.test_panels_in_lab import CONTRASTS, GONE, complaints, start_cell

pytestmark = [pytest.mark.browser, pytest.mark.kernel]

SERVE = """
import time
from urllib.parse import parse_qs, urlsplit
import wslab
from wslab.widgets import ChatPanel, RoomMap, WhoIsHere

hub = wslab.Hub("house")

@hub.on("connect")
async def connect(client):
    client.name = parse_qs(urlsplit(client.path).query).get("name", [None])[0]

@hub.on("join")
async def join(client, data):
    client.join(data["room"])

@hub.on("leave")
async def leave(client, data):
    client.leave(data["room"])

@hub.on("say")
async def say(client, data):
    if data["text"] == "boom":
        raise ValueError("not this one")
    await hub.emit("say", {"from": client.name, **data}, to=data["room"], skip=client)

server = wslab.serve(hub)
hub"""
CHAT = "panel = ChatPanel(hub)\npanel"
BUSY = "time.sleep(2)"


class Map:
    """A hub's map in the page."""

    def __init__(self, notebook: Notebook, index: int) -> None:
        self.root = notebook.cell(index).locator(".ws-hub")
        self.who = self.root.locator(".ws-who tbody tr")
        self.rooms = self.root.locator(".ws-grid thead tr:not(:first-child)")
        self.messages = self.root.locator(".ws-grid tbody tr")

    def outcomes(self, nth: int) -> list[str]:
        """What a screen reader says of one message's cells."""
        return self.messages.nth(nth).locator("td.ws-cell").all_inner_texts()


class Player:
    """One client in the panel."""

    def __init__(self, notebook: Notebook, index: int, name: str) -> None:
        self.root = notebook.cell(index).get_by_role("group", name=name, exact=True)
        self.name = name
        self.rooms = self.root.locator(".ws-rooms li")
        self.lines = self.root.locator(".ws-lines li .ws-text")
        self.text = self.root.get_by_role("textbox", name=f"What {name} says")
        # An input with a list is a combobox to whoever does not see it.
        self.room = self.root.get_by_role("combobox", name=f"Room for {name} to join")
        self.to = self.root.get_by_role("combobox", name=f"Room that {name} says it to")

    def button(self, name: str) -> Sync:
        return self.root.get_by_role("button", name=name, exact=True)


def test_a_learner_plays_all_of_them(lab: Lab, expect):
    path = lab.write("rooms.ipynb", [SERVE, CHAT, BUSY, "WhoIsHere(hub)"])
    with lab.open(path) as notebook:
        for index in (0, 1, 3):
            notebook.run_cell(index)
        assert notebook.errors() == []
        shown, who = Map(notebook, 0), Map(notebook, 3)
        ana, ben, cleo = (Player(notebook, 1, name) for name in ("ana", "ben", "cleo"))
        said = notebook.cell(1).locator(".ws-said")
        expect(shown.who).to_have_count(3)
        expect(who.who).to_have_count(3)
        expect(who.root.locator(".ws-grid")).to_be_hidden()

        # By the mouse.
        expect(ana.room).to_have_value("lobby")
        ana.button("ana joins the room").click()
        expect(ana.rooms).to_have_count(1)
        expect(said).to_have_text("ana joined lobby")
        ben.button("ben joins the room").click()
        expect(ben.rooms).to_have_count(1)
        expect(shown.rooms).to_have_count(1)
        expect(shown.rooms.locator("td").nth(2)).to_have_text("not in it")
        ana.text.fill("hello")
        ana.button("ana says it").click()
        expect(ben.lines.last).to_contain_text("say in lobby from ana hello")
        expect(ana.text).to_have_value("")
        expect(shown.messages).to_have_count(1)
        outcomes = ["skipped; it is the sender", "sent", "not meant for it"]
        assert shown.outcomes(0) == outcomes

        # By the keyboard, JupyterLab's shortcuts notwithstanding: "a", "b", "d", "d" are some.
        cleo.room.focus()
        notebook.page.keyboard.press("Control+a")
        notebook.page.keyboard.type("badd")
        notebook.page.keyboard.press("Enter")
        expect(cleo.rooms).to_have_text("baddleave")
        expect(cleo.to).to_have_value("badd")
        cleo.text.focus()
        notebook.page.keyboard.type("dd")
        notebook.page.keyboard.press("Enter")
        expect(shown.messages).to_have_count(2)
        assert shown.outcomes(1) == [
            "not meant for it",
            "not meant for it",
            "skipped; it is the sender",
        ]
        notebook.page.keyboard.press("Tab")
        expect(cleo.button("cleo says it")).to_be_focused()
        cleo.button("cleo leaves badd").focus()
        notebook.page.keyboard.press("Space")
        expect(cleo.rooms).to_have_count(0)
        expect(cleo.root).to_contain_text("cleo")
        assert len(notebook.cells()) == 4

        # Errors that the hub sends, to whom it sends them.
        ben.text.fill("boom")
        ben.text.press("Enter")
        expect(ben.lines.last).to_contain_text("error failed: ValueError: not this one")
        expect(shown.root.locator(".ws-trouble:visible")).to_contain_text("not this one")

        # What waits for a running cell says so, and happens.
        start_cell(notebook, 2)
        ana.text.fill("meanwhile")
        ana.text.press("Enter")
        expect(ben.lines.last).to_contain_text("say in lobby from ana meanwhile")
        notebook.wait_idle()

        # Gone, and back as somebody new.
        first = shown.who.nth(0).locator("td").first.inner_text()
        ana.button("Disconnect ana").click()
        expect(ana.button("Connect ana")).to_be_visible()
        expect(ana.text).to_be_hidden()
        expect(ana.root).to_contain_text("This client closed it with 1000")
        expect(who.root.locator(".ws-left li")).to_contain_text("closed by the client with 1000")
        expect(shown.who).to_have_count(2)
        expect(shown.root.locator(".ws-client[data-gone=true]")).to_have_text("analeft")
        ana.button("Connect ana").click()
        expect(shown.who).to_have_count(3)
        expect(ana.lines.last).to_contain_text("welcome your id here is ")
        assert shown.who.nth(2).locator("td").first.inner_text() != first
        expect(ana.rooms).to_have_count(0)

        toggle = notebook.cell(1).get_by_role("button", name="Show packets")
        toggle.click()
        expect(toggle).to_have_attribute("aria-pressed", "true")
        expect(ben.root.locator(".ws-raw").first).to_contain_text('{"event":"welcome"')
        shown.root.locator("summary", has_text="The same in words").click()
        words = shown.root.locator(".ws-words li")
        expect(words.filter(has_text="from ana to lobby")).to_have_count(2)
        expect(words.filter(has_text="left out by skip=: ana").first).to_be_visible()
        assert complaints(notebook) == []


def test_run_again_loaded_again_and_restarted(lab: Lab, expect):
    path = lab.write("rooms_again.ipynb", [SERVE, CHAT, "panel", "hub"])
    with lab.open(path) as notebook:
        notebook.run_all()
        old = notebook.cell(2)
        notebook.run_cell(1)
        expect(old).to_contain_text("This panel has ended: its cell ran again")
        expect(old.locator(".ws-player button:visible")).to_have_count(0)
        expect(Map(notebook, 0).who).to_have_count(3)
        expect(Map(notebook, 3).who).to_have_count(3)

        notebook.command("docmanager:save")
        notebook.reload()
        notebook.wait_ready()
        ana = Player(notebook, 1, "ana")
        ana.button("ana joins the room").click()
        expect(ana.rooms).to_have_count(1)
        expect(Map(notebook, 0).rooms).to_have_count(1)

        notebook.run_cell(0)  # a new hub: the old one's server and clients go
        expect(notebook.cell(1)).to_contain_text("closed")
        expect(Map(notebook, 0).root).to_contain_text("Nobody is connected.")
        ana.button("Connect ana").click()  # on the same port: to the new hub
        expect(Map(notebook, 0).who).to_have_count(1)

        notebook.restart_kernel()
        for index in (0, 1, 3):
            expect(notebook.cell(index).locator(".wslab")).to_contain_text(GONE)
        expect(ana.button("ana joins the room")).to_have_attribute("aria-disabled", "true")
        assert complaints(notebook) == []


STATES = {
    "chat": """
panel = ChatPanel(hub)
for player in panel:
    player.join("lobby")
panel["ana"].join("a room with a rather long name")
panel["ben"].join("garden")
panel["ana"].say("hello all of you", "lobby")
time.sleep(0.1)
panel["cleo"].leave("lobby")
panel["ben"].say("boom", "lobby")
panel["ben"].client.emit("nope", 3)
panel["ben"].say("again, and a text of a length that has to be wrapped " * 3, "lobby")
panel["cleo"].disconnect()
hub.emit("news", [1, 2, 3])
hub.broadcast(bytes(3))
panel""",
    "map": "hub",
    "who": "WhoIsHere(hub)",
    "crowd": """
import websockets
crowd = wslab.Hub("a crowd", backlog=3)
shown = RoomMap(crowd)
many = wslab.serve(crowd)

@crowd.on("connect")
async def connect(client):
    client.join("all")
    client.join("even" if len(crowd.clients) % 2 else "odd")

async def come():
    people = [await websockets.connect(many.url, compression=None) for _ in range(199)]
    slow = await websockets.connect(many.url, compression=None, max_queue=1)
    slow.transport.pause_reading()
    return people, slow

people, slow = wslab.run(come)
last = list(crowd.clients.values())[-1]
last.name = "slow one"
crowd.broadcast(bytes(12_000_000), to=last)
for number in range(30):
    skip = last if number % 5 == 1 else None
    crowd.emit("tick", {"n": number}, to="odd" if number % 3 else None, skip=skip)
shown""",
    "nobody": "empty = wslab.Hub('nobody here')\nempty",
    "plain": """
from IPython.display import HTML
from wslab.widgets.display import hub_mimebundle
HTML(hub_mimebundle(hub)["text/html"] + panel.forms()["text/html"])""",
}
EVERYTHING = CONTRASTS.replace(".ws-panel *", ".wslab *")


def test_looks(lab: Lab, expect):
    folder = keep_screenshots()
    viewport = {"width": 1280, "height": 1400}
    path = lab.write("rooms_looks.ipynb", [SERVE, *STATES.values()])
    with lab.open(path, viewport=viewport) as notebook:
        notebook.run_all()
        assert notebook.errors() == []
        crowd = Map(notebook, 4)
        expect(crowd.root).to_contain_text("and 188 more")
        expect(crowd.who).to_have_count(12)
        expect(crowd.messages).to_have_count(20)
        expect(crowd.root.locator("thead .ws-client")).to_have_count(9)  # and one for the others
        expect(crowd.messages.last.locator(".ws-rest")).to_contain_text(" sent")
        for theme, width in ((LIGHT, 1280), (DARK, 1280), (LIGHT, 640)):
            notebook.set_theme(theme)
            notebook.resize(width, 1400)
            if width == 640:
                notebook.command("application:toggle-left-area")
                expect(Map(notebook, 2).root.locator(".ws-who thead")).to_be_hidden()
            contrasts = notebook.page.evaluate(EVERYTHING)
            assert len(contrasts) > 200
            assert [pair for pair in contrasts if pair[0] < 4.5] == []
            # Nothing sticks out of its view but what scrolls within it.
            assert (
                notebook.page.evaluate(
                    """() => [...document.querySelectorAll(".wslab")]
                     .filter(one => one.scrollWidth > one.clientWidth + 1).length"""
                )
                == 0
            )
            for index, name in enumerate(STATES, 1):
                if folder:
                    notebook.screenshot(
                        folder / f"rooms-{name}-{theme[11:].lower()}-{width}.png", index=index
                    )
        assert complaints(notebook) == []
