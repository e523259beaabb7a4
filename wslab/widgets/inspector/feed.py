"""Feed: tapes read into rows of a timeline, as many as can be drawn, and the rest counted.

Its rule: one call reads a bounded part, for a tick holds the loop of every server; frames and bytes
are exact, whatever was drawn.
"""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from ...wire.events import Event, FrameEvent
from ...wire.frames.opcodes import Opcode
from ...wire.tape.sampling import SamplingReader
from ...wire.tape.tally import Tally
from ...wire.tape.tape import Tape
from .keepalive import KEEPALIVE_S
from .remarks import Remarks
from .timeline import Row, Timeline

__all__ = ["ROWS_A_TICK", "Feed", "numbers_since"]

ROWS_A_TICK = 150
CHUNKS_A_TICK = 2_500  # read at once; a tick holds the loop of every server
STEADY_ROWS_S = 120.0  # what is drawn of an endless stream; nobody could read more
BURST_ROWS = 1_000

Json = dict[str, Any]


class Feed:
    """Reads tapes into rows, as many as can be drawn, and counts the rest.

    Args:
        tapes: to be shown together, on one clock.
        servers: addresses of the servers among the sources.
        since_s: what happened before is counted and not drawn.
        max_rows: rows that are kept.
        intervals_s, is_chosen, remarks: see :class:`Timeline`.
    """

    def __init__(
        self,
        tapes: Iterable[Tape],
        servers: Iterable[str] = (),
        *,
        since_s: float = -1.0,
        max_rows: int = 2_000,
        intervals_s: Iterable[float] = (KEEPALIVE_S,),
        is_chosen: Callable[[int, Event], bool] | None = None,
        remarks: Remarks | None = None,
    ) -> None:
        self.tapes = tuple(tapes)
        self._remarks = remarks = remarks if remarks is not None else Remarks({})
        self.timeline = Timeline(
            servers, intervals_s=intervals_s, is_chosen=is_chosen, remarks=remarks
        )
        self.rows: deque[Row] = deque(maxlen=max_rows)
        self.since_s = since_s
        self.drawn = 0  # frames that became rows
        self._readers = [SamplingReader(tape.recorder) for tape in self.tapes]
        began_at = min((tape.began_at for tape in self.tapes), default=0.0)
        self._offsets = [tape.began_at - began_at for tape in self.tapes]
        self._burst = float(min(BURST_ROWS, max_rows))
        self._tokens = self._burst
        self._filled_s = time.monotonic()
        self._decoded = {"client": [0, 0], "server": [0, 0]}  # frames, header bytes
        self._inflated = [0, 0]  # bytes before, bytes after
        self._passed = 0
        self._at_s = 0.0

    def catch_up(self) -> None:
        """Count what is there but the last rows; on a big tape it takes up to a second."""
        self._remarks.refresh()
        for source, reader in enumerate(self._readers):
            self.timeline.lanes.meet(source, self.tapes[source])
            self._take(source, reader.catch_up(int(self._burst)))
        self._passed = sum(reader.passed_over for reader in self._readers)  # long ago: no row

    def poll(self, waiting: Iterable[Row] = ()) -> list[Row]:
        """Return the rows that are new, at most about 150.

        Args:
            waiting: rows of earlier calls that are still to be shown.
        """
        now_s = time.monotonic()
        refill = STEADY_ROWS_S * (now_s - self._filled_s)
        self._tokens, self._filled_s = min(self._burst, self._tokens + refill), now_s
        new: list[Row] = []
        self._remarks.refresh()
        for source, reader in enumerate(self._readers):
            if reader.is_idle:
                new += self.timeline.late_remarks(source, self._at_s)
                continue
            self.timeline.lanes.meet(source, self.tapes[source])
            keep = max(10, int(self._tokens))
            limit = min(keep, ROWS_A_TICK)
            new += self._take(source, reader.sample(limit, keep, max_chunks=CHUNKS_A_TICK))
        if len(self._readers) > 1:
            new.sort(key=lambda row: row.json["at"])
        if new:
            self._tokens -= len(new)
            self._at_s = new[-1].json["at"]
        passed = sum(reader.passed_over for reader in self._readers)
        if passed > self._passed:
            row = self.timeline.passed_over(passed - self._passed, self._at_s)
            self._passed = passed
            new.insert(0, row)
            row.json["at"] = new[1].json["at"] if len(new) > 1 else self._at_s
        new = [row for row in new if row.json["at"] > self.since_s]
        self.rows.extend(new)
        self.timeline.forget(self.tapes, itertools.chain(self.rows, waiting))
        return new

    def _take(self, source: int, events: list[Any]) -> list[Row]:
        for event in events:
            if isinstance(event, FrameEvent):
                frame = event.frame
                decoded = self._decoded[event.sender]
                decoded[0] += 1
                decoded[1] += len(frame.header)
                if frame.inflated is not None:
                    self._inflated[0] += len(frame.payload_raw)
                    self._inflated[1] += len(frame.inflated)
        rows = self.timeline.rows(source, events, self._offsets[source])
        self.drawn += sum(row.json["what"] == "frame" for row in rows)
        return rows

    def lanes_of_rows(self) -> dict[int, Json]:
        """Return the lanes that the rows are on; none of them is new then."""
        used = (row.json["lane"] for row in self.rows if "lane" in row.json)
        return self.timeline.lanes.used_by(used)

    def numbers(self) -> Json:
        """Return what the footer says; frames and bytes are exact, whatever was drawn."""
        total = {"client": Tally(), "server": Tally()}
        for reader in self._readers:
            for sender, tally in reader.tally().items():
                total[sender].add(tally)
        frames = total["client"].frames + total["server"].frames
        size_bytes = total["client"].size_bytes + total["server"].size_bytes
        # Headers are known of what was decoded; each side's others are taken to be like its own.
        header_bytes = sum(
            size * total[sender].frames / count
            for sender, (count, size) in self._decoded.items()
            if count
        )
        decoded = sum(count for count, _ in self._decoded.values())
        dropped = [tape.dropped for tape in self.tapes]
        return {
            **{sender: _numbers(tally) for sender, tally in total.items()},
            "header": round(header_bytes),
            "bytes": size_bytes,
            "about": decoded < frames,
            "inflated": self._inflated,
            "ping": self.timeline.ping_s,
            "dropped": [sum(d.frames for d in dropped), sum(d.size_bytes for d in dropped)],
            "passed": self._passed,
        }


def _numbers(tally: Tally) -> Json:
    kinds = tally.opcodes
    return {
        "frames": tally.frames,
        "size": tally.size_bytes,
        "text": kinds[Opcode.TEXT],
        "binary": kinds[Opcode.BINARY],
        "continuation": kinds[Opcode.CONT],
        "ping": kinds[Opcode.PING],
        "pong": kinds[Opcode.PONG],
        "close": kinds[Opcode.CLOSE],
    }


def numbers_since(numbers: Json, base: Json) -> Json:
    """Return numbers counted from a base on, as a page that was cleared shows them."""
    if not base:
        return numbers
    since = dict(numbers)
    for sender in ("client", "server"):
        since[sender] = {key: n - base[sender].get(key, 0) for key, n in numbers[sender].items()}
    for key in ("header", "bytes"):
        since[key] = max(0, numbers[key] - base.get(key, 0))
    return since
