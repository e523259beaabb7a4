"""What the Inspector sends to its pages, and when."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator

import pytest

from tests.widgets.inspector.tapes import (
    HELLO,
    REQUEST,
    SERVER,
    opened,
)
from wslab.widgets import live
from wslab.widgets.inspector import feed as feeds
from wslab.widgets.inspector.inspector import Inspector
from wslab.wire.tape.tape import Tape
from wslab.wire.tape.track import Track


@pytest.fixture
def shown(monkeypatch) -> Iterator[tuple[Inspector, list, Track]]:
    """An Inspector with one connection, whose messages to pages are collected."""
    monkeypatch.setattr(live, "watch", lambda view: None)
    tape = Tape(name="echo")
    track = opened(tape)
    inspector = Inspector(tape)
    sent: list = []
    inspector.send = lambda content, buffers=None: sent.append((content, buffers))  # type: ignore[method-assign]
    yield inspector, sent, track
    inspector.close()


def ready(inspector: Inspector, page: str = "p1") -> None:
    inspector._on_msg(inspector, {"type": "ready", "page": page}, [])


def test_nothing_is_read_until_somebody_looks(shown):
    inspector, sent, _ = shown
    assert inspector.is_watched is False
    assert inspector.refresh() == 0
    assert inspector._feed is None
    assert sent == []


def test_a_page_gets_all_rows_first_and_then_the_new_ones(shown):
    inspector, sent, track = shown
    ready(inspector)
    assert inspector.is_watched
    assert inspector.refresh() > 0
    batch, buffers = sent.pop()
    assert batch["reset"] is True
    assert [row["what"] for row in batch["rows"]] == ["request", "response"]
    assert set(batch["lanes"]) == {0, 1}
    assert batch["texts"][0] == 0
    assert inspector.refresh() == 0
    track.client(HELLO)
    inspector.refresh()
    batch, buffers = sent.pop()
    assert "reset" not in batch
    assert [row["label"] for row in batch["rows"]] == ["Hello"]
    assert buffers == [HELLO]
    assert batch["numbers"]["client"]["frames"] == 1


def test_a_connection_without_a_row_is_told_of_with_its_first(shown):
    inspector, sent, _ = shown
    [tape] = inspector._sources.tapes
    silent = tape.open("7f3a22", side="server", label="bob", server_address=SERVER)
    ready(inspector)
    inspector.refresh()
    assert "bob" not in {lane["name"] for lane in sent.pop()[0]["lanes"].values()}
    silent.client(REQUEST)
    inspector.refresh()
    batch, _ = sent.pop()
    assert "reset" not in batch
    assert {row["lane"] for row in batch["rows"]} <= set(batch["lanes"])


@pytest.mark.browser
def test_a_page_draws_nothing_of_what_was_on_its_way_before_it_has_come(shown, page, expect):
    inspector, sent, track = shown
    ready(inspector)
    inspector.refresh()
    track.client(HELLO)
    inspector.refresh()
    batches = [[content, base64.b64encode(buffers[0]).decode()] for content, buffers in sent]
    names = ("title", "height", "max_rows", "paused", "state", "failure", "folds_keepalive")
    state = {name: getattr(inspector, name) for name in names}
    console: list[str] = []
    page.on("console", lambda message: console.append(message.text))
    page.set_content("<div></div>")
    page.evaluate(
        """async ([script, state, batches]) => {
          const url = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
          const view = (await import(url)).default(), handlers = [];
          const model = {
            get: (name) => state[name],
            on: (name, handler) => name === "msg:custom" && handlers.push(handler),
            off() {}, send() {}, set() {}, save_changes() {},
          };
          view.initialize({ model });
          view.render({ model, el: document.querySelector("div") });
          window.hear = (nth) => {
            const [content, data] = batches[nth];
            const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
            for (const handler of handlers) handler(content, [new DataView(bytes.buffer)]);
          };
        }""",
        [inspector._esm, state, batches],
    )
    rows = page.locator(".wi-row")
    for nth, count in ((1, 0), (0, 2), (1, 3)):
        page.evaluate("nth => window.hear(nth)", nth)
        page.evaluate("() => new Promise(requestAnimationFrame)")
        expect(rows).to_have_count(count)
    assert console == []


def test_a_batch_is_bounded_and_the_rest_follows(shown):
    inspector, sent, track = shown
    for _ in range(400):
        track.client(HELLO)
    ready(inspector)
    while inspector.refresh():
        pass
    assert max(len(batch["rows"]) for batch, _ in sent) <= feeds.ROWS_A_TICK
    numbers = [row["n"] for batch, _ in sent for row in batch["rows"] if "n" in row]
    assert numbers == list(range(1, 401))


def test_when_the_last_page_is_gone_nothing_is_kept(shown):
    inspector, _, _ = shown
    ready(inspector)
    inspector.refresh()
    inspector._on_msg(inspector, {"type": "gone", "page": "p1"}, [])
    assert inspector.is_watched is False
    assert inspector._feed is None


def test_before_a_page_answers_the_rows_wait_for_it(shown):
    inspector, sent, track = shown
    inspector._repr_mimebundle_()
    inspector.refresh()
    assert len(inspector.early["rows"]) == 2
    track.client(HELLO)
    inspector.refresh()
    assert inspector.early["rows"][-1]["label"] == "Hello"
    assert inspector.early["data"] == HELLO
    assert sent == []
    ready(inspector)
    inspector.refresh()
    assert inspector.early == {}
    assert sent[0][0]["reset"] is True


def test_clear_counts_from_here_on_and_lasts(shown):
    inspector, sent, track = shown
    track.client(HELLO)
    ready(inspector)
    inspector.refresh()
    inspector.clear()
    track.client(HELLO)
    inspector.refresh()
    batch, _ = sent.pop()
    assert batch["reset"] is True
    assert batch["base"]["client"]["frames"] == 1
    assert [row["n"] for row in batch["rows"]] == [2]
    ready(inspector, "another page")
    inspector.refresh()
    assert [row["n"] for row in sent.pop()[0]["rows"]] == [2]


def test_clear_from_a_page_is_taken(shown):
    inspector, sent, _ = shown
    ready(inspector)
    inspector.refresh()
    batch, _ = sent.pop()
    at = batch["rows"][-1]["at"]
    content = {"type": "clear", "at": at, "base": batch["numbers"], "page": "p1"}
    inspector._on_msg(inspector, content, [])
    ready(inspector, "p2")
    inspector.refresh()
    assert sent.pop()[0]["rows"] == []


def test_what_a_page_sends_wrong_is_shown_and_not_raised(shown):
    inspector, _, _ = shown
    inspector._on_msg(inspector, {"type": "clear"}, [])
    assert "KeyError" in inspector.failure


def test_pause_is_a_trait_that_pages_follow(shown):
    inspector, _, _ = shown
    inspector.pause()
    assert inspector.paused is True
    inspector.resume()
    assert inspector.paused is False


def test_a_tick_does_not_wait_for_a_page_that_is_being_read_for(shown):
    import threading

    inspector, _, track = shown
    ready(inspector)
    inspector.refresh()
    track.client(HELLO)
    held, go = threading.Event(), threading.Event()

    def hold() -> None:
        with inspector._mutex:
            held.set()
            go.wait(5)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(5)
    began = time.perf_counter()
    assert inspector.refresh() == 0
    assert time.perf_counter() - began < 1
    go.set()
    thread.join()
    assert inspector.refresh() > 0
