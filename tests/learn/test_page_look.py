"""The pages of lessons follow the theme of the notebook around them, where they may see it."""

from __future__ import annotations

import re

import pytest

from tests.browser import Sync
from wslab.learn.lessons.lesson_08 import effect_page
from wslab.learn.lessons.lesson_12 import PAGE_WITH_A_SOCKET
from wslab.learn.lessons.lesson_13 import STOCK_PAGE
from wslab.learn.page_look import PAGE_LOOK

PAGES = {"08": effect_page("() => {}"), "12": PAGE_WITH_A_SOCKET, "13": STOCK_PAGE}


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_every_page_of_a_lesson_has_it(page):
    assert PAGE_LOOK in page
    assert not re.search(r"%[A-Z]+%", page)


@pytest.mark.browser
def test_the_theme_around_it_counts(chromium: Sync, expect):
    context = chromium.new_context(color_scheme="light")
    try:
        page = context.new_page()
        page.set_content('<body data-jp-theme-light="false"><iframe></iframe>')
        page.evaluate("html => { document.querySelector('iframe').srcdoc = html; }", PAGE_LOOK)
        body = page.frame_locator("iframe").locator("body")
        expect(body).to_have_css("background-color", "rgb(17, 17, 17)")
        page.evaluate("document.body.dataset.jpThemeLight = 'true'")
        expect(body).to_have_css("background-color", "rgb(255, 255, 255)")

        page.set_content("<iframe sandbox=allow-scripts></iframe>")  # of another origin
        page.evaluate("html => { document.querySelector('iframe').srcdoc = html; }", PAGE_LOOK)
        expect(body).to_have_css("background-color", "rgb(255, 255, 255)")
        page.emulate_media(color_scheme="dark")
        expect(body).to_have_css("background-color", "rgb(17, 17, 17)")
    finally:
        context.close()
