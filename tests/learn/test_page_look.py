"""The pages of lessons follow the theme of the notebook around them."""

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
    context = chromium.new_context(color_scheme="null")  # else it is every frame's
    try:
        page = context.new_page()
        page.set_content("<iframe></iframe>")
        page.evaluate("html => { document.querySelector('iframe').srcdoc = html; }", PAGE_LOOK)
        body = page.frame_locator("iframe").locator("body")
        for scheme, paper in (("dark", "rgb(27, 31, 39)"), ("light", "rgb(255, 255, 255)")):
            page.evaluate("s => { document.documentElement.style.colorScheme = s; }", scheme)
            expect(body).to_have_css("background-color", paper)
    finally:
        context.close()
