"""Who a hub lets in, whose session is whose, and what a newer token does to a connection."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
import time

import pytest
from websockets.exceptions import InvalidStatus

from tests.hub import rig
from tests.hub.rig import TOKEN, aio, inside, listening, one, speaking, until
from tests.hub.server.socket_io_rig import session_of
from wslab.errors import Refused
from wslab.hub import Hub, Limits
from wslab.identity.credentials import Credentials
from wslab.identity.identity import Identity

pytestmark = pytest.mark.usefixtures("memory_network")

WHO = {"of-alice": "alice", "of-bob": "bob"}


def bearer(token):
    return {"additional_headers": {"Authorization": f"Bearer {token}"}}


def hub_of(expires_at=None, **options):
    """Return a hub that knows alice and bob, and the `Credentials` that it was asked with."""
    hub, asked = Hub(**options), []

    @hub.on("authenticate")
    async def authenticate(credentials):
        asked.append(credentials)
        if credentials.token == "of-mallory":
            raise Refused("mallory is banned", data={"until": "monday"})
        if credentials.token == "fails":
            raise LookupError("the-database")
        who = WHO.get((credentials.token or "").removesuffix("-new"))
        return None if who is None else Identity(who, expires_at)

    @hub.on("whoami")
    async def whoami(client, data):
        return [client.user_id, client.identity and client.identity.user_id]

    return hub, asked


async def denied(url, **options):
    """Return status and text of a refusal: before the 101, or as the code that closes after it."""
    try:
        async with speaking(url, welcomed=False, **options) as wire:
            error = await wire.read()
            assert error["event"] == "error"
            code, reason = await wire.closed()
            assert error["data"]["message"].startswith(reason)
            return {4401: 401, 4403: 403, 1011: 500, 1013: 503}[code], error["data"]["message"]
    except InvalidStatus as exc:
        assert rig.carrier == "asgi"
        return exc.response.status_code, exc.response.body.decode().strip()


@pytest.mark.parametrize(
    ("options", "path", "status", "said"),
    [
        ({}, "", 401, "no token came: bring one as `Authorization: Bearer TOKEN`"),
        (bearer("nobody's"), "", 401, "the token in the header is not one that is valid here"),
        ({}, "?token=a&token=b", 401, "expected one token in the query, got 2"),
        (bearer("of-mallory"), "", 403, "mallory is banned"),
        (bearer("fails"), "", 500, "the authenticate handler failed"),
    ],
)
@aio
async def test_attempts_that_fail(options, path, status, said):
    hub, _ = hub_of(history=10)
    told = []
    hub.on("connect", told.append)
    async with listening(hub) as url:
        got = await denied(f"{url}{path}", **options)
        assert got[0] == status
        assert got[1].startswith(said)
        assert "the-database" not in got[1]
    assert told == []  # connect never ran
    assert hub.errors_seen == (status == 500)
    assert not list(rig.sessions_of(hub))


@aio
async def test_who_is_known_is_somebody():
    hub, asked = hub_of()
    seen = []
    hub.on("connect", lambda client: seen.append((client.user_id, client.identity)))
    async with listening(hub) as url, speaking(f"{url}?x=1", **bearer("of-alice")) as wire:
        assert wire.welcome["user"] == "alice"
        assert "expires_at" not in wire.welcome
        assert await wire.call("whoami") == ["alice", "alice"]
        assert seen == [("alice", Identity("alice"))]
        assert one(hub).expires_at is None
        [credentials] = asked
        assert (credentials.token, credentials.source) == ("of-alice", "header")
        assert credentials.path.endswith("?x=1")
        assert credentials.headers["authorization"] == "Bearer of-alice"
        assert credentials.address[0] == "127.0.0.1"


@aio
async def test_a_plain_function_on_a_thread_a_users_id_and_expired_ones():
    hub = Hub()
    threads = []

    @hub.on("authenticate")
    def authenticate(credentials):
        threads.append(threading.current_thread())
        return credentials.token if credentials.token != "old" else Identity("a", time.time() - 1)

    async with listening(hub) as url:
        async with speaking(url, **bearer("alice")):
            assert one(hub).identity == Identity("alice")
        got = await denied(url, **bearer("old"))
        assert got == (401, "expired: come again with new credentials")
    assert threads[0] is not threading.main_thread()


@aio
async def test_without_such_a_handler_nobody_is_asked():
    hub = Hub()
    async with listening(hub) as url, speaking(url) as wire:
        assert one(hub).identity is None
        assert "user" not in wire.welcome
        error = await wire.call("authenticate", {"token": "x"})
        assert error["code"] == "unknown-event"


@aio
async def test_a_token_that_counts_once_is_refused_the_second_time():
    # As the README shows it: a hub keeps no tokens, so their ids are the application's to keep.
    hub = Hub()
    seen = {}

    @hub.on("authenticate")
    async def authenticate(credentials):
        token_id = credentials.token
        if token_id in seen:
            raise Refused("this token was used before", status=401)
        seen[token_id] = time.time() + 60
        return Identity("alice", seen[token_id])

    async with listening(hub) as url, speaking(url, **bearer("jti-1")):
        assert await denied(url, **bearer("jti-1")) == (401, "this token was used before")
        async with speaking(url, **bearer("jti-2")):
            assert len(hub.clients) == 2


# A token in the first packet.


@aio
async def test_a_token_in_the_first_packet():
    hub, asked = hub_of(history=10)
    async with (
        listening(hub) as url,
        speaking(f"{url}?auth=packet&session={TOKEN}", welcomed=False) as wire,
    ):
        await wire.send({"event": "authenticate", "data": {"token": "of-alice"}})
        welcome = await wire.read()
        assert welcome["data"]["user"] == "alice"
        [credentials] = asked
        assert (credentials.token, credentials.source) == ("of-alice", "packet")
        assert TOKEN not in credentials.path
        assert await wire.call("whoami") == ["alice", "alice"]


@pytest.mark.parametrize(
    ("packet", "said"),
    [
        ({"event": "chat", "data": "of-alice"}, "as the first packet, since the URL says"),
        ("of-alice", "as the first packet, since the URL says"),
        (
            {"event": "authenticate", "data": {"token": "nobody's"}},
            "the token in the packet is not",
        ),
        ({"event": "authenticate"}, "no token came"),
        ({"event": "authenticate", "data": {"token": "x" * 5000}}, "at most 4,096 characters"),
    ],
)
@aio
async def test_a_first_packet_that_lets_nobody_in(packet, said):
    hub, _ = hub_of()
    async with listening(hub) as url:
        async with speaking(f"{url}?auth=packet", welcomed=False) as wire:
            await wire.send(packet)
            error = await wire.read()
            assert error["data"]["code"] == "unauthorized"
            assert error["data"]["data"] == {"status": 401}
            assert said in error["data"]["message"]
            assert (await wire.closed())[0] == 4401
    assert not hub.clients


@aio
async def test_who_says_nothing_is_let_go_of():
    hub, _ = hub_of(limits=Limits(authenticate_s=0.05))
    async with listening(hub) as url, speaking(f"{url}?auth=packet", welcomed=False) as wire:
        error = await wire.read()
        assert "as the first packet within 0.05 s, got none" in error["data"]["message"]
        assert (await wire.closed())[0] == 4401
    assert hub.limited["authenticate_s"] == 1


@aio
async def test_a_handler_that_takes_too_long_lets_nobody_in():
    hub = Hub(limits=Limits(authenticate_s=0.05))

    @hub.on("authenticate")
    async def authenticate(credentials):
        await asyncio.sleep(3600)

    async with listening(hub) as url:
        status, text = await denied(url, **bearer("x"))
        assert (status, text.partition(":")[0]) == (
            503,
            "who you are could not be found out in time",
        )
    assert hub.limited["authenticate_s"] == 1
    assert hub.errors[-1].kind == "TimeoutError"


@aio
async def test_a_flood_of_strangers_does_not_hold_up_others():
    hub = Hub(limits=Limits(handlers=4, proxies=("127.0.0.1",)))
    asked, may_answer = [], asyncio.Event()

    @hub.on("authenticate")
    async def authenticate(credentials):
        asked.append(credentials.token)
        if credentials.token == "slow":
            await may_answer.wait()
            return None
        return credentials.token

    def from_(address, token):
        headers = {"Authorization": f"Bearer {token}", "X-Forwarded-For": address}
        return {"additional_headers": headers}

    hub.on("echo", lambda client, data: data)
    async with listening(hub) as url, speaking(url, **from_("1.1.1.1", "alice")) as alice:
        flood = [asyncio.create_task(denied(url, **from_("6.6.6.6", "slow"))) for _ in range(30)]
        await until(lambda: asked.count("slow") == 2)  # half of all handlers
        assert await alice.call("echo", 1) == 1
        newcomer = asyncio.create_task(_user_of(url, **from_("2.2.2.2", "bob")))
        await until(lambda: inside(hub).authenticating._waiting.get("2.2.2.2"))
        may_answer.set()
        assert await newcomer == "bob"
        assert asked.index("bob") <= 5  # not behind all of the others
        assert {status for status, _ in await asyncio.gather(*flood)} == {401}
    assert inside(hub).authenticating.running == 0


async def _user_of(url, **options):
    async with speaking(url, **options) as wire:
        return wire.welcome["user"]


# Sessions.


@aio
async def test_a_session_goes_on_for_its_owner_alone():
    hub, _ = hub_of(history=10)
    async with listening(hub) as url:
        at = f"{url}?session={TOKEN}"
        async with speaking(at, **bearer("of-alice")) as alice:
            # Who has stolen the session's token is not alice, and does not even disturb her.
            async with speaking(at, welcomed=False, **bearer("of-bob")) as bob:
                error = await bob.read()
                assert error["data"]["code"] == "forbidden"
                assert "somebody else's" in error["data"]["message"]
                assert (await bob.closed())[0] == 4403
            assert await alice.call("whoami") == ["alice", "alice"]
            await alice.abort()
        await until(lambda: not hub.clients)
        hub.emit("news", 1)
        async with speaking(at, welcomed=False, **bearer("of-bob")) as bob:
            assert (await bob.closed())[0] == 4403
        async with speaking(f"{at}&offset=0", **bearer("of-alice")) as alice:
            assert alice.welcome["resumed"]
            assert (await alice.read())["event"] == "news"


@aio
async def test_two_who_come_at_once_with_one_token_get_a_session_each():
    hub, _ = hub_of(history=10)
    may_pass = asyncio.Event()

    @hub.on("connect")
    async def connect(client):
        if client.user_id == "bob":
            await may_pass.wait()

    async with listening(hub) as url:
        at = f"{url}?session={TOKEN}"
        async with speaking(at, welcomed=False, **bearer("of-bob")) as bob:
            await until(lambda: inside(hub).handlers.running == 1)
            async with speaking(at, **bearer("of-alice")) as alice:
                assert alice.welcome["session"] is True
                may_pass.set()
                welcome = (await bob.read())["data"]
                assert welcome["user"] == "bob"
                assert not welcome["resumed"]
                assert welcome["session"] not in (True, TOKEN)
                assert await alice.call("whoami") == ["alice", "alice"]


# The end of an identity, and how it is put off.


@aio
async def test_it_ends_with_4401_and_the_session_stays():
    hub, _ = hub_of(expires_at=time.time() + 3600, history=10)
    gone = []
    hub.on("disconnect", lambda client, reason: gone.append(reason))
    async with listening(hub) as url:
        at = f"{url}?session={TOKEN}"
        async with speaking(at, **bearer("of-alice")) as wire:
            assert wire.welcome["expires_at"] == one(hub).expires_at
            one(hub).expires_at = time.time()
            error = await wire.read()
            assert error["data"] == {
                "code": "unauthorized", "message": "expired: come again with new credentials",
            }  # fmt: skip
            assert await wire.closed() == (4401, "expired: come again with new credentials")
        await until(lambda: gone)
        assert gone[0].startswith("sent away with 4401")
        hub.emit("news", 1)
        hub.off("authenticate")
        hub.on("authenticate", lambda credentials: "alice")
        async with speaking(f"{at}&offset=0", **bearer("any")) as wire:
            assert wire.welcome["resumed"]
            assert (await wire.read())["event"] == "news"


@aio
async def test_a_newer_token_puts_it_off_without_another_connection():
    hub, asked = hub_of(expires_at=time.time() + 3600)
    async with listening(hub) as url, speaking(url, **bearer("of-alice")) as wire:
        client = one(hub)
        first = client.expires_at
        hub.off("authenticate")

        @hub.on("authenticate")
        async def another(credentials):
            asked.append(credentials)
            return Identity("alice", first + 60)

        answer = await wire.call("authenticate", {"token": "of-alice-new"})
        assert answer == {"user_id": "alice", "expires_at": first + 60}
        assert client.expires_at == client.identity.expires_at == first + 60
        assert asked[-1].source == "packet"
        assert await wire.call("authenticate", "of-alice-new") == answer  # the token alone
        assert one(hub) is client


@pytest.mark.parametrize(
    ("data", "code", "said"),
    [
        ({"token": "nobody's"}, "unauthorized", "the token in the packet is not one"),
        ({"token": "of-mallory"}, "forbidden", "mallory is banned"),
        ({"token": "of-bob"}, "forbidden", "this connection is that of 'alice'"),
        ({"token": "fails"}, "failed", "the authenticate handler failed"),
        ({}, "unauthorized", 'expected {"token": "..."} as the data of this event'),
        (None, "unauthorized", "got no token"),
    ],
)
@aio
async def test_a_newer_token_that_is_not_taken_changes_nothing(data, code, said):
    hub, _ = hub_of(expires_at=time.time() + 3600)
    async with listening(hub) as url, speaking(url, **bearer("of-alice")) as wire:
        first = one(hub).expires_at
        error = await wire.call("authenticate", data)
        assert error["code"] == code
        assert said in error["message"]
        assert one(hub).expires_at == first
        assert await wire.call("whoami") == ["alice", "alice"]
        await wire.emit("authenticate", data)  # without an id, it is an event
        assert (await wire.read())["data"]["code"] == code


@aio
async def test_who_came_before_anybody_asked_does_not_become_somebody():
    hub = Hub()
    async with listening(hub) as url, speaking(url) as wire:
        hub.on("authenticate", lambda credentials: "alice")
        error = await wire.call("authenticate", {"token": "x"})
        assert error["code"] == "forbidden"
        assert "nobody who is known" in error["message"]
        assert one(hub).identity is None


@aio
async def test_a_handler_may_set_the_end():
    hub, _ = hub_of()

    @hub.on("until")
    async def until_(client, at):
        client.expires_at = at
        return client.expires_at

    async with listening(hub) as url, speaking(url, **bearer("of-alice")) as wire:
        later = time.time() + 3600
        assert await wire.call("until", later) == later
        assert await wire.call("until", None) is None
        one(hub).expires_at = later  # from anywhere
        with pytest.raises(TypeError, match="seconds since the epoch"):
            one(hub).expires_at = "soon"
        await wire.emit("until", time.time() - 1)
        assert (await wire.closed())[0] == 4401


# Socket.IO.


@aio
async def test_a_stock_client_brings_its_token_in_the_first_packet():
    hub, asked = hub_of()
    async with session_of(hub, '0{"token":"of-alice"}') as session:
        await session.said("0")
        assert one(hub).identity == Identity("alice")
        assert asked[0].source == "packet"
        assert asked[0].packet == {"token": "of-alice"}
        session.feed('21["authenticate",{"token":"of-alice-new"}]')
        assert await session.said("3") == [{"user_id": "alice", "expires_at": None}]
        session.feed('22["authenticate",{"token":"of-bob"}]')
        [told] = await session.said("3", count=2)
        assert told["error"]["code"] == "forbidden"


@pytest.mark.parametrize(
    ("connect", "said", "data"),
    [
        ("0", "no token came", {"status": 401}),
        ('0{"token":"nobody\'s"}', "the token in the packet is not one", {"status": 401}),
        ('0{"token":"of-mallory"}', "mallory is banned", {"until": "monday"}),
    ],
)
@aio
async def test_a_stock_client_is_told_before_connect(connect, said, data):
    hub, _ = hub_of()
    told = []
    hub.on("connect", told.append)
    async with session_of(hub, connect) as session:
        error = await session.said("4")
        assert error["message"].startswith(said)
        assert error["data"] == data
    assert told == []


@aio
async def test_a_namespace_without_a_handler_asks_the_first_ones():
    hub, asked = hub_of()
    admin, lobby = hub.of("/admin"), hub.of("/lobby")
    admin.on("authenticate", lambda credentials: Identity("root"))
    async with session_of(hub, '0/lobby,{"token":"nobody\'s"}') as session:
        assert (await session.said("4/lobby"))["data"] == {"status": 401}
        session.feed('0/lobby,{"token":"of-alice"}', "0/admin,")
        await session.said("0/lobby")
        await session.said("0/admin")
        assert one(lobby).user_id == "alice"
        assert one(admin).user_id == "root"
        assert len(asked) == 2


@aio
async def test_a_stock_client_with_anothers_place_gets_a_new_one():
    hub, _ = hub_of(history=10)
    async with session_of(hub, '0{"token":"of-alice"}') as session:
        pid = (await session.said("0"))["pid"]
        connect = json.dumps({"token": "of-bob", "pid": pid, "offset": ""})
        async with session_of(hub, f"0{connect}") as other:
            welcome = await other.said("0")
            assert welcome["pid"] != pid
            assert {client.user_id for client in hub.clients.values()} == {"alice", "bob"}


@aio
async def test_a_stock_client_whose_identity_ends_is_told():
    hub, _ = hub_of()
    async with session_of(hub, '0{"token":"of-alice"}') as session:
        await session.said("0")
        one(hub).expires_at = time.time() - 1
        [name, error] = await session.said("2")
        assert (name, error["code"]) == ("error", "unauthorized")
        await until(lambda: session.written[-1] == "1")  # DISCONNECT
        assert session.is_open


def test_what_is_no_handler_of_it():
    hub = Hub()
    with pytest.raises(TypeError, match=r"async def authenticate\(credentials\)"):
        hub.on("authenticate", lambda: None)
    with pytest.raises(TypeError, match=r"async def authenticate\(credentials\)"):
        hub.on("authenticate", lambda client, data: None)


@aio
async def test_no_text_of_a_hub_holds_a_token():
    hub, asked = hub_of(expires_at=time.time() + 3600)
    async with listening(hub) as url, speaking(url, **bearer("of-alice")):
        texts = [repr(one(hub)), repr(one(hub).identity), repr(asked[0]), repr(hub)]
        assert [text for text in texts if "of-alice" in text] == []
        with contextlib.suppress(AttributeError):
            asked[0].token = "x"
        assert isinstance(asked[0], Credentials)
