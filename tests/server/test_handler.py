"""What a handler must be, and the words for one that is not."""

from __future__ import annotations

import asyncio
import functools
from unittest.mock import AsyncMock, MagicMock

import pytest

import wslab
from wslab.server.handler import awaited, check_handler, handler_name, is_application


async def good(websocket):
    pass


async def with_more(websocket, path=None, *rest, key=3):
    pass


class Handler:
    async def __call__(self, websocket):
        pass

    async def method(self, websocket):
        pass

    @classmethod
    async def of_class(cls, websocket):
        pass

    @staticmethod
    async def static(websocket):
        pass


class PerConnection:
    """Made for each connection, and awaited."""

    def __init__(self, websocket):
        self.websocket = websocket

    def __await__(self):
        return asyncio.sleep(0).__await__()


def decorated(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


def chooses(websocket):
    if websocket.path:
        return good(websocket)
    return with_more(websocket)


def may_raise(websocket):
    if websocket is None:
        raise ValueError
    return good(websocket)


@pytest.mark.parametrize(
    "handler",
    [
        good,
        with_more,
        Handler(),
        Handler().method,
        Handler.of_class,
        Handler.static,
        PerConnection,
        decorated(good),
        chooses,
        may_raise,
        lambda websocket: good(websocket),
        functools.partial(with_more, path="/"),
        functools.partial(functools.partial(with_more), key=1),
        AsyncMock(),
        MagicMock(),
    ],
    ids=handler_name,
)
def test_what_may_be_a_handler(handler):
    check_handler(handler)


def plain(websocket):
    print(websocket)


def plain_that_returns(websocket):
    if websocket:
        return
    print(websocket)


def plain_that_returns_none(websocket):
    return None


def generator(websocket):
    yield websocket


async def async_generator(websocket):
    yield websocket


async def no_argument():
    pass


async def old(websocket, path):
    pass


async def needs_key(websocket, *, key):
    pass


class PlainCall:
    def __call__(self, websocket):
        print(websocket)


class GeneratorMethod:
    def method(self, websocket):
        yield websocket

    def plain(self, websocket):
        print(websocket)


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (None, "got NoneType None"),
        ("echo", "got str 'echo'"),
        (42, "got int 42"),
        (plain, "expected `async def plain(websocket)`, got a plain `def`"),
        (plain_that_returns, "a plain `def`"),
        (plain_that_returns_none, "a plain `def`"),
        (PlainCall(), "a plain `def`"),
        (GeneratorMethod().plain, "a plain `def`"),
        (functools.partial(plain), "a plain `def`"),
        (generator, "a function that yields"),
        (async_generator, "a function that yields"),
        (GeneratorMethod().method, "a function that yields"),
        (functools.partial(generator), "a function that yields"),
        (no_argument, "one argument, got no_argument()"),
        (old, "old(websocket, path); the path, once the second argument"),
        (needs_key, "one argument"),
        (functools.partial(good, "taken"), "one argument"),
        (lambda: None, "`def`"),
        (wslab.Hub, "got the class Hub itself: make one, and pass that, serve(Hub())"),
        (Handler, "the class Handler itself"),
    ],
    ids=lambda value: value if isinstance(value, str) else handler_name(value),
)
def test_what_cannot_be_one_is_refused_at_once(handler, words):
    with pytest.raises(TypeError) as refused:
        check_handler(handler)
    assert words in str(refused.value)
    with pytest.raises(TypeError):
        wslab.serve(handler)


def test_a_coroutine_is_closed_and_explained():
    coroutine = good(None)
    with pytest.raises(TypeError, match="without calling it"):
        check_handler(coroutine)
    assert coroutine.cr_frame is None  # closed: no warning that it was never awaited


@pytest.mark.parametrize(
    ("handler", "name"),
    [
        (good, "good"),
        (decorated(good), "good"),
        (Handler(), "Handler"),
        (Handler().method, "method"),
        (PerConnection, "PerConnection"),
        (functools.partial(functools.partial(good)), "good"),
        (lambda websocket: None, "handler"),
    ],
)
def test_names(handler, name):
    assert handler_name(handler) == name


def test_awaited():
    async def run():
        done = []

        async def work():
            done.append(1)

        await awaited(work(), work)
        await awaited(asyncio.ensure_future(work()), work)
        await awaited(PerConnection(None), PerConnection)
        assert done == [1, 1]
        for wrong in (None, 42, [work]):
            with pytest.raises(TypeError, match=r"expected plain\(\) to be an `async def`"):
                await awaited(wrong, plain)

    asyncio.run(run())


def test_one_object_for_each_connection():
    class Session:
        def __init__(self, websocket):
            self.websocket = websocket

        def __await__(self):
            return self.run().__await__()

        async def run(self):
            async for message in self.websocket:
                await self.websocket.send(message.upper())

    with wslab.serve(Session) as server, wslab.connect(server) as client:
        assert server.name == "Session"
        client.send("hello")
        assert client.recv(timeout=5) == "HELLO"


# Applications.


async def an_application(scope, receive, send):
    pass


class Application:
    async def __call__(self, scope, receive, send):
        pass

    async def method(self, scope, receive, send):
        pass


def makes_application(scope, receive, send):
    return an_application(scope, receive, send)


async def three_of_other_names(a, b, c):
    pass


async def with_options(scope, receive, send, debug=False, **options):
    pass


@pytest.mark.parametrize(
    "application",
    [
        an_application,
        Application(),
        Application().method,
        makes_application,
        three_of_other_names,
        with_options,
        decorated(an_application),
        functools.partial(an_application),
    ],
)
def test_an_application_is_told_by_what_it_is_called_with(application):
    assert is_application(application)


def test_frameworks_make_applications():
    import fastapi
    import starlette.applications
    import starlette.routing

    assert is_application(fastapi.FastAPI())
    assert is_application(starlette.applications.Starlette())
    assert is_application(starlette.routing.Router())
    assert not is_application(starlette.applications.Starlette)  # the class is none yet


@pytest.mark.parametrize(
    "handler", [good, with_more, Handler(), PerConnection, wslab.Hub(), AsyncMock(), print, 3]
)
def test_a_handler_is_none(handler):
    assert not is_application(handler)


def test_a_wsgi_application_is_told_of():
    def flask(environ, start_response):
        return [b"hi"]

    with pytest.raises(TypeError, match="a WSGI application, which can't do WebSockets; a2wsgi"):
        wslab.serve(flask)
