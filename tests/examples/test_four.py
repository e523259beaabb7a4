"""Four in a row, tested as a user of wslab would: with the fixtures of its pytest plugin."""

from __future__ import annotations

import asyncio
import json

import pytest
import websockets

from wslab.examples import four as game
from wslab.examples.four import Board, four

pytestmark = pytest.mark.skipif(
    "not config.pluginmanager.hasplugin('wslab')",
    reason="wslab's pytest plugin is off, or not installed: make setup-test",
)

RED_WINS = [3, 0, 3, 1, 3, 2, 3]  # red and yellow in turn; red stacks four
DRAW = [
    *(0, 1, 0, 1, 0, 1, 1, 0, 1, 0, 1, 0),
    *(2, 3, 2, 3, 2, 3, 3, 2, 3, 2, 3, 2),
    *(4, 5, 4, 5, 4, 5, 5, 4, 5, 4, 5, 4),
    *(6, 6, 6, 6, 6, 6),
]  # fmt: skip


def say(client, kind, **more):
    client.send(json.dumps({"type": kind, **more}))


def heard(client):
    return json.loads(client.recv(timeout=5))


@pytest.fixture
def server(ws_serve):
    return ws_serve(four())


@pytest.fixture
def table(server, ws_connect):
    """Two who have begun to play; what they were told until then is taken."""
    red, yellow = ws_connect(server, name="red"), ws_connect(server, name="yellow")
    say(red, "open")
    code = heard(red)["table"]
    say(yellow, "join", table=code)
    assert heard(yellow) == {"type": "table", "table": code, "you": "yellow"}
    assert heard(red) == heard(yellow) == {"type": "start", "turn": "red"}
    return code, red, yellow


def play(table, columns):
    """Drop discs in turn; each waits until both have heard of the one before."""
    _, red, yellow = table
    for number, column in enumerate(columns):
        say((red, yellow)[number % 2], "drop", column=column)
        assert heard(red) == heard(yellow)


class TestRules:
    @pytest.mark.parametrize(
        "columns",
        [
            RED_WINS,
            [0, 0, 1, 1, 2, 2, 3],  # in a row
            [0, 1, 1, 2, 2, 3, 2, 3, 3, 6, 3],  # rising
            [6, 5, 5, 4, 4, 3, 4, 3, 3, 0, 3],  # falling
        ],
    )
    def test_four_in_a_line_win(self, columns):
        board = Board()
        for column in columns:
            assert board.winner is None
            board.drop(board.turn, column)
        assert board.winner == "red"

    def test_a_full_board_is_a_draw(self):
        board = Board()
        for column in DRAW:
            board.drop(board.turn, column)
        assert board.is_over
        assert board.winner is None

    @pytest.mark.parametrize("column", [-1, 7, 1.0, "3", None, True])
    def test_what_is_no_column(self, column):
        with pytest.raises(ValueError, match="expected a column from 0 to 6"):
            Board().drop("red", column)


def test_both_hear_each_drop_and_who_wins(table, server):
    _, red, yellow = table
    play(table, RED_WINS)
    assert heard(red) == heard(yellow) == {"type": "over", "winner": "red"}
    say(yellow, "drop", column=0)
    assert heard(yellow) == {"type": "error", "message": "the game is over"}
    drops = [json.loads(text) for text in server.tape.sent_by("server", connection="red")]
    assert [drop["row"] for drop in drops if drop.get("player") == "red"] == [0, 1, 2, 3]


def test_what_the_rules_forbid_is_told_to_its_sender_alone(table, server):
    _, red, yellow = table
    say(yellow, "drop", column=3)
    assert heard(yellow) == {"type": "error", "message": "it is red's turn, not yellow's"}
    play(table, [3] * 6)
    say(red, "drop", column=3)
    assert heard(red) == {"type": "error", "message": "column 3 is full"}
    say(red, "drop", column=4)
    assert heard(red)["column"] == heard(yellow)["column"] == 4


def test_a_watcher_gets_the_past_and_what_follows(table, server, ws_connect):
    code, *_ = table
    play(table, [3, 4])
    carol = ws_connect(server, name="carol")
    say(carol, "watch", table=code)
    past = {"type": "past", "drops": [["red", 3, 0], ["yellow", 4, 0]]}
    assert heard(carol) == past
    play(table, [3])
    assert heard(carol) == {"type": "drop", "player": "red", "column": 3, "row": 1}
    say(carol, "drop", column=0)
    assert heard(carol)["message"] == "who watches can't play"


@pytest.mark.parametrize("is_polite", [True, False])
def test_who_leaves_is_told_once(table, server, ws_network, is_polite):
    code, red, yellow = table
    if is_polite:
        red.close()
    else:
        ws_network.connections[0].reset()
    assert heard(yellow) == {"type": "left", "player": "red"}
    yellow.close()
    assert f'"table": "{code}"' in server.tape.sent_by("client", connection="yellow")[0]


def test_a_table_is_gone_with_its_player(table, server, ws_connect):
    code, red, yellow = table
    red.close()
    heard(yellow)
    dave = ws_connect(server)
    say(dave, "join", table=code)
    assert heard(dave) == {"type": "error", "message": "there is no such table"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected JSON"),
        ("[" * 100_000, "expected JSON"),
        (b"\xff", "expected JSON"),
        ("[]", "expected a JSON object"),
        ("{}", "expected open, join or watch first"),
        ('{"type": "join", "table": ["x"]}', "there is no such table"),
        ('{"type": "drop", "column": 1}', "expected open, join or watch first"),
    ],
)
def test_a_stranger_is_told_what_was_expected(server, ws_connect, text, message):
    eve = ws_connect(server)
    eve.send(text)
    assert heard(eve) == {"type": "error", "message": message}


def test_a_third_may_only_watch(table, server, ws_connect):
    code, *_ = table
    eve = ws_connect(server)
    say(eve, "join", table=code)
    assert heard(eve)["message"] == "two play here already; watch them"
    say(eve, "watch", table=code)
    assert heard(eve)["type"] == "past"


def test_one_alone_waits(server, ws_connect):
    red = ws_connect(server)
    say(red, "open")
    heard(red)
    say(red, "drop", column=3)
    assert heard(red)["message"] == "nobody has joined yet"
    say(red, "open")
    assert heard(red)["message"] == "expected drop"


def test_strangers_fill_no_more_than_the_tables(server, ws_connect, monkeypatch):
    monkeypatch.setattr(game, "MAX_TABLES", 1)
    monkeypatch.setattr(game, "MAX_WATCHERS", 1)
    red, eve, mallory = (ws_connect(server) for _ in range(3))
    say(red, "open")
    code = heard(red)["table"]
    say(eve, "open")
    assert heard(eve)["message"] == "all tables are taken"
    say(eve, "watch", table=code)
    heard(eve)
    say(mallory, "watch", table=code)
    assert heard(mallory)["message"] == "too many watch this table"


@pytest.mark.ws_network(delay_s=0.002, jitter_s=0.01, max_chunk_bytes=5)
def test_on_a_bad_line_it_is_the_same_game(table):
    play(table, RED_WINS)
    assert heard(table[1]) == {"type": "over", "winner": "red"}


@pytest.mark.asyncio
async def test_with_clients_of_websockets(server):
    async with websockets.connect(server.url) as red, websockets.connect(server.url) as yellow:
        await red.send('{"type": "open"}')
        code = json.loads(await red.recv())["table"]
        await yellow.send(json.dumps({"type": "join", "table": code}))
        for client in (red, yellow):
            await client.send('{"type": "drop", "column": 3}')
        drop = await asyncio.to_thread(
            server.tape.wait_for, lambda event: '"drop"' in event.data, kind="message"
        )
    assert json.loads(drop.data)["column"] == 3
    assert "it is red's turn" not in drop.data
