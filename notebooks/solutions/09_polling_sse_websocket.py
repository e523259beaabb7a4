"""Lesson 09, "09 pick": a way for each case, within its budget of bytes and of delay."""

import wslab
from wslab.learn import check


def pick(case):
    if case.page_talks:
        return "WebSocket"  # the one way that carries both directions without a head for each
    if case.only_last:
        return "polling", 0.8 * case.late_s  # the news is at most one interval old
    return "SSE"  # plain HTTP, each update at once, one head for all of them


if __name__ == "__main__":
    print(check("09 pick", pick))
    wslab.shutdown()
