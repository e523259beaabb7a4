"""Lesson 16's checks: the solution, other right ways, the stub, and plausible wrong ones.

A wrong one is the solution with one line of it changed, so that what is told is about that line.
"""

from __future__ import annotations

import asyncio
import collections
import itertools
import threading
import time
import warnings

import pytest

import wslab
from tests.learn.rig import COURSE, cells, solution
from wslab.learn import NotYet, board_party, check, hint
from wslab.learn.board_guest import COLORS

LESSON = "16_project"
SOURCE = (COURSE / "solutions" / f"{LESSON}.py").read_text(encoding="utf-8")
STEPS = ("step 1", "step 2", "step 3", "step 4", "people")


@pytest.fixture
def impatient(monkeypatch):
    """Wait less long for what a wrong answer never brings."""
    monkeypatch.setattr(board_party, "WAIT_S", 0.7)


# Right ways; each passes all of them.


def checked(said):
    return solution(LESSON).checked(said)


def people_of(board):
    return [{"id": one.user_id, "name": one.name} for one in board.clients.values()]


def with_a_list():
    """As the hints say it."""
    board = wslab.Hub(history=200, rate=50)
    strokes, numbers = [], itertools.count(1)

    @board.on("connect")
    async def connect(client):
        client.name = client.query.get("name", "")[:24]
        await client.emit("picture", strokes)
        await board.emit("people", people_of(board))

    @board.on("disconnect")
    async def disconnect(client, why):
        await board.emit("people", people_of(board))

    @board.on("stroke")
    async def stroke(client, said):
        try:
            color, points = said["color"], said["points"]
            assert color in COLORS
            assert type(points) is list
            assert 1 <= len(points) <= 100
            for x, y in points:
                assert type(x) is type(y) is int
                assert 0 <= min(x, y) <= max(x, y) <= 1000
        except (AssertionError, KeyError, TypeError, ValueError):
            raise wslab.Refused("no stroke") from None
        drawn = {"id": next(numbers), "by": client.user_id, "color": color, "points": points}
        strokes.append(drawn)
        del strokes[:-200]
        await board.emit("stroke", drawn, skip=client)
        return drawn["id"]

    @board.on("undo")
    async def undo(client, nothing=None):
        own = [one["id"] for one in strokes if one["by"] == client.user_id][-1:]
        strokes[:] = [one for one in strokes if one["id"] not in own]
        await board.emit("gone", own)

    @board.on("clear")
    async def clear(client, nothing=None):
        gone = [one["id"] for one in strokes]
        strokes.clear()
        await board.emit("gone", gone)

    return board


class Whiteboard:
    """With methods, and a deque that forgets by itself; whole pictures in place of `gone`."""

    def __init__(self):
        self.hub = wslab.Hub(history=1000, rate=50, slow="disconnect")
        self.strokes = collections.deque(maxlen=200)
        self.count = 0
        for event in ("stroke", "undo", "clear", "connect", "disconnect"):
            self.hub.on(event, getattr(self, event))

    async def stroke(self, client, said):
        self.count += 1
        drawn = {"by": client.user_id, "id": self.count} | checked(said)
        self.strokes.append(drawn)
        self.hub.emit("stroke", drawn, skip=[client])
        return self.count

    async def undo(self, client, _):
        for nth in range(len(self.strokes) - 1, -1, -1):
            if self.strokes[nth]["by"] == client.user_id:
                del self.strokes[nth]
                break
        self.hub.emit("picture", list(self.strokes))

    async def clear(self, client, _):
        self.strokes.clear()
        self.hub.emit("picture", [])

    async def connect(self, client):
        client.name = client.query["name"][:24]
        client.emit("picture", list(self.strokes))
        self.hub.emit("people", people_of(self.hub))

    async def disconnect(self, client, why):
        self.hub.emit("people", people_of(self.hub))


def on_threads():
    """Plain functions, which run on threads, and a lock."""
    board, lock = wslab.Hub(history=200, rate=50), threading.Lock()
    strokes, numbers = {}, itertools.count(100)

    @board.on("stroke")
    def stroke(client, said):
        said = checked(said)
        with lock:
            number = next(numbers)
            strokes[number] = {"id": number, "by": client.user_id, **said}
            for old in list(strokes)[:-200]:
                del strokes[old]
            board.emit("stroke", strokes[number], skip=client)
        return number

    @board.on("connect")
    def connect(client):
        with lock:
            client.name = client.query.get("name", "someone")[:24]
            client.emit("picture", list(strokes.values()))
            board.emit("people", people_of(board))

    @board.on("disconnect")
    def disconnect(client, why):
        board.emit("people", people_of(board))

    def take(client, is_mine):
        with lock:
            gone = [n for n, one in strokes.items() if not is_mine or one["by"] == client.user_id]
            gone = gone[-1:] if is_mine else gone
            for number in gone:
                del strokes[number]
            board.emit("gone", gone)

    board.on("undo", lambda client, _: take(client, is_mine=True))
    board.on("clear", lambda client, _: take(client, is_mine=False))
    return board


def changed(*changes):
    """The solution, with some lines of it changed."""
    source = SOURCE
    for old, new in changes:
        assert old in source, old
        source = source.replace(old, new)
    namespace = {"__name__": "changed", "asyncio": asyncio, "time": time, "NotYet": NotYet}
    exec(source, namespace)
    return namespace["whiteboard"]


def only_to_newcomers():
    """Who comes back gets what was missed from the Hub's history, and no picture."""
    return changed(
        ('        client.emit("picture"', '        client.is_resumed or client.emit("picture"')
    )()


def in_a_room():
    return changed(
        ("        client.name =", '        client.join("board")\n        client.name ='),
        ("drawn, skip=client", 'drawn, to="board", skip=client'),
    )()


async def made_by_a_coroutine():
    return with_a_list()


RIGHT = {
    "solution": lambda: solution(LESSON).whiteboard(),
    "a list": with_a_list,
    "a class": lambda: Whiteboard().hub,
    "threads": on_threads,
    "only to newcomers": only_to_newcomers,
    "a room": in_a_room,
    "a coroutine function": made_by_a_coroutine,
}


@pytest.mark.parametrize("way", RIGHT)
@pytest.mark.parametrize("step", STEPS)
def test_right_answers_pass(step, way):
    verdict = check(f"16 {step}", RIGHT[way])
    assert verdict.passed is True, str(verdict)


def test_a_board_that_does_no_more_than_the_first_step_passes_it():
    def whiteboard():
        board = wslab.Hub()

        @board.on("stroke")
        async def stroke(client, said):
            board.emit("stroke", said, skip=client)

        return board

    assert check("16 step 1", whiteboard).passed is True
    assert check("16 step 2", whiteboard).passed is False


def up_to_step_2():
    board = wslab.Hub(history=200)
    strokes = []

    @board.on("stroke")
    async def stroke(client, said):
        strokes.append(said)
        board.emit("stroke", said, skip=client)

    @board.on("connect")
    async def connect(client):
        client.emit("picture", strokes)

    return board


def up_to_step_3():
    board = wslab.Hub(history=200, rate=50)
    strokes, numbers = [], itertools.count(1)

    @board.on("stroke")
    async def stroke(client, said):
        drawn = {"id": next(numbers), "by": client.user_id, **checked(said)}
        strokes.append(drawn)
        del strokes[:-200]
        board.emit("stroke", drawn, skip=client)
        return drawn["id"]

    @board.on("connect")
    async def connect(client):
        client.emit("picture", strokes)

    return board


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("whiteboard", "done"), [(up_to_step_2, 2), (up_to_step_3, 3)])
def test_a_board_that_grows_passes_as_many_steps_as_it_has(whiteboard, done):
    verdicts = [check(f"16 {step}", whiteboard) for step in STEPS[: done + 1]]
    assert [verdict.passed for verdict in verdicts] == [True] * done + [False], verdicts


# Stubs.


@pytest.mark.parametrize("step", STEPS)
def test_the_stub_in_the_notebook_is_not_yet(step):
    namespace = {"NotYet": NotYet}
    exec(cells(LESSON)["exercise-board"], namespace)
    assert check(f"16 {step}", namespace["whiteboard"]).passed is None
    assert check(f"16 {step}", ...).passed is None


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("step", STEPS[:-1])
def test_a_not_yet_that_is_left_over_is_not_yet(step):
    left = changed(("        number = next(numbers)", "        raise NotYet"))
    assert check(f"16 {step}", left).passed is None


# Wrong ones: what is changed, what is expected then, and the tip.

EMIT = '        board.emit("stroke", drawn, skip=client)\n'
APPEND = "        strokes[number] = drawn\n"
PICTURE = 'client.emit("picture", list(strokes.values()))'
OWN = 'if each["by"] == client.user_id'
LATER = "asyncio.get_running_loop().call_later"

WRONG_1 = {
    "to the sender, too": ([(", skip=client", "")], "to all others", "skip=client"),
    "to the sender only": ([("board.emit(\"stroke\", drawn, skip=client)",
        'client.emit("stroke", drawn)')], "", ""),
    "to nobody": ([(EMIT, "")], "stroke 1", "board.emit"),
    "another event": ([('emit("stroke"', 'emit("line"')], "stroke 1", "board.emit"),
    "no such handler": ([('@board.on("stroke")', '@board.on("line")')], "to be taken", "board.on"),
    "another shape": ([('"points": points}', '"points": points[::-1]}')], "were drawn", "points"),
    "another color": ([('"color": stroke["color"]', '"color": "green"')], "were drawn", "color"),
    "twice": ([(EMIT, EMIT + EMIT)], "each stroke once", ""),
    "to an empty room": ([("drawn, skip=client", 'drawn, to="board", skip=client')], "stroke 1",
        "board.emit"),
    "some are lost": ([(EMIT, "        if number % 5:\n    " + EMIT)], "strokes in", ""),
    "out of order": ([(EMIT, f"        {LATER}(0.05 * (number % 2), lambda: board.emit("
        '"stroke", drawn, skip=client))\n')], "in order", ""),
    "no return": ([("    return board", "    return None")], "return a Hub", "return board"),
    "it raises": ([(EMIT, "        board.emmit(drawn)\n")], "to be taken", "fix what your"),
    "it blocks": ([(EMIT, "        time.sleep(1)\n" + EMIT)], "", ""),
    "a return in its place": ([(EMIT, "        return drawn\n")], "stroke 1", "board.emit"),
}  # fmt: skip
WRONG_2 = {
    "no history": ([("history=200, ", "")], "stroke", "history="),
    "no picture": ([(PICTURE, "pass")], "`picture`", "client.emit"),
    "in a dict": ([(PICTURE, 'client.emit("picture", {"strokes": list(strokes.values())})')],
        "a list in `picture`", ""),
    "as text": ([(PICTURE, 'client.emit("picture", str(list(strokes.values())))')],
        "a list in `picture`", ""),
    "newest first": ([("list(strokes.values()))", "list(strokes.values())[::-1])")], "in order",
        "oldest first"),
    "some of it": ([("list(strokes.values()))", "list(strokes.values())[-5:])")], "`picture`", ""),
    "one by one": ([(PICTURE, 'for each in strokes.values(): client.emit("stroke", each)')],
        "`picture`", ""),
    "kept too late": ([(APPEND, ""), (EMIT, EMIT + "        await asyncio.sleep(0.02)\n" + APPEND)],
        "", "no `await` between"),
    "told too late": ([(EMIT, "        await asyncio.sleep(0.02)\n" + EMIT)], "",
        "no `await` between"),
    "never kept": ([(APPEND, "")], "`picture`, with 8 strokes", ""),
}  # fmt: skip
WRONG_3 = {
    "believes all": ([("**checked(said)}", "**dict(said)}")], "", ""),
    "no dict": ([("not isinstance(stroke, dict) or ", "")], "handler that raises", "known color"),
    "any color": ([('stroke.get("color") not in COLORS', '"color" not in stroke')],
        "an error as the answer", "known color"),
    "any number": ([(" or not 1 <= len(points) <= 100", "")], "an error as the", "1 to 100"),
    "no points": ([("1 <= len(points)", "0 <= len(points)")], "an error as the", "1 to 100"),
    "any place": ([(" and 0 <= n <= 1000", "")], "an error as the answer", "from 0 to 1000"),
    "below 0": ([("0 <= n <= 1000", "n <= 1000")], "an error as the answer", "from 0 to 1000"),
    "text for numbers": ([("isinstance(n, int) and 0 <= n", "0 <= int(n)")], "", "whole numbers"),
    "no pairs": ([(" and len(it) == 2", "")], "an error as the answer", "two whole numbers"),
    "another exception": ([("wslab.Refused", "ValueError")], "no handler that raises", "Refused"),
    "an answer that says no": ([('raise wslab.Refused("expected 1 to 100 points")',
        "points = [[1, 2]]")], "an error as the answer", ""),
    "signed by the message": ([("**checked(said)}", '**checked(said), "by": said.get("by", '
        "client.user_id)}")], "`by` as mal's", "client.user_id"),
    "numbered by the message": ([("**checked(said)}", '**checked(said), "id": said.get("id", '
        "number)}")], "", ""),
    "hands on what came": ([('return {"color": stroke["color"], "points": points}',
        "return stroke")], "and no more", "a new dict"),
    "signed by the connection": ([('"by": client.user_id', '"by": client.id')], "`by` as",
        "user_id"),
    "no answer": ([("        return number\n", "")], "as the answer", "return"),
    "no number": ([('"id": number, ', "")], "and no more", ""),
    "one number for all": ([("number = next(numbers)", "number = 1")], "", ""),
    "keeps all": ([("), 200", "), 10**6")],
        "the newest 200", "oldest go"),
    "keeps the first": ([("del strokes[next(iter(strokes))]", "strokes.popitem()")],
        "the newest 200", "oldest go"),
    "keeps too few": ([("), 200", "), 100")],
        "the newest 200", ""),
    "lets all wait": ([("rate=50", "rate=50, backlog=10**6")], "at most 256", "backlog"),
    "no rate": ([(", rate=50", "")], "at most 50", "rate="),
    "waits for each": ([(EMIT, '        for each in list(board.clients.values()):\n            if '
        'each is not client:\n                await each.websocket.send(__import__("json").dumps('
        '{"event": "stroke", "data": drawn}))\n')], "", "slow one"),
}  # fmt: skip
WRONG_4 = {
    "no undo": ([('@board.on("undo")', '@board.on("redo")')], "to be taken", "client.user_id"),
    "by the connection": ([('"by": client.user_id', '"by": client.id'),
        (OWN, 'if each["by"] == client.id')], "come back and undone", "client.id"),
    "anybody's last": ([(OWN, "")], "come back and undone", "client.user_id"),
    "the first of them": ([("own[-1:]", "own[:1]")], "come back and undone", "last stroke"),
    "all of them": ([("own[-1:]", "own")], "come back and undone", "last stroke"),
    "told to one": ([('board.emit("gone", gone)', 'board.clients and next(iter('
        'board.clients.values())).emit("gone", gone)')], "", "everybody"),
    "told to nobody": ([('board.emit("gone", gone)', "pass")], "", "everybody"),
    "a number": ([('board.emit("gone", gone)', 'board.emit("gone", gone[0])')], "a list", "a list"),
    "comes again": ([("            del strokes[number]\n", "            pass\n")], "", ""),
    "believes the message": ([("        own = [number", '        whom = (nothing or {}).get("by", '
        "client.user_id)\n        own = [number"), (OWN, 'if each["by"] == whom')],
        "named ann", ""),
    "no clear": ([('@board.on("clear")', '@board.on("clean")')], "to be taken", "`clear`"),
    "clears some": ([("take_away(list(strokes))", "take_away(list(strokes)[:1])")], "", "`clear`"),
    "clears at others only": ([('board.emit("gone", gone)', 'board.emit("gone", gone)\n'
        '        board.emit("picture", []) if len(gone) > 1 else None\n'
        '        strokes.update({1: {"id": 1, "by": "", "color": "ink", "points": [[1, 2]]}})'
        " if len(gone) > 1 else None")], "", ""),
    "no history": ([("history=200, ", "")], "", ""),
}  # fmt: skip
WRONG_PEOPLE = {
    "who has gone stays": ([("    async def disconnect(client, why):\n        tell_who()",
        "    async def disconnect(client, why):\n        pass")], "two have left", "`disconnect`"),
    "told to who comes": ([('board.emit("people"',
        'list(board.clients.values())[-1].emit("people"')], "when four have come", "board.emit"),
    "who comes is not told of": ([('        client.emit("picture", list(strokes.values()))\n'
        "        tell_who()", '        client.emit("picture", list(strokes.values()))')],
        "when four have come", "`connect`"),
    "any name": ([("[:24]", "")], "`people`", ""),
    "names only": ([('{"id": c.user_id, "name": c.name}', "c.name")], "`people`", ""),
    "ids of connections": ([('{"id": c.user_id', '{"id": c.id')], "`people`", "c.user_id"),
}  # fmt: skip
WRONG = [
    pytest.param(step, *case, id=f"{step}-{name}")
    for step, wrong in zip(STEPS, (WRONG_1, WRONG_2, WRONG_3, WRONG_4, WRONG_PEOPLE), strict=True)
    for name, case in wrong.items()
]


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(("step", "changes", "expected", "tip"), WRONG)
def test_wrong_answers_are_told_apart(step, changes, expected, tip):
    verdict = check(f"16 {step}", changed(*changes))
    assert verdict.passed is False, str(verdict)
    assert expected in verdict.expected, str(verdict)
    assert tip in verdict.hint, str(verdict)
    assert verdict.seen


@pytest.mark.usefixtures("impatient")
def test_a_forgotten_await():
    forgets = changed(
        (EMIT, "        tell(drawn, client)\n"),
        (
            "    def tell_who",
            "    async def tell(drawn, client):\n"
            "        board.emit('stroke', drawn, skip=client)\n\n"
            "    def tell_who",
        ),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        verdict = check("16 step 1", forgets)
    assert verdict.passed is False
    assert "without `await`" in verdict.hint, str(verdict)


@pytest.mark.usefixtures("impatient")
def test_what_a_handler_raises_is_said():
    verdict = check("16 step 4", changed(("own[-1:]", "own[-1]")))
    assert verdict.passed is False
    assert "undo() raised TypeError" in verdict.seen, str(verdict)
    assert "own[-1]" not in verdict.hint
    assert "TypeError" in verdict.details


@pytest.mark.parametrize("what", [wslab.Hub(), "a text", wslab.Hub, lambda: "x", lambda: wslab.Hub])
def test_what_makes_no_hub(what):
    verdict = check("16 step 1", what)
    assert verdict.passed is False
    assert verdict.expected


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("is_one_hub", [True, False])
def test_what_two_boards_share_is_told(is_one_hub):
    whiteboard = changed(
        ("    strokes = {}", "    strokes = shared"), ("COLORS, KEEP", "shared = {}\nCOLORS, KEEP")
    )
    board = whiteboard()
    if is_one_hub:
        whiteboard = lambda: board  # noqa: E731
    assert check("16 step 2", whiteboard).passed is True
    verdict = check("16 step 2", whiteboard)
    assert verdict.passed is False
    assert "inside of it" in verdict.hint


def test_one_that_never_ends_is_bounded(monkeypatch):
    monkeypatch.setattr(board_party, "MAKE_S", 0.3)

    def whiteboard():
        while True:
            pass

    verdict = check("16 step 1", whiteboard)
    assert verdict.passed is False
    assert verdict.took_s < 5


@pytest.mark.parametrize("step", STEPS)
def test_hints_end_with_the_solution(step):
    assert "solutions/16_project.py" in repr(hint(f"16 {step}", 3))
