"""The feed: each reader gets what comes after its number; what is kept has a bound in bytes."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tests.widgets.race.app import in_a_loop
from wslab.widgets.race.feed import Feed


def test_updates_count_from_one():
    feed = Feed()
    assert [feed.add(text) for text in "abc"] == [1, 2, 3]
    assert feed.since(0) == ["a", "b", "c"]
    assert feed.since(2) == ["c"]
    assert feed.since(3) == feed.since(9) == []


@in_a_loop
async def test_who_waits_is_woken_from_any_thread():
    feed = Feed()
    assert await feed.newer(0, within_s=0.01) is False
    waiting = [asyncio.create_task(feed.newer(0)) for _ in range(3)]
    await asyncio.sleep(0)
    adding = threading.Thread(target=feed.add, args=("news",))
    adding.start()
    assert await asyncio.wait_for(asyncio.gather(*waiting), 5) == [True] * 3
    adding.join()
    assert await feed.newer(0) is True
    assert not feed._waiting


@in_a_loop
async def test_each_gives_one_after_another_and_waits_for_more():
    feed = Feed()
    for text in "abc":
        feed.add(text)
    each = feed.each(1)
    assert [await anext(each), await anext(each)] == [(2, "b"), (3, "c")]
    later = asyncio.ensure_future(anext(each))
    await asyncio.sleep(0)
    feed.add("d")
    assert await asyncio.wait_for(later, 5) == (4, "d")
    await each.aclose()


@in_a_loop
async def test_who_gives_up_leaves_no_place_behind():
    feed = Feed()
    waiting = asyncio.create_task(feed.newer(0))
    await asyncio.sleep(0)
    assert len(feed._waiting) == 1
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert not feed._waiting


@in_a_loop
async def test_it_keeps_the_latest_and_says_what_it_dropped():
    feed = Feed(max_bytes=10)
    for text in ("aaaa", "bbbb", "cccc", "ü" * 20):
        feed.add(text)
    assert feed.dropped == 3
    assert feed.since(0) == ["ü" * 20]  # the newest stays, however long
    assert await anext(feed.each(0)) == (4, "ü" * 20)
