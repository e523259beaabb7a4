"""Lesson 13, "13 by hand" and "13 hub": a stock client is answered, by hand and by a Hub."""

import json
import secrets

import wslab
from wslab.learn import check


def answer(message):
    if message.startswith("40"):
        return "40" + json.dumps({"sid": secrets.token_hex(8)})
    if not message.startswith("42"):
        return None  # 3 answers our ping; 41 is a goodbye
    at = message.index("[")
    number = message[2:at]  # of a call; empty where none is asked
    _, text = json.loads(message[at:])  # the event, which is always chat here
    if number:
        return f"43{number}[{len(text)}]"
    return "42" + json.dumps(["heard", text])


house = wslab.Hub()


@house.on("chat")
def chat(client, text):
    house.emit("heard", text)
    return len(text)


if __name__ == "__main__":
    print(check("13 by hand", answer))
    print(check("13 hub", house))
    wslab.shutdown()
