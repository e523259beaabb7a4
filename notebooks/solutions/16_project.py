"""Lesson 16, "16 step 1" to "16 step 4" and "16 people": the whiteboard, whole."""

import itertools

import wslab
from wslab.learn import check

COLORS, KEEP = ("ink", "red", "blue"), 200


def is_point(it):  # given
    is_pair = isinstance(it, list) and len(it) == 2
    return is_pair and all(isinstance(n, int) and 0 <= n <= 1000 for n in it)


def checked(stroke):
    """Return a stroke's color and points, or say what is wrong with them."""
    if not isinstance(stroke, dict) or stroke.get("color") not in COLORS:
        raise wslab.Refused(f"expected a color out of {COLORS}")
    points = stroke.get("points")
    if not isinstance(points, list) or not 1 <= len(points) <= 100:
        raise wslab.Refused("expected 1 to 100 points")
    if not all(is_point(each) for each in points):
        raise wslab.Refused("expected each point as [x, y], whole numbers from 0 to 1000")
    return {"color": stroke["color"], "points": points}  # and nothing else of what came


def whiteboard():
    board = wslab.Hub(history=200, rate=50)  # step 2: who comes back; step 3: floods
    strokes = {}  # by number, oldest first
    numbers = itertools.count(1)

    @board.on("stroke")
    async def stroke(client, said):
        number = next(numbers)
        drawn = {"id": number, "by": client.user_id, **checked(said)}
        strokes[number] = drawn
        while len(strokes) > KEEP:
            del strokes[next(iter(strokes))]
        board.emit("stroke", drawn, skip=client)
        return number

    @board.on("connect")
    async def connect(client):
        client.name = client.query.get("name", "")[:24]
        client.emit("picture", list(strokes.values()))
        tell_who()

    @board.on("disconnect")
    async def disconnect(client, why):
        tell_who()

    @board.on("undo")
    async def undo(client, nothing):
        own = [number for number, each in strokes.items() if each["by"] == client.user_id]
        take_away(own[-1:])

    @board.on("clear")
    async def clear(client, nothing):
        take_away(list(strokes))

    def take_away(gone):
        for number in gone:
            del strokes[number]
        board.emit("gone", gone)

    def tell_who():
        board.emit("people", [{"id": c.user_id, "name": c.name} for c in board.clients.values()])

    return board


if __name__ == "__main__":
    for name in ("step 1", "step 2", "step 3", "step 4", "people"):
        print(check(f"16 {name}", whiteboard))
    wslab.shutdown()
