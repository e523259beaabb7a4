"""left_open() counts connections, servers and tasks of others, and never the lab's own task."""

import asyncio
import threading

import wslab
from wslab.learn import left_open


async def echo(websocket):
    async for message in websocket:
        await websocket.send(message)


def test_left_open_counts_and_starts_nothing():
    threads = threading.active_count()
    assert str(left_open()) == "open connections: 0, servers: 0, tasks: 0"
    assert threading.active_count() == threads
    server = wslab.serve(echo)
    wslab.connect(server)
    left = left_open()
    assert left
    assert (left.connections, left.servers) == (1, 1)
    assert left.tasks > 0
    wslab.shutdown()
    assert not left_open()


def test_the_labs_own_task_is_none():
    wslab.shutdown()
    assert str(left_open()) == "open connections: 0, servers: 0, tasks: 0"
    wslab.run(asyncio.sleep, 0)  # the lab's loop runs again
    assert left_open().tasks == 0
    assert not left_open()


def test_a_task_that_was_left_is_counted():
    tasks = []

    async def leave_one():
        tasks.append(asyncio.get_running_loop().create_task(asyncio.sleep(60)))

    wslab.run(leave_one)
    assert left_open().tasks == 1
    wslab.run(lambda: tasks[0].cancel())
