"""Namespaces over one session: who connects where, what ends what, and what may wait."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.hub.rig import TOKEN, aio, inside, one, sessions_of, until
from tests.hub.server.socket_io_rig import session_of
from wslab.errors import Refused
from wslab.hub import Args, Hub, Limits
from wslab.hub.server import namespaces


def chat():
    hub = Hub()
    hub.on("add", lambda client, *numbers: sum(numbers))

    @hub.on("say")
    async def say(client, data):
        await hub.emit("said", data, skip=client)
        return data

    return hub


@aio
async def test_a_client_connects_emits_and_is_answered():
    hub = chat()
    async with session_of(hub, "0") as session:
        told = await session.said("0")
        assert told == {"sid": one(hub).id}
        session.feed('27["say",{"a":1}]')
        assert await session.said("37") == [{"a": 1}]
        session.feed('28["add",1,2,3]', '29["add"]')
        assert await session.said("38") == [6]
        session.feed('51-5["say",{"_placeholder":true,"num":0}]', b"x")
        assert await session.said("61-5") == [{"_placeholder": True, "num": 0}]
        assert session.written[-1] == b"x"
        hub.emit("tick", Args(1, b"y"))
        assert await session.said("51-[") == ["tick", 1, {"_placeholder": True, "num": 0}]
        hub.broadcast("raw")
        assert await session.said('2["message"') == ["message", "raw"]
        assert session.is_open


@aio
async def test_a_failure_answers_as_one_argument():
    hub = chat()

    @hub.on("fails")
    async def fails(client, data):
        raise Refused("not you")

    messages = ["0", '27["fails"]', '2["fails"]', '28["nobody"]', '29["fails",1,2]']
    async with session_of(hub, *messages) as session:
        assert await session.said("37") == [{"error": {"code": "refused", "message": "not you"}}]
        assert (await session.said('2["error"'))[1]["event"] == "fails"
        [error] = await session.said("38")
        assert error["error"]["code"] == "unknown-event"
        [error] = await session.said("39")
        assert error["error"]["code"] == "bad-packet"
        assert error["error"]["message"].startswith("expected 1 argument for this event, got 2; a")
        assert session.is_open


@aio
async def test_the_hub_asks_a_client():
    hub = chat()
    async with session_of(hub, "0") as session:
        await session.said("0")
        asking = asyncio.ensure_future(one(hub).call("pick", Args(1, 2)))
        assert await session.said("21[") == ["pick", 1, 2]
        session.feed("31[5]")
        assert await asking == 5
        asking = asyncio.ensure_future(one(hub).call("pick", b"x"))
        await session.said("51-2")
        session.feed('61-2["a",{"_placeholder":true,"num":0}]', b"y")
        assert await asking == Args("a", b"y")
        with pytest.raises(TimeoutError, match="did not answer 'pick'"):
            await one(hub).call("pick", timeout=0.01)


@aio
async def test_namespaces_are_hubs_over_one_connection():
    hub = chat()
    admin = hub.of("/admin")
    assert hub.of("/admin") is admin
    assert admin.of("/") is hub
    with pytest.raises(ValueError, match="begins with /"):
        hub.of("admin")
    reasons = []
    admin.on("disconnect", lambda client, reason: reasons.append(reason))
    admin.on("who", lambda client, data: client.auth)
    async with session_of(hub, '0/admin,{"token":"t","pid":"x"}', "0", "0/other,") as session:
        assert await session.said("4/other,") == {"message": "Invalid namespace"}
        await session.said("0")
        assert (await session.said("0/admin,"))["sid"] == one(admin).id
        assert one(hub).id != one(admin).id
        session.feed('2/admin,7["who"]')
        assert await session.said("3/admin,7") == [{"token": "t"}]
        admin.emit("tick")
        assert await session.said("2/admin,") == ["tick"]
        session.feed("1/admin,", '2/admin,["who"]')  # which was on its way
        await until(lambda: not admin.clients)
        await until(lambda: reasons)
        assert reasons == ["closed by the client with 1000 (left the namespace)"]
        assert len(hub.clients) == 1
        session.feed("0/admin,")  # and comes again
        await session.said("0/admin,", 2)
        one(admin).disconnect()
        await session.said("1/admin,")
        await until(lambda: not admin.clients)
        assert session.is_open
        assert one(hub).is_open


@aio
async def test_connect_may_refuse_with_data_and_the_client_try_again():
    hub = chat()

    @hub.on("connect")
    async def connect(client):
        if client.auth != {"token": "right"}:
            raise Refused("who are you?", data={"hint": 1})

    async with session_of(hub, '0{"token":"wrong"}') as session:
        assert await session.said("4") == {"message": "who are you?", "data": {"hint": 1}}
        assert not hub.clients
        session.feed('2["say",1]', '0{"token":"right"}')
        await session.said("0")
        assert session.written[1:] == [session.written[-1]]
        assert hub.complaints == {"refused": 1}


@aio
async def test_too_many_are_refused():
    hub = Hub(limits=Limits(clients=1))
    async with session_of(hub, "0") as first:
        await first.said("0")
        async with session_of(hub, "0") as second:
            told = await second.said("4")
            assert told["message"].startswith("1 clients are connected already")
            assert second.is_open  # the stock client closes it
        assert len(hub.clients) == 1


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        (['2["say"]'], "not-connected"),
        (["1"], "not-connected"),
        (["37[]"], "not-connected"),
        (['2/admin,["say"]'], "not-connected"),
        ([b"x"], "attachment-unexpected"),
        (["9"], "unknown-type"),
        ([""], "empty-packet"),
        (["x"], "unknown-type"),
        (["0{"], "bad-json"),
        (["0[1]"], "bad-connect"),
        (["0", "0"], "connected-already"),
        (["0", '4{"message":"x"}'], "unexpected-packet"),
        (["0", "2[1"], "bad-json"),
        (["0", "2{}"], "bad-event"),
        (["0", '2["connect"]'], "reserved-event"),
        (["0", "3[]"], "bad-ack"),
        (["0", "37{}"], "bad-ack"),
        (["0", b"x"], "attachment-unexpected"),
        (["0", '51-["e",{"_placeholder":true,"num":0}]', '2["e"]'], "attachment-missing"),
        (["0", '51-["e",{"_placeholder":true,"num":7}]'], "bad-placeholder"),
        (["0", '511-["e"]', *([b"x"] * 11)], "too-many-attachments"),
        (["0", '50-["e"]'], "bad-attachment-count"),
        (["0", '5["e"]'], "bad-attachment-count"),
    ],
)
@aio
async def test_a_violation_ends_the_connection(messages, reason):
    hub = chat()
    hub.of("/admin")
    async with session_of(hub, *messages) as session:
        await until(lambda: not session.is_open)
        assert session.reason.startswith(f"{reason}: expected ")
        assert session.code == 1002
        assert hub.complaints[namespaces.VIOLATION] == 1
    assert not hub.clients
    assert not hub.errors


@aio
async def test_who_connects_to_nothing_is_sent_away(monkeypatch):
    monkeypatch.setattr(namespaces, "CONNECT_TIMEOUT_S", 0.01)
    hub = chat()
    async with session_of(hub) as session:
        await until(lambda: not session.is_open)
        assert session.reason == "expected a CONNECT within 0.01 s, got none"
    async with session_of(hub, "0") as session:
        await session.said("0")
        await asyncio.sleep(0.02)
        assert session.is_open
        session.feed("1")
        await until(lambda: not session.is_open)


@aio
async def test_what_waits_is_bounded_while_a_handler_is_at_work():
    hub, goes_on = Hub(), asyncio.Event()
    taken = []

    @hub.on("slow")
    async def slow(client, data):
        taken.append(data)
        await goes_on.wait()

    event = '2["slow","' + "x" * 1000 + '"]'
    async with session_of(hub, "0", *([event] * 200)) as session:
        await until(lambda: taken)
        await asyncio.sleep(0.01)
        assert session.waiting > 180
        goes_on.set()
        await until(lambda: len(taken) == 200)


@aio
async def test_a_session_that_ends_while_more_waits_lets_go():
    hub, goes_on = Hub(), asyncio.Event()
    reasons = []
    hub.on("disconnect", lambda client, reason: reasons.append(reason))

    @hub.on("slow")
    async def slow(client, data):
        await goes_on.wait()

    event = '2["slow","' + "x" * 20_000 + '"]'
    async with session_of(hub, "0", *([event] * 5)) as session:
        await until(lambda: inside(hub).handlers.running)
        session.lose()
        await until(lambda: not hub.clients)
        goes_on.set()
        await until(lambda: reasons)
    assert reasons == ["the connection broke off (1006)"]


@aio
async def test_what_a_handler_does_slowly_in_one_namespace_holds_up_no_other():
    hub, goes_on = chat(), asyncio.Event()

    @hub.of("/slow").on("wait")
    async def wait(client, data):
        await goes_on.wait()

    messages = ["0/slow,", '2/slow,["wait"]', "0", '21["add",1]']
    async with session_of(hub, *messages) as session:
        assert await session.said("31") == [1]
        goes_on.set()


@aio
async def test_one_that_connects_and_leaves_for_ever_is_bounded():
    hub, goes_on = Hub(), asyncio.Event()

    @hub.on("connect")
    async def connect(client):
        await goes_on.wait()

    async with session_of(hub, *(["0", "1"] * 200)) as session:
        await until(lambda: inside(hub).admission.alive > 10)
        await asyncio.sleep(0.01)
        assert inside(hub).admission.alive <= namespaces.MAX_TASKS + 1
        assert session.waiting > 300
        goes_on.set()
        await until(lambda: session.waiting == 0)


@aio
async def test_a_stopped_server_cancels_what_is_at_work():
    hub = chat()
    at_work = asyncio.Event()

    @hub.on("slow")
    async def slow(client, data):
        at_work.set()
        await asyncio.Event().wait()

    async with session_of(hub, "0", '2["slow"]') as session:
        await at_work.wait()
        session.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await session.task
        assert not hub.clients


@aio
async def test_a_paused_session_gets_the_last_word_when_it_goes_on():
    hub = chat()
    async with session_of(hub, "0") as session:
        await session.said("0")
        session.is_paused = True
        one(hub).disconnect()
        await until(lambda: not hub.clients)
        assert session.written[-1] != "1"
        session.resume()
        await session.said("1")


@aio
async def test_who_does_not_take_the_last_word_is_cut_off(monkeypatch):
    monkeypatch.setattr("wslab.hub.server.connection.CLOSE_GRACE_S", 0.01)
    hub = chat()
    async with session_of(hub, "0") as session:
        await session.said("0")
        session.is_paused = True
        one(hub).disconnect()
        await until(lambda: session.was_aborted)


# Coming back.


def keeping():
    hub = Hub(history=10)

    @hub.on("join")
    async def join(client, data):
        client.join(data)

    return hub


@aio
async def test_a_client_comes_back_to_what_it_has_missed():
    hub = keeping()
    async with session_of(hub, "0", '21["join","red"]') as session:
        pid = (await session.said("0"))["pid"]
        assert await session.said("31") == []
        hub.emit("a", 1, to="red")
        event = await session.said('2["a"')
        user_id = one(hub).user_id
    hub.emit("b", 2, to="red")
    hub.emit("c", to="blue")
    hub.broadcast("not kept")
    async with session_of(hub, f'0{{"pid":"{pid}","offset":"{event[-1]}"}}') as session:
        assert (await session.said("0"))["pid"] == pid
        missed = await session.said('2["b"')
        assert missed[:2] == ["b", 2]
        client = one(hub)
        assert client.is_resumed
        assert (client.user_id, client.rooms) == (user_id, {"red"})
        assert len(session.written) == 2
    # Once more, and nothing was missed.
    async with session_of(hub, f'0{{"pid":"{pid}","offset":"{missed[-1]}"}}') as session:
        assert (await session.said("0"))["pid"] == pid
        hub.broadcast("raw")
        raw = await session.said('2["message"')
        assert raw == ["message", "raw", raw[2]]  # a stock client takes a last text for a place
        assert raw[2] == missed[-1].replace(".2", ".3")


@aio
async def test_one_that_has_seen_no_event_comes_back_too():
    hub = keeping()
    async with session_of(hub, "0") as session:
        pid = (await session.said("0"))["pid"]
    hub.emit("a")
    for _ in range(2):
        async with session_of(hub, f'0{{"pid":"{pid}","offset":"other.99"}}') as session:
            assert (await session.said("0"))["pid"] == pid
            assert (await session.said('2["a"'))[0] == "a"


@aio
async def test_a_gap_gives_a_new_pid():
    hub = keeping()
    seen = []
    hub.on("connect", lambda client: seen.append((client.is_resumed, client.user_id)))
    async with session_of(hub, "0") as session:
        pid = (await session.said("0"))["pid"]
    for _ in range(11):
        hub.emit("a")
    async with session_of(hub, f'0{{"pid":"{pid}"}}') as session:
        told = await session.said("0")
        assert told["pid"] not in (pid, TOKEN)
        assert len(session.written) == 1
        assert not one(hub).is_resumed
    assert [each[0] for each in seen] == [False, False]
    assert seen[0][1] != seen[1][1]


@aio
async def test_a_client_cannot_choose_its_pid():
    hub = keeping()
    async with session_of(hub, f'0{{"pid":"{TOKEN}","offset":"x.1"}}') as session:
        assert (await session.said("0"))["pid"] != TOKEN
        assert not one(hub).is_resumed


@aio
async def test_who_leaves_the_namespace_does_not_come_back():
    hub = keeping()
    async with session_of(hub, "0") as session:
        pid = (await session.said("0"))["pid"]
        session.feed("1")
        await until(lambda: not hub.clients)
        session.feed(f'0{{"pid":"{pid}"}}')
        assert (await session.said("0", 2))["pid"] != pid


@aio
async def test_a_session_that_is_taken_over_ends_for_the_earlier_client():
    hub = keeping()
    async with session_of(hub, "0") as first:
        pid = (await first.said("0"))["pid"]
        async with session_of(hub, f'0{{"pid":"{pid}"}}') as second:
            assert (await second.said("0"))["pid"] == pid
            await first.said("1")
            assert len(hub.clients) == 1


@aio
async def test_clients_of_python_get_what_they_can_use():
    hub = keeping()
    path = "/socket.io/?transport=websocket&EIO=4&t=1"
    async with session_of(hub, "0{}", path=path) as session:
        assert await session.said("0") == {"sid": one(hub).id}
        hub.emit("a", 1)
        hub.broadcast("raw")
        assert await session.said('2["message"') == ["message", "raw"]
        assert '2["a",1]' in session.written
    assert not list(sessions_of(hub))


@aio
async def test_more_bytes_than_a_stock_client_takes_are_refused_before_they_are_sent():
    hub = keeping()
    many = [b"x"] * 11
    async with session_of(hub, "0", '21["join","red"]') as session:
        pid = (await session.said("0"))["pid"]
        await session.said("31")
        client = one(hub)
        for send in (
            lambda: hub.emit("e", many),
            lambda: hub.emit("e", many, to="red"),
            lambda: client.emit("e", many),
            lambda: client.call("e", many),
        ):
            with pytest.raises(ValueError, match="at most 10 values of bytes in 'e', got 11: "):
                send()
        hub.on("many", lambda client, data: many)
        session.feed('22["many"]')
        [answer] = await session.said("32")
        assert "at most 10 values of bytes in an answer" in answer["error"]["message"]
        hub.emit("others", many, to="blue")
        hub.emit("others", many, skip=client)
        hub.emit("e", many[:10])
        await session.said("510-")
        assert len(hub.history()) == 2
    hub.emit("e", many, to="red")  # it was away, and would not have been refused
    hub.emit("e", 1)
    async with session_of(hub, f'0{{"pid":"{pid}"}}') as session:
        assert (await session.said("0"))["pid"] == pid
        await session.said('2["e",1,')
        assert (await session.said('2["dropped"'))[1] == {"count": 1}


@aio
async def test_what_nobody_will_take_holds_up_nobody():
    hub = Hub(limits=Limits(grace_s=0.05))
    at_work = asyncio.Event()

    @hub.on("slow")
    async def slow(client, data):
        at_work.set()
        await asyncio.Event().wait()

    hub.of("/other").on("add", lambda client, a, b: a + b)
    event = '2["slow","' + "x" * 10_000 + '"]'
    async with session_of(hub, "0", "0/other,", *([event] * 4)) as session:
        await at_work.wait()
        one(hub).disconnect()
        session.feed('2/other,7["add",1,2]')
        assert await session.said("3/other,7") == [3]


@aio
async def test_sessions_that_are_away_are_bounded_as_those_of_others():
    hub = Hub(history=10, limits=Limits(sessions=2))
    for _ in range(5):
        async with session_of(hub, "0") as session:
            await session.said("0")
    assert len(sessions_of(hub).away) == 2
    assert hub.limited["sessions"] == 3


PIECES = [
    "0", "0/admin,", "1", "1/admin,", '2["say",1]', '2/admin,["say"]', "27", '["say"]', "5", "51-",
    "52-", '["e",{"_placeholder":true,"num":0}]', "/admin,", "3", "37[1]", "4", "6", "[", "{", "]",
    '"', ",", "9", "", "\x1e", "e", "-1", "é", '0{"pid":1}', "[[" * 50, b"x", b"",
]  # fmt: skip


@pytest.mark.parametrize("first", range(0, 400, 100))
@aio
async def test_whatever_comes_the_hub_lives_on(first):
    hub = chat()
    hub.of("/admin").on("*", lambda client, event, data: data)
    for seed in range(first, first + 100):
        source = random.Random(seed)
        messages = ["0"] if source.random() < 0.7 else []
        for _ in range(source.randrange(8)):
            piece = source.choice(PIECES)
            if isinstance(piece, str) and source.random() < 0.5:
                piece += "".join(
                    each for each in source.choices(PIECES, k=2) if isinstance(each, str)
                )
            messages.append(piece)
        async with session_of(hub, *messages) as session:
            # It has ended because of a rule, or takes what comes next.
            session.feed("0", '2["fence"]', '2["add",1]', "9")
            await until(lambda session=session: not session.is_open, f"seed {seed}: {messages}")
            assert session.reason, f"seed {seed}"
    assert not hub.clients
    assert not hub.errors


@aio
async def test_who_is_too_slow_is_cut_off_so_that_it_comes_again():
    hub = Hub(history=10, slow="disconnect", backlog=2)
    async with session_of(hub, "0") as session:
        pid = (await session.said("0"))["pid"]
        session.is_paused = True
        for number in range(4):
            hub.emit("n", number)
        await until(lambda: not session.is_open)
        assert session.code == 1013
        assert session.reason.startswith("too slow")
    async with session_of(hub, f'0{{"pid":"{pid}"}}') as session:
        assert (await session.said("0"))["pid"] == pid
        await session.said('2["n",3')
        assert len(session.written) == 5
