"""Lesson 07, "07 safe sender": every message once, in order, and then close 4000."""

import wslab
from wslab.learn import check


def send_safely(page, messages):
    def go():
        for message in messages:
            page.send(message)
        page.close(4000)  # behind the last send: what is already sent still goes out

    def when_open(event):
        if event.type == "open":
            page.off(when_open)
            go()

    if page.ready_state == "OPEN":  # no open event comes any more
        go()
    else:  # CONNECTING, or no socket yet
        page.on_event(when_open)


if __name__ == "__main__":
    print(check("07 safe sender", send_safely))
    wslab.shutdown()
