"""A node that says at Redis what its clients say, and emits what comes back from there.

Its function's text is what `start_nodes` hands to a process: all that it needs stands in it.
"""


def by_redis(url):
    import redis.asyncio

    import wslab

    hub, box = wslab.Hub(), redis.asyncio.from_url(url)

    @hub.on("chat")
    async def chat(client, text):
        return await box.publish("chat", text)

    async def listen():
        async with box.pubsub() as ear:
            await ear.subscribe("chat")
            async for said in ear.listen():
                if said["type"] == "message":
                    hub.emit("chat", said["data"].decode())

    return hub, listen
