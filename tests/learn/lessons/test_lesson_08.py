"""Lesson 08's check: its solution, other right ways, the stub, and plausible wrong ones; the page
that rehearses an effect; and the lesson run twice in one kernel.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import re
import threading
import time

import pytest
import websockets.sync.client
from websockets import ConnectionClosed, connect
from websockets.protocol import State

import wslab
from tests.kernels import Kernel, lost
from tests.learn import rig
from tests.learn.rig import COURSE, cells, solution
from wslab.learn import NotYet, check
from wslab.learn.lessons import lesson_08
from wslab.learn.lessons.lesson_08 import effect_page

LESSON = "08_again"


@pytest.fixture
def impatient(monkeypatch):
    """Wait less long for what a wrong cell never does."""
    for name in ("RUN_S", "OPEN_S", "ANSWER_S"):
        monkeypatch.setattr(lesson_08, name, 1.0)


async def echo(socket, *_):
    with contextlib.suppress(ConnectionClosed):
        async for message in socket:
            await socket.send(message)


def test_the_solution_passes_every_time():
    cell = solution("08_again").cell
    for _ in range(3):
        verdict = check("08 again", cell)
        assert verdict, str(verdict)
        assert verdict.took_s < 40
    assert "each run opened one" in verdict.seen
    assert "each of 9 random texts crossed one wire" in verdict.seen


# Right ways; each is made anew for a check.


def keeps_one_that_lives():
    kept = {}

    async def cell(url):
        if "socket" in kept and kept["socket"].state is State.OPEN:
            return
        kept["socket"] = socket = await connect(url)
        kept["task"] = asyncio.create_task(echo(socket))

    return cell


def breaks_off():
    """Cut the old connection instead of closing it: it is gone all the same."""
    kept = {}

    async def cell(url):
        if "socket" in kept:
            kept["socket"].transport.abort()
            await kept["socket"].wait_closed()
        kept["socket"] = socket = await connect(url)
        kept["task"] = asyncio.create_task(echo(socket))

    return cell


def cancels_a_task_that_closes():
    """Let the task own its connection; whoever cancels it, and waits, has closed it."""
    kept = {}

    async def serve(url, is_open):
        async with connect(url) as socket:
            is_open.set()
            await echo(socket)

    async def cell(url):
        if "task" in kept:
            kept["task"].cancel()
            await asyncio.wait([kept["task"]])
        is_open = asyncio.Event()
        kept["task"] = asyncio.create_task(serve(url, is_open))
        await is_open.wait()

    return cell


class Again:
    """A plain function's class, with websockets' threading client."""

    def __init__(self):
        self.socket = None

    def __call__(self, url):
        if self.socket is not None:
            self.context.close()
            self.thread.join()
        self.context = contextlib.ExitStack()
        self.socket = self.context.enter_context(websockets.sync.client.connect(url))
        self.thread = threading.Thread(target=self.listen, args=[self.socket], daemon=True)
        self.thread.start()

    def listen(self, socket):
        for message in socket:
            socket.send(message)


def with_wslab():
    kept = {}

    def listen(client):
        with contextlib.suppress(ConnectionClosed):
            for message in client:
                client.send(message)

    def cell(url):
        if "client" in kept:
            kept["client"].close()
        kept["client"] = client = wslab.connect(url, keep=True)
        threading.Thread(target=listen, args=[client], daemon=True).start()

    return cell


def opens_in_the_background():
    """Return at once; the task closes the old one and opens the new one."""
    kept = {}

    async def start(url):
        if "socket" in kept:
            await kept["socket"].close()
        kept["socket"] = socket = await connect(url)
        await echo(socket)

    def cell(url):
        kept["task"] = asyncio.get_running_loop().create_task(start(url))

    return cell


def with_more():
    async def cell(kept, url):
        if kept:
            await kept.pop().close()
        kept.append(await connect(url))
        tasks.append(asyncio.create_task(echo(kept[0])))

    tasks = []
    return functools.partial(cell, [])


RIGHT = [
    keeps_one_that_lives,
    breaks_off,
    cancels_a_task_that_closes,
    Again,
    with_wslab,
    opens_in_the_background,
    with_more,
]


@pytest.mark.parametrize("make", RIGHT, ids=[make.__name__ for make in RIGHT])
def test_other_right_ways_pass(make):
    right = make()
    verdict = check("08 again", right)
    assert verdict, str(verdict)
    assert wslab.learn.left_open().tasks == 0
    again = check("08 again", right)  # what is left of one check is dead in the next
    if make is cancels_a_task_that_closes:  # and a task of a dead loop cannot be awaited
        assert "Run the exercise's cell again" in again.hint
    else:
        assert again, str(again)


def test_the_way_that_keeps_one_is_told_so():
    assert "left the first one's alone" in check("08 again", keeps_one_that_lives()).seen


def stub(change=lambda source: source):
    namespace = {"NotYet": NotYet, "asyncio": asyncio, "connect": connect}
    source = cells(LESSON)
    exec(source["exercise-given"], namespace)
    exec(change(source["exercise-again"]), namespace)
    return namespace["cell"]


def test_the_stub_in_the_notebook_is_not_yet():
    verdict = check("08 again", stub())
    assert verdict.passed is None
    assert verdict.took_s < 20
    assert check("08 again", ...).passed is None


def test_a_not_yet_that_is_left_over_is_not_yet():
    kept = []

    async def cell(url):
        if kept:
            raise NotYet
        kept.append(await connect(url))
        kept.append(asyncio.create_task(echo(kept[0])))

    assert check("08 again", cell).passed is None


# Plausible wrong ones.


def without_the_line():
    """Only take out NotYet."""
    return stub(lambda source: source.replace("raise NotYet", "pass"))


def closes_and_lets_the_list_grow():
    """Fix the connection, and not the list of handlers."""
    return stub(lambda source: source.replace("raise NotYet", "if socket: await socket.close()"))


def tends_the_list_only():
    return stub(
        lambda source: source.replace("raise NotYet", "handlers.clear()"),
    )


def assigns_without_listening():
    kept = {}

    async def cell(url):
        kept["socket"] = await connect(url)

    return cell


def closes_after_opening():
    kept = {}

    async def cell(url):
        old = kept.get("socket")
        kept["socket"] = socket = await connect(url)
        kept["task"] = asyncio.create_task(echo(socket))
        if old is not None:
            await old.close()

    return cell


def forgets_await():
    """Swallow what goes wrong: a coroutine that nobody awaits closes nothing."""
    kept = {}

    async def cell(url):
        try:
            kept["socket"].close().close()
        except Exception:
            pass
        kept["socket"] = socket = await connect(url)
        kept.setdefault("tasks", []).append(asyncio.create_task(echo(socket)))

    return cell


def deletes_the_name():
    kept = {}

    async def cell(url):
        kept.pop("socket", None)
        kept["socket"] = socket = await connect(url)
        kept.setdefault("tasks", []).append(asyncio.create_task(echo(socket)))

    return cell


def cancels_the_task_only():
    kept = {}

    async def cell(url):
        if "task" in kept:
            kept["task"].cancel()
        kept["socket"] = socket = await connect(url)
        kept["task"] = asyncio.create_task(echo(socket))

    return cell


def relies_on_wslab():
    def listen(client):
        with contextlib.suppress(ConnectionClosed):
            for message in client:
                client.send(message)

    def cell(url):
        client = wslab.connect(url)
        threading.Thread(target=listen, args=[client], daemon=True).start()

    return cell


def runs_once():
    kept = []

    async def cell(url):
        if kept:
            return
        kept.append(await connect(url))
        kept.append(asyncio.create_task(echo(kept[0])))

    return cell


def uses_one_that_is_dead():
    kept = {}

    async def cell(url):
        if "socket" not in kept:
            kept["socket"] = await connect(url)
            kept["task"] = asyncio.create_task(echo(kept["socket"]))
        await kept["socket"].ping()

    return cell


def closes_and_opens_no_other():
    kept = {}

    async def cell(url):
        if "socket" in kept:
            await kept.pop("socket").close()
            return
        kept["socket"] = socket = await connect(url)
        kept["task"] = asyncio.create_task(echo(socket))

    return cell


def only_while_it_runs():
    async def cell(url):
        async with connect(url) as socket:
            await socket.send(await socket.recv())

    return cell


def does_nothing():
    async def cell(url):
        pass

    return cell


def swallows_all():
    async def cell(url):
        with contextlib.suppress(Exception):
            await connect("ws://127.0.0.1:1/")

    return cell


def listens_itself():
    async def cell(url):
        async with connect(url) as socket:
            await echo(socket)

    return cell


def answers_nothing():
    kept = {}

    async def cell(url):
        if "socket" in kept:
            await kept["socket"].close()
        kept["socket"] = await connect(url)

    return cell


def answers_in_capitals():
    kept = {}

    async def shout(socket):
        async for message in socket:
            await socket.send(f"{message}!")

    async def cell(url):
        if "socket" in kept:
            await kept["socket"].close()
        kept["socket"] = socket = await connect(url)
        kept["task"] = asyncio.create_task(shout(socket))

    return cell


def answers_in_bytes():
    kept = {}

    async def reply(socket):
        async for message in socket:
            await socket.send(message.encode())

    async def cell(url):
        if "socket" in kept:
            await kept["socket"].close()
        kept["socket"] = socket = await connect(url)
        kept["task"] = asyncio.create_task(reply(socket))

    return cell


def does_not_await_the_close():
    """The solution without one word: a coroutine that nobody awaits closes nothing."""
    kept = {}

    async def cell(url):
        if "socket" in kept:
            kept["socket"].close()
        kept["socket"] = socket = await connect(url)
        kept.setdefault("tasks", []).append(asyncio.create_task(echo(socket)))

    return cell


def returns_where_it_has_run():
    """Return early, whether what the first run opened lives or not."""
    kept = {}

    async def cell(url):
        if "socket" in kept:
            return kept["socket"]
        kept["socket"] = socket = await connect(url)
        kept["task"] = asyncio.create_task(echo(socket))
        return socket

    return cell


def raises():
    async def cell(url):
        raise KeyError(url[:5])

    return cell


def with_the_fix(close, *, handlers="handlers[:]"):
    """The solution, with another line that closes the last run's connection."""

    def make():
        def change(source):
            source = source.replace("    raise NotYet  ", "    pass  # ")
            source = source.replace("handlers.append(answer)", f"{handlers} = [answer]")
            return source.replace("    socket = await", f"    {close}\n    socket = await")

        return stub(change)

    return make


as_in_old_examples = with_the_fix("if socket and socket.open: await socket.close()")
forgets_the_first_run = with_the_fix("await socket.close()")
runs_a_loop_in_a_loop = with_the_fix("if socket: asyncio.run(socket.wait_closed())")
a_local_list = with_the_fix("if socket: await socket.close()", handlers="handlers")


def forgets_global():
    def change(source):
        source = source.replace("    raise NotYet  ", "    await socket.close()  # ")
        return source.replace("global socket, passing", "global passing")

    return stub(change)


def two_arguments():
    async def cell(url, socket):
        pass

    return cell


ALIVE = "the one before, and this run opened no other"
NAME = "a new value for a name closes nothing"
WRONG = [
    (without_the_line, "2 are open", NAME),
    (tends_the_list_only, "2 are open", NAME),
    (assigns_without_listening, "nothing came back", "send each message back"),
    (deletes_the_name, "2 are open", NAME),
    (cancels_the_task_only, "2 are open", NAME),
    (relies_on_wslab, "2 are open", NAME),
    (forgets_await, "2 are open", NAME),
    (closes_after_opening, "crossed 2 wires: connection 2 opened while", "close the old"),
    (closes_and_lets_the_list_grow, "came back 2 times; on the wire: text ", "A function in a"),
    (runs_once, ALIVE, "does not say that it lives"),
    (uses_one_that_is_dead, "ConnectionClosed", "fix what your cell raised"),
    (closes_and_opens_no_other, "none is open", "opened 1 so far"),
    (only_while_it_runs, "none is open", "opened 1 so far"),
    (does_nothing, "none ever was", "connect to the URL"),
    (swallows_all, "none ever was", "connect to the URL"),
    (listens_itself, "after 1 s it still waits", "let a task do that"),
    (as_in_old_examples, "no attribute 'open'", "ask `socket.state`"),
    (forgets_the_first_run, "'NoneType' object", "in the first run there is no connection yet"),
    (runs_a_loop_in_a_loop, "asyncio.run()", "`await` takes the place of asyncio.run"),
    (a_local_list, "nothing came back", "makes a new local name"),
    (forgets_global, "UnboundLocalError", "unless `global` names it"),
    (answers_nothing, "nothing came back", "send each message back"),
    (answers_in_capitals, "!' came", "send each message back"),
    (answers_in_bytes, "b'", "send each message back as it is"),
    (does_not_await_the_close, "2 are open", "without `await` in front"),
    (returns_where_it_has_run, ALIVE, "does not say that it lives"),
    (raises, "KeyError: 'ws://'", "fix what your cell raised"),
    (two_arguments, "cell(url, socket)", "called with the server's URL"),
]


IDS = [f"{number}-{one[0].__name__}" for number, one in enumerate(WRONG)]


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.parametrize(("make", "seen", "hint"), WRONG, ids=IDS)
@pytest.mark.usefixtures("impatient")
def test_plausible_wrong_ones_are_refused(make, seen, hint):
    wrong = make()
    verdict = check("08 again", wrong)
    assert verdict.passed is False, verdict
    assert seen in verdict.seen, verdict
    assert hint in verdict.hint, verdict
    assert verdict.took_s < 32


KEEPS_ONE = """async def answer(socket, message):
    await socket.send(message)

async def cell(url):
    global socket, passing
    if answer not in handlers:
        handlers.append(answer)
    if socket is None or socket.state.name != "OPEN":
        socket = await connect(url)
        passing = asyncio.create_task(pass_on(socket))
"""


@pytest.mark.usefixtures("impatient")
def test_what_an_earlier_try_left_is_not_held_against_a_right_one():
    namespace = {"NotYet": NotYet, "asyncio": asyncio, "connect": connect}
    source = cells(LESSON)
    head, _, tail = source["exercise-again"].partition("async def cell")
    naive = head + "async def cell" + tail.replace("    raise NotYet", "    pass  # no NotYet")
    exec(source["exercise-given"], namespace)
    exec(naive, namespace)
    assert "2 are open" in check("08 again", namespace["cell"]).seen
    # Typed below what it should replace, or without the line that begins anew: it says what to do.
    exec("socket = None\n\n" + KEEPS_ONE, namespace)
    verdict = check("08 again", namespace["cell"])
    assert verdict.passed is False
    assert verdict.expected == "after run 1 each message comes back once"
    assert "an earlier try are still in `handlers`" in verdict.hint
    assert "Run the cell with `handlers = []` again" in verdict.hint
    exec(source["exercise-given"], namespace)
    exec("socket = None\n\n" + KEEPS_ONE, namespace)
    assert check("08 again", namespace["cell"])
    # With that line, nothing is left of the earlier try.
    exec(naive, namespace)
    assert not check("08 again", namespace["cell"])
    exec(head + KEEPS_ONE, namespace)
    verdict = check("08 again", namespace["cell"])
    assert verdict, str(verdict)


def test_a_coroutine_and_a_number_are_refused():
    for thing in (does_nothing()("ws://x/"), 42):
        verdict = check("08 again", thing)
        assert verdict.passed is False
        assert verdict.expected == "`async def cell(url)`, or `def cell(url)`"


@pytest.mark.usefixtures("impatient")
def test_a_cell_that_blocks_ends_in_time():
    def cell(url):
        while True:
            time.sleep(0.01)

    verdict = check("08 again", cell)
    assert verdict.passed is False
    assert "after 1 s it holds its event loop: " in verdict.seen
    assert "test_lesson_08.py" in verdict.seen
    assert verdict.took_s < 40


def test_a_connection_of_another_loop_is_explained():
    """Somebody has tried the cell in the notebook: its name holds a connection of that loop."""
    module = solution("08_again")

    async def tried():
        async def quiet(socket):
            async for _ in socket:
                pass

        async with websockets.serve(quiet, "127.0.0.1", 0) as server:
            await module.cell(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
            verdict = check("08 again", module.cell)  # holds this loop, as a cell does
            await module.socket.wait_closed()
        return verdict

    verdict = asyncio.run(tried())
    assert verdict.passed is False
    assert "Run the exercise's cell again" in verdict.hint


# The page that rehearses an effect; tests/lab/ presses its buttons.


def test_the_page_shows_and_runs_the_effect():
    page = effect_page("() => {\n  show('<b>');\n}")
    assert "() =&gt; {\n  show(&#x27;&lt;b&gt;&#x27;);\n}</pre>" in page
    assert "const effect = () => {\n  show('<b>');\n};" in page
    assert "%" not in page.replace("100%", "")


def test_the_lesson_shows_both_effects():
    source = cells(LESSON)
    assert "return () => socket.close();" in source["cleanup"]
    assert "return" not in source["effect"]


# The lesson in one kernel, twice.


def assert_one_after_the_other(said: str) -> None:
    """The picture of the fix: three that end at once, and three that follow each other."""
    head, *rows = said[said.index("6 connections in") :].splitlines()
    assert re.fullmatch(r"6 connections in \d+ ms, 1 open now", head)
    zombies, (first, second, last) = rows[:3], rows[3:]
    assert all(re.search(r"until \d+ ms: closed by the server, 1012", row) for row in zombies)
    spans = [
        [int(ms) for ms in re.findall(r"(\d+) ms to (\d+) ms: closed by the client, 1000", row)[0]]
        for row in (first, second)
    ]
    spans.append([int(re.findall(r"open since (\d+) ms; messages to it: 1", last)[0])])
    assert spans[0][0] < spans[0][1] <= spans[1][0] < spans[1][1] <= spans[2][0]
    drawn = [row[5:65] for row in (first, second, last)]
    assert all(one.count("-") > 2 for one in drawn)  # there is something to be seen


@pytest.mark.kernel
def test_the_lesson_twice_in_one_kernel():
    source = cells(LESSON)
    with Kernel() as kernel:
        for _ in range(2):
            ran = kernel.run_all(list(source.values()), cell_ids=list(source), timeout=60)
            assert lost(ran) == []
            assert [cell.error for cell in ran if cell.error] == []
            told = dict(zip(source, (cell.text for cell in ran), strict=True))
            assert "open connections: 3\n" in told["how-many-compare"]
            assert "heard: ['rain', 'rain', 'rain']" in told["rain"]
            assert "the wire says  3: one for each run" in told["how-many-compare"]
            assert "the wire says  once for each connection" in told["rain-compare"]
            assert "['rain', 'rain', 'rain', 'sun']" in told["fixed-run"]
            assert_one_after_the_other(told["fixed-run"])
            assert "the wire says  yes" in told["transfer-compare"]
            assert "08 again: not yet" in told["exercise-check"]
            # Once more after all that came since: only the texts count.
            ran = kernel.run_all([source["rain-compare"]], cell_ids=["rain-compare"], timeout=20)
            assert [cell.error for cell in ran] == [None]
            assert "the wire says  once for each connection" in ran[0].text
            assert told["the-end"] == "open connections: 0, servers: 0, tasks: 0"


AGAIN = (
    *("how-many-compare", "rain-compare", "recall-compare", "fixed-run", "wslab-cell"),
    *("wslab-cell", "mount-compare", "effect", "cleanup-count", "exercise-check"),
    *("transfer-start", "transfer-compare", "fixed", "fixed-run", "transfer-compare"),
)


@pytest.mark.kernel
def test_its_cells_run_again_in_another_order():
    """Slowly, too: a keepalive ping comes between any two."""
    sources = cells(LESSON)
    del sources["the-end"]
    with Kernel(cwd=COURSE) as kernel:
        kernel.check(rig.SHORT_KEEPALIVE)
        for id in (*sources, *AGAIN):
            ran = kernel.run(sources[id], cell_id=id)
            assert ran.error is None, (id, ran.error)
            if id == "how-many-compare":  # also after the fix, which leaves one
                assert "the wire says  3: one for each run" in ran.text
            kernel.check(rig.PAUSE)
