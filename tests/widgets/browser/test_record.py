"""The record of events and the page's clock."""

from __future__ import annotations

import json

import pytest

from tests.widgets.browser.page import URL, Page, message
from wslab.widgets import Browser
from wslab.widgets.browser.record import (
    BrowserEvent,
    EventLog,
    PageClock,
    from_page,
    shown_data,
    to_page,
)


def test_the_record_is_bounded_and_counts():
    record = EventLog(max_events=3, max_bytes=100)
    for number in range(5):
        record.add(float(number), {"type": "message", "data": "x", "size_bytes": 1})
    assert [event.number for event in record.events] == [3, 4, 5]
    assert (record.dropped, record.seen) == (2, 5)
    record.add(6.0, {"type": "message", "data": b"y" * 99})
    assert [event.number for event in record.events] == [5, 6]
    record.add(7.0, {"type": "message", "data": b"z" * 500})  # the last one always stays
    assert [event.number for event in record.events] == [7]
    browser = Browser(URL)
    page = Page(browser)
    page.batch(dropped=12)
    assert browser.dropped == 12
    for number in range(1_002):
        page.batch(message(str(number)))
    assert (len(browser.received), browser.received_dropped) == (1_000, 2)


def test_the_pages_clock_is_mapped_onto_ours():
    clock = PageClock()
    assert clock.difference_s == 0.0
    clock.came(page_s=100.0, kernel_s=100.2)  # 0.2 s late, or its clock is behind
    assert clock.difference_s == 0.0
    clock.came(page_s=105.0, kernel_s=104.0)  # its clock is at least 1 s ahead
    assert clock.difference_s == -1.0
    clock.went(kernel_s=105.0, page_s=106.6)
    assert clock.difference_s == pytest.approx(-1.3)
    assert clock.kernel_s(110.0, now_s=200.0) == pytest.approx(108.7)
    assert clock.kernel_s(109.0, now_s=200.0) == pytest.approx(108.7)  # never backwards
    assert clock.kernel_s(300.0, now_s=200.0) == 200.0  # never after now
    clock.came(page_s=300.0, kernel_s=200.0)  # somebody set a clock
    assert clock.difference_s == -100.0


def test_an_event_goes_to_a_page_that_is_loaded_again_and_back():
    event = BrowserEvent(1, 5.0, "message", data="x" * 500, size_bytes=500, ready_state="OPEN")
    said = to_page(event)
    assert (said["at"], len(said["data"]), said["ready_state"]) == (5_000.0, 200, 1)
    binary = BrowserEvent(1, 5.0, "message", data=bytes(range(20)), size_bytes=20)
    assert to_page(binary)["hex"] == "00 01 02 03 04 05 06 07 08 09 0a 0b 0c 0d 0e 0f"
    fields = from_page(json.loads(json.dumps(said)), [], 1)
    assert (fields["type"], fields["size_bytes"]) == ("message", 500)
    assert shown_data(bytes(20), 20) == f"20 bytes: {bytes(16).hex(' ')} ..."
    assert shown_data("a\nb", 3) == '"a\\nb"'
