"""The frame editor in a real JupyterLab: bits flip, the bytes follow, a real server answers."""

from __future__ import annotations

import re

import pytest

from tests.lab.harness import DARK, LIGHT, Lab, keep_screenshots

pytestmark = [pytest.mark.browser, pytest.mark.kernel, pytest.mark.slow]

SETUP = """
import wslab
from wslab.widgets import FrameEditor

async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)

server = wslab.serve(echo, name="echo")
editor = FrameEditor(server)
editor
"""


def test_bits_fields_and_the_servers_answer(lab: Lab, expect):
    with lab.open(lab.write("frames.ipynb", [SETUP, "print(editor)"])) as notebook:
        notebook.run_cell(0)
        page = notebook.page
        view = page.locator(".ws-frame-editor")
        sent = view.locator(".ws-raw")
        expect(sent).to_have_text(re.compile(r"^81 85 (\w\w ){4}(\w\w ?){5}$"))
        send = view.get_by_role("button", name="Send")
        outcome = view.locator(".ws-verdict b")
        send.click()
        expect(outcome).to_have_text("text 'Hello'")

        view.get_by_role("button", name="MASK").click()
        expect(sent).to_have_text("81 05 48 65 6c 6c 6f ")
        send.click()
        expect(outcome).to_have_text("close 1002")
        expect(view.locator(".ws-why")).to_contain_text("incorrect masking")
        view.get_by_role("button", name="Put it all back").click()

        # The opcode is flipped bit by bit, or chosen; both say the same.
        view.get_by_role("button", name="opcode bit 8").click()
        expect(view.get_by_label("Opcode", exact=True)).to_have_value("9")
        view.get_by_label("Opcode", exact=True).select_option("10")
        expect(view.get_by_role("button", name="opcode bit 1")).to_have_attribute(
            "aria-pressed", "false"
        )
        view.get_by_role("button", name="Put it all back").click()
        view.get_by_label("Length, in bytes").fill("7")
        page.keyboard.press("Enter")
        expect(outcome).to_have_text("nothing")
        expect(view.locator(".ws-why")).to_contain_text("2 bytes more than came")
        view.get_by_label("Payload", exact=True).fill("zz")
        view.get_by_label("Payload is written as").select_option("hex")
        expect(view.locator(".ws-fault")).to_contain_text("pairs of hex digits")
        view.get_by_role("button", name="Put it all back").click()

        rows = view.locator(".ws-attempts li")
        expect(rows).to_have_count(3)
        rows.nth(1).get_by_role("button").click()
        expect(outcome).to_have_text("close 1002")
        notebook.run_cell(1)
        assert notebook.text(1).count("close 1002") == 1
        if folder := keep_screenshots():
            for theme in (DARK, LIGHT):
                notebook.set_theme(theme)
                notebook.screenshot(folder / f"frames-{theme.split()[-1].lower()}.png", index=0)
            notebook.resize(640)
            notebook.screenshot(folder / "frames-640.png", index=0)
        assert notebook.console == []
