"""A Browser where no script runs: text and HTML."""

from __future__ import annotations

from tests.widgets.browser.page import OPENED, URL, Page, message
from wslab.widgets import Browser


def test_as_text_and_html():
    browser = Browser(URL, name="<it>")
    assert "Nothing has happened yet" in str(browser)
    page = Page(browser)
    page.batch(OPENED, message("<b>hi</b>"), says=[{"socket": 0, "ready_state": 1}])
    text = str(browser).splitlines()
    assert text[1].split() == ["time", "state", "what", "detail"]
    assert text[3].endswith('OPEN   message  "<b>hi</b>"')
    data, _ = browser._repr_mimebundle_()
    assert "<b>hi</b>" not in data["text/html"]
    assert "&lt;b&gt;hi&lt;/b&gt;" in data["text/html"]
    assert "&lt;it&gt;" in data["text/html"]
    assert data["text/plain"] == str(browser)
    assert "application/vnd.jupyter.widget-view+json" in data
    for number in range(40):
        page.batch(message(str(number)))
    assert "the last 30 of 42 events" in str(browser)
    several = Browser(URL, count=2)
    Page(several).batch(message("x", 1))
    assert "socket" in str(several)
