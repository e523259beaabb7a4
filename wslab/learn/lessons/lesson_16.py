"""The checks of lesson 16: a whiteboard in four steps, under guests that cut, lag, lie, come twice;
and, for whoever likes, who is at it.

Their rule: `whiteboard()` makes a board for each check, whose wires decide. Every stroke is random
and in the check's books, so that a picture is right or it is said which stroke is missing, twice,
or nobody's. How the board keeps its strokes is the learner's affair; what a guest does is in
`board_guest`, how a board is made and served in `board_party`, and what liars say in `board_lies`.
"""

from __future__ import annotations

import json
import time
from typing import Any

from ..board_guest import FIT, FRESH, Guest, Stroke
from ..board_lies import lies
from ..board_party import NEEDS_HUB, Party, open_party
from ..exercises import Miss, exercise
from ..stock_client import StockClient

KEEP = 200  # strokes of a picture
RATE = 50  # messages a second of one guest
LAG_S, JITTER_S = 0.02, 0.02
BURST = 4  # strokes at once
FLOOD = 600  # strokes
PENS, EACH = 8, 45  # guests, and strokes of each: more than KEEP together
MAX_NAME = 24
WAITING = 256  # messages for one who reads nothing
SOLUTION = "solutions/16_project.py"

_STROKE = (
    '`@board.on("stroke")`, then `async def stroke(client, said)`, which calls '
    '`board.emit("stroke", said, skip=client)`'
)
_PICTURE = (
    '`@board.on("connect")`, then `async def connect(client)`, which calls '
    '`client.emit("picture", strokes)`: the list in which `stroke` puts each one'
)
_SESSION = (
    "a page whose connection breaks off says again what has no receipt. A Hub with `history=` "
    "knows it again by its session: it takes each thing once, and gives it what it missed"
)
_REFUSE = (
    "look at every part before you use it, and say no with `raise wslab.Refused(why)`: is it a "
    "dict? a known color? a list of 1 to 100 points, each a list of two whole numbers from 0 to "
    "1000?"
)
_NEW = (
    'emit a new dict with just "id", "by", "color" and "points": what else came in goes no '
    "further, and `by` is `client.user_id`, which no message can change"
)
_KEEP = f"of more than {KEEP} strokes the oldest go: a picture that only grows fills the memory"
_RATE = f"`wslab.Hub(history=200, rate={RATE})` takes so many messages a second of one guest"
_SLOW = "emit() waits for nobody; what calls or sends to each guest in turn waits for the slow one"
_WAITING = (
    f"a Hub lets {WAITING} messages wait for one who reads too slowly, and then the oldest go: "
    "keep its `backlog=` as it is"
)
_UNDO = (
    "`undo` takes the last stroke whose `by` is `client.user_id`: this stays the same when "
    "somebody comes back, and `client.id` does not. Its number goes to everybody: "
    '`board.emit("gone", [number])`'
)
_CLEAR = "`clear` empties what `connect` sends, and emits `gone` with all numbers"
_PEOPLE = (
    "in `connect` and in `disconnect`: "
    '`board.emit("people", [{"id": c.user_id, "name": c.name} for c in board.clients.values()])`'
)


# --- step 1 ------------------------------------------------------------------------------------


@exercise(
    "16 step 1",
    hints=(
        "One handler, for the event `stroke`. It is called with the client that has drawn and with "
        "what that client said. To whom does it go, and who is left out (lesson 13)?",
        '`board = wslab.Hub()`, then `@board.on("stroke")` above `async def stroke(client, said):` '
        'with `board.emit("stroke", said, skip=client)` in it, and in the end `return board`.',
    ),
    solution=SOLUTION,
)
def step_1(whiteboard: Any) -> str:
    """Let pages and a stock client draw at the same time, one of them over a line that lags."""
    with open_party(whiteboard) as party:
        ann, ben, cat = (party.enter(name) for name in ("ann", "ben", "cat"))
        first = ann.draw(_STROKE)
        ben.see([first], _STROKE)
        ben.cable.delay_s, ben.cable.jitter_s = LAG_S, JITTER_S
        url = f"{party.bench.server.url}?name=stan"
        with StockClient(url, ["stroke"], wait_s=party.bench.wait_s) as stock:
            try:
                stock.connect()
            except Exception as exc:
                raise Miss("a stock Socket.IO client that connects", f"{exc}", NEEDS_HUB) from None
            for _ in range(3):
                for guest in (ann, ben, cat):
                    guest.sketch(BURST)
            own = party.books.draw("the stock client")
            stock.emit("stroke", own.data)
            party.all_see(party.strokes, "when all have drawn", _STROKE)
            for guest in (ann, ben, cat):  # what came back to who drew came before this
                guest.draw(_STROKE)
            party.all_see(party.strokes, "in the end", _STROKE)
            _stock_saw(party, stock, own, first)
        return (
            f"{len(party.books.strokes)} random strokes of three pages, one of them over a line "
            "that lags, and of a stock Socket.IO client: each reached all others once, in order, "
            "and never who drew it"
        )


def _stock_saw(party: Party, stock: StockClient, own: Stroke, first: Stroke) -> None:
    """Wait until the stock client has heard all but its own, and what was before it came."""
    due = {one for one in party.books.strokes.values() if one not in (own, first)}
    deadline_s = time.monotonic() + party.bench.left_s()
    while True:
        heard = [party.books.find(args[0]) for _, args in list(stock.heard) if args]
        if own in heard:
            seen = "it came back to the stock client, which drew it"
            raise Miss("a stroke to all others", seen, "`skip=client`")
        missing = due.difference(heard)
        if not missing:
            return
        if time.monotonic() > deadline_s:
            seen = f"not there, beside {len(heard)} others"
            raise Miss(f"{missing.pop()}, at a stock Socket.IO client", seen, _STROKE)
        time.sleep(0.005)


# --- step 2 ------------------------------------------------------------------------------------


@exercise(
    "16 step 2",
    hints=(
        "The board has to remember: a list beside the Hub, in which `stroke` puts each stroke. Who "
        "comes gets it in `connect`. And what of somebody whose connection breaks off, who does "
        "not know what has arrived (lesson 10)?",
        "`strokes = []` and `wslab.Hub(history=200)`. `strokes.append(said)` before the emit, and "
        '`@board.on("connect")` above `async def connect(client):` with `client.emit("picture", '
        "strokes)` in it.",
    ),
    solution=SOLUTION,
)
def step_2(whiteboard: Any) -> str:
    """Let guests come while others draw, be cut off in silence, and say things twice."""
    with open_party(whiteboard) as party:
        ann = _enter_and_get_picture(party, "ann", [])
        ben = _enter_and_get_picture(party, "ben", [])
        ann.sketch(BURST)
        ben.sketch(BURST)
        strokes = party.books.strokes
        party.all_see(list(strokes.values()), "when two have drawn", _PICTURE)
        _enter_and_get_picture(party, "cat", list(strokes.values()))
        for name in ("dan", "eve", "fay"):  # who come while somebody draws
            ann.sketch(BURST)
            party.enter(name)
        party.all_see(list(strokes.values()), "when some came while ann drew", FIT)
        _cut_in_silence(party, ann, ben)
        _come_twice(party, ann, ben)
        return (
            f"{len(strokes)} random strokes: who came while others drew, who was cut off in "
            "silence, and who said a thing twice, all had the whole picture, and nothing twice"
        )


def _enter_and_get_picture(party: Party, name: str, strokes: list[Stroke]) -> Guest:
    guest = party.enter(name)
    expected = f"`picture`, with {len(strokes)} strokes, for {name}, who has just come"
    guest.until(lambda: guest.pictures > 0, expected, _PICTURE)
    if set(guest.picture) != set(strokes):
        hint = _PICTURE if strokes else FRESH
        raise guest.miss(expected, f"one with {len(guest.picture)}", hint)
    return guest


def _cut_in_silence(party: Party, ann: Guest, ben: Guest) -> None:
    """Cut ben's cable: what he draws arrives nowhere, and what ann draws does not reach him."""
    cable = ben.cable
    cable.cut()
    lost = ben.sketch(2)
    missed = [ann.draw(_PICTURE) for _ in range(3)]
    others = [one for one in party.guests if one not in (ann, ben)]
    for guest in others:
        guest.see(missed, _PICTURE)
    cable.reset()
    ben.enter()
    ben.see(missed, _PICTURE)
    for guest in (ann, *others):
        guest.see(lost, _SESSION)
    when = "when ben has come back"
    party.all_see(party.strokes, when, _SESSION)


def _come_twice(party: Party, ann: Guest, ben: Guest) -> None:
    """Let ben break off before his receipt, and say the same again."""
    for _ in range(3):
        drawn = ben.sketch()
        ann.see(drawn, _STROKE)
        ben.come_back()  # and what has no receipt is said again
        ben.draw(_SESSION)
        party.all_see(party.strokes, "when ben has said a stroke twice", _SESSION)


# --- step 3 ------------------------------------------------------------------------------------


@exercise(
    "16 step 3",
    hints=(
        "Before a stroke goes into the list, look at all of it, and refuse what is not right: "
        "`raise wslab.Refused(why)` answers the liar and nobody else. Then build the dict that "
        "goes out yourself. Two bounds are left: how many strokes you keep, and how many messages "
        "a second you take.",
        '`drawn = {"id": next(numbers), "by": client.user_id, "color": color, "points": points}` '
        "goes into the list and out, and its id is returned. Then `del strokes[:-200]`. "
        "`isinstance(points, list) and 1 <= len(points) <= 100`, and "
        "`all(is_point(each) for each in points)`. And `Hub(..., rate=50)`.",
    ),
    solution=SOLUTION,
)
def step_3(whiteboard: Any) -> str:
    """Lie, smuggle, flood and read nothing, beside guests who draw."""
    with open_party(whiteboard) as party:
        ann, ben, mal = (party.enter(name) for name in ("ann", "ben", "mal"))
        _is_signed(ann, ben, mal)
        said = lies()
        for lie in said:
            _lie(party, mal, lie)
        party.is_sound(_REFUSE)
        ben.see([ann.draw(_REFUSE)], _REFUSE)  # nothing of the lies came before it
        sam = party.enter("sam")
        _slow_one(party, ann, ben, sam)
        with sam.client.full():
            most = _picture_is_bounded(party)
            _little_waits(party)
        taken = _flood(party, ann, ben)
        party.is_sound(_REFUSE)
        return (
            f"{len(said)} lies were refused and reached nobody; of a flood of {FLOOD} messages "
            f"{taken} were taken; a newcomer's picture had {most} strokes; and who reads nothing "
            f"held nobody up, with at most {WAITING} messages waiting"
        )


def _is_signed(ann: Guest, ben: Guest, mal: Guest) -> None:
    """Look at what a stroke says of who drew it; mal signs with ann's name."""
    keys = {"id", "by", "color", "points"}
    first = ann.draw(_REFUSE)
    number = ann.shown[first]["id"]
    if not isinstance(number, int):
        hint = "a handler's `return` is the answer: return the stroke's number"
        raise ann.miss(f"the number of {first} as the answer", f"{json.dumps(number):.60}", hint)
    forged = mal._books.draw("mal")
    lie = {"by": ann.user, "id": number, "note": "x" * 50_000, **forged.data}
    answer = mal.ask("stroke", lie, "an answer to a stroke with more in it than belongs there")
    for stroke, drawer, shown in ((first, ann, number), (forged, mal, answer.get("data"))):
        if "error" in answer and stroke is forged:
            continue  # refused altogether: as good
        ben.see([stroke], _NEW)
        data = ben.shown[stroke]
        expected = f'{stroke} as "id", "by", "color" and "points", and no more'
        if set(data) != keys:
            seen = ", ".join(f"{key:.20}" for key in data)
            raise ben.miss(expected, f"a stroke with {seen}", _NEW)
        if data["by"] != drawer.user:
            whose = "ann's" if data["by"] == ann.user else f"{data['by']!r:.40}"
            raise ben.miss(f"`by` as {drawer.name}'s `client.user_id`", whose, _NEW)
        if data["id"] != shown:
            seen = f"{data['id']!r:.40}"
            raise ben.miss(f"the number {shown} that {drawer.name} was answered", seen, _NEW)
    if "error" not in answer and answer["data"] == number:
        raise mal.miss("another number for each stroke", f"{number} twice", "`itertools.count(1)`")


def _lie(party: Party, mal: Guest, lie: str) -> None:
    shown = lie if len(lie) < 60 else f"{lie[:50]}... ({len(lie):,} characters)"
    number = mal.say_text("stroke", lie, asks=True)
    expected = f"an error as the answer to the stroke {shown}"
    answer = mal.answer(number, expected, _REFUSE)
    while answer.get("error", {}).get("code") == "too-fast":  # a reader's pace
        time.sleep(1 / RATE)
        number = mal.say_text("stroke", lie, asks=True)
        answer = mal.answer(number, expected, _REFUSE)
    party.is_sound(_REFUSE)
    if "error" not in answer:
        raise mal.miss(expected, f"it was taken: {json.dumps(answer):.60}", _REFUSE)


def _slow_one(party: Party, ann: Guest, ben: Guest, sam: Guest) -> None:
    """Let one read nothing: the others draw on."""
    with sam.client.full():
        drawn = [ann.draw(_SLOW) for _ in range(8)]
        ben.see(drawn, _SLOW)
        newcomer = party.enter("una")
        newcomer.see(drawn, _PICTURE)
    sam.see(drawn, _SLOW)


def _little_waits(party: Party) -> None:
    clients = party.board.clients
    waiting = party.bench.on_loop(lambda: max(one.queued for one in clients.values()))
    if waiting > WAITING:
        seen = f"{waiting}, after {PENS * EACH} strokes"
        raise Miss(f"at most {WAITING} messages that wait for sam", seen, _WAITING)


def _picture_is_bounded(party: Party) -> int:
    """Draw more than a board keeps; a newcomer gets the newest."""
    witness = party.enter("wes")
    pens = [party.enter(f"pen {nth + 1}".replace(" ", "-")) for nth in range(PENS)]
    for _ in range(EACH // 5):
        drawn = [stroke for pen in pens for stroke in pen.sketch(5)]
        witness.see(drawn, _KEEP)
    newest = witness.picture[-KEEP:]
    zoe = party.enter("zoe")
    zoe.until(lambda: zoe.pictures > 0, "`picture` for zoe, who has just come", _PICTURE)
    if zoe.picture != newest:
        old = [one for one in zoe.picture if one not in newest]
        seen = f"{len(zoe.picture)} strokes, {len(old)} of them older"
        raise zoe.miss(f"the newest {KEEP} strokes, oldest first, in `picture`", seen, _KEEP)
    return len(zoe.picture)


def _flood(party: Party, ann: Guest, ben: Guest) -> int:
    """Let one draw as fast as it can; return how much of that was taken."""
    fred = party.enter("fred")
    flood = [party.books.draw("fred") for _ in range(FLOOD)]
    began_s = time.monotonic()
    for stroke in flood:
        fred.say("stroke", stroke.data)
    ben.see([ann.draw(_RATE)], _RATE)
    fred.say("stroke", None, asks=True)
    fred.answer(fred._asked, "an answer when the flood is over", _RATE)
    ben.see([ann.draw(_RATE)], _RATE)
    took_s = time.monotonic() - began_s
    taken = sum(stroke in ben.shown for stroke in flood)
    most = RATE * (1 + took_s) + 10
    if taken > most:
        seen = f"{taken} of {FLOOD} within {took_s:.1f} s"
        raise Miss(f"at most {RATE} messages a second of one guest", seen, _RATE)
    return taken


# --- step 4 ------------------------------------------------------------------------------------


@exercise(
    "16 step 4",
    hints=(
        "Who somebody is stays the same when the connection is another one: `client.user_id`. "
        "`undo` looks for the last stroke that is signed so, `clear` takes all, and both tell "
        "everybody which numbers are gone.",
        '`own = [one["id"] for one in strokes if one["by"] == client.user_id]`, and its last one '
        'goes: out of the list, and to everybody by `board.emit("gone", own[-1:])`.',
    ),
    solution=SOLUTION,
)
def step_4(whiteboard: Any) -> str:
    """Undo and clear, across cuts."""
    with open_party(whiteboard) as party:
        ann, ben, cat = (party.enter(name) for name in ("ann", "ben", "cat"))
        kept = [ann.draw(_UNDO)]
        second = ann.draw(_UNDO)
        bens = ben.draw(_UNDO)
        party.all_see([*kept, second, bens], "before the undo", _UNDO)
        cable = ann.cable
        cable.cut()  # the board believes that she is still there when she enters again
        ann.enter()
        cable.reset()
        _ask(ann, "undo")
        party.all_see([*kept, bens], "when ann has come back and undone", _UNDO)
        _undo_twice(party, ann, ben, kept)
        gone = cat.cable
        gone.cut()
        more = [ann.draw(_CLEAR)]
        for guest in (ann, ben):
            guest.expect([*kept, *more], "when ann has drawn once more", _UNDO)
        _ask(ben, "clear")
        gone.reset()
        cat.enter()
        party.all_see([], "when ben has cleared, while cat was away", _CLEAR)
        _ask(ann, "undo")  # there is nothing left
        last = [ben.draw(_CLEAR)]
        party.enter("dora")
        party.all_see(last, "when there is something new", _CLEAR)
        party.is_sound(_REFUSE)
        return (
            "undo took the last stroke of who asked, also after a cut, and once where it was said "
            "twice; and nothing that was cleared came back"
        )


def _ask(guest: Guest, event: str) -> None:
    hint = _UNDO if event == "undo" else _CLEAR
    answer = guest.ask(event, None, f"an answer to {guest.name}'s `{event}`", hint)
    if "error" in answer:
        seen = f"the error {json.dumps(answer['error']):.120}"
        raise guest.miss(f"{guest.name}'s `{event}` to be taken", seen, hint)


def _undo_twice(party: Party, ann: Guest, ben: Guest, kept: list[Stroke]) -> None:
    """Let ben lie about whose stroke it is, break off, and say the same again."""
    number = ben.shown[kept[0]].get("id")
    ben.say("undo", {"by": ann.user, "id": number})
    for guest in party.guests:
        if guest is not ben:
            guest.expect(kept, "when ben has undone, and named ann in it", _UNDO)
    ben.come_back()  # and what has no receipt is said again
    party.all_see(kept, "when ben has said it twice", _SESSION)
    _ask(ben, "undo")  # he has nothing left
    party.all_see(kept, "when ben has undone once more, with no stroke of his left", _UNDO)


# --- more: who is here -------------------------------------------------------------------------


@exercise(
    "16 people",
    hints=(
        "Who is here changes at two moments: when somebody comes, and when somebody leaves. "
        "`board.clients` knows who is here (lesson 05).",
        'In `connect`: `client.name = client.query.get("name", "")[:24]`. There and in '
        '`@board.on("disconnect")`, above `async def disconnect(client, why):`: '
        '`board.emit("people", [{"id": c.user_id, "name": c.name} for c in '
        "board.clients.values()])`.",
    ),
    solution=SOLUTION,
)
def people(whiteboard: Any) -> str:
    """Come, come back and leave, and look who is here after each of these."""
    with open_party(whiteboard) as party:
        long = "n" * 200  # more than the board shows, and less than a Hub refuses
        ann, ben, cat = (party.enter(name) for name in ("ann", "ben", "cat"))
        dora = party.enter("dora", called=long)
        here = {ann: "ann", ben: "ben", cat: "cat", dora: long[:MAX_NAME]}
        _are_here(here, "when four have come")
        cable = ann.cable
        cable.cut()
        ann.enter()
        _are_here(here, "when ann has come back, whose old connection is still half open")
        cable.reset()
        eve = party.enter("eve")
        _are_here(here | {eve: "eve"}, "when eve has come")
        cat.client.cut()
        dora.client.close()
        _are_here({ann: "ann", ben: "ben", eve: "eve"}, "when two have left")
        party.is_sound(_REFUSE)
        return (
            "at each moment everybody had the list of who is here, nobody was there twice, and "
            "long names were short"
        )


def _are_here(here: dict[Guest, str], when: str) -> None:
    """Let each of them read until its list is right."""
    wanted = sorted((guest.user, name) for guest, name in here.items())

    def listed(people: Any) -> list[tuple[Any, Any]] | None:
        try:
            return sorted((one["id"], one["name"]) for one in people)
        except (TypeError, KeyError):
            return None

    for guest in here:
        names = ", ".join(here.values())
        expected = f"{when}, `people` with just {names}, at {guest.name}"
        try:
            guest.until(lambda guest=guest: listed(guest.people) == wanted, expected, _PEOPLE)  # type: ignore[misc]
        except Miss as miss:
            found = listed(guest.people)
            shown = json.dumps(guest.people) if found is None else [name for _, name in found]
            miss.seen = f"the latest `people` was {shown!s:.120}; {miss.seen}"
            raise
