"""A replay as text and as HTML that needs no script: the record's lane beside this run's.

Its rule: each difference stands twice, in a list that leads to its line and on that line, by sign
and word. It draws what is so now and does not move; show the replay again for a later moment.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterable, Iterator, Sequence

from ...replays.differences import SIGNS, Difference
from ...replays.replay import Replay
from ...replays.run import Run
from ..panels.model import one_line
from ..static_html import MONO, SOFT, TEXT, drawn_now, escape, soft
from .lines import Line, Talk, lines_of, talks_of

__all__ = ["to_html", "to_text"]

MAX_LINES = 200  # that are drawn of a run
MAX_RUNS = 10  # that are drawn
MAX_LISTED = 50  # differences
MAX_TEXT = 160  # characters of one in the list
_NEAR = 2  # lines around a difference that are drawn; what is the same further away is folded

_BAD = "var(--jp-error-color1,#d32f2f)"
_LINE = "border-bottom:1px solid var(--jp-border-color2,#d5dae1)"
_CELL = f"text-align:left;vertical-align:top;padding:2px 6px;background:none;{_LINE}"
_SAID = f"{_CELL};{MONO};white-space:pre-wrap;overflow-wrap:anywhere;width:50%"


def to_text(replay: Replay) -> str:
    """Return what a terminal shows."""
    lines = [repr(replay), *(f"  note: {note}" for note in replay.notes)]
    if replay.differences:
        lines += [f"  {line}" for line in repr(replay.differences).splitlines()[1:]]
    return "\n".join(lines)


def to_html(replay: Replay) -> str:
    """Return what a page shows, where scripts do not run as well."""
    # Two replays in one notebook, and one that is shown twice, lead to their own lines.
    anchor = f"wslab-replay-{secrets.token_hex(4)}"
    found = replay.differences
    total = len(found) + found.dropped
    verdict = f"{total:,} difference{'' if total == 1 else 's'}" if total else "no differences"
    runs = replay.runs
    where = f" at <code>{escape(replay.url)}</code>" if replay.url else ""
    parts = [
        f"<p><b>Replay</b> of {escape(replay.record.name or 'a record')}, the {replay.side}'s side"
        f"{where}: <b>{verdict}</b>. {drawn_now()}</p>",
        *(soft(note) for note in replay.notes[:10]),
    ]
    if found:
        parts.append(_list(found[:MAX_LISTED], anchor))
        if total > MAX_LISTED:
            parts.append(soft(f"and {total - MAX_LISTED:,} more, in replay.differences"))
    recorded, live = talks_of(replay.record), talks_of(replay.tape)
    # Of many, those that have differences.
    shown = [run for run in runs if any(each.run == run.number for each in found)] or runs[-1:]
    for run in shown[:MAX_RUNS]:
        talks = recorded.get(run.script.id, Talk()), live.get(run.connection_id, Talk())
        parts.append(_table(replay, run, *talks, anchor))
    if len(shown) > MAX_RUNS:
        more = len(shown) - MAX_RUNS
        parts.append(soft(f"and {more:,} more connection{'' if more == 1 else 's'}"))
    if not runs:
        parts.append(soft("Nobody has connected yet; then show it again."))
    return f'<div style="{TEXT};max-width:1120px">{"".join(parts)}</div>'


def _list(found: Iterable[Difference], anchor: str) -> str:
    items = [
        f'<li><a href="#{_id(anchor, each)}">{SIGNS[each.kind]} {each.kind}</a> '
        f"{escape(each.where)}: {escape(one_line(each.in_short, MAX_TEXT))}</li>"
        for each in found
    ]
    style = "margin:0 0 8px;padding-left:24px;overflow-wrap:anywhere"
    return f'<ol style="{style}">{"".join(items)}</ol>'


def _id(anchor: str, each: Difference) -> str:
    return f"{anchor}-{each.run}-{each.kind}-{each.number}-{each.seen_number or 0}"


def _table(replay: Replay, run: Run, recorded: Talk, live: Talk, anchor: str) -> str:
    folded = _fold(list(lines_of(replay, run, recorded, live)))
    rows = [_row(line, anchor) for line in itertools.islice(folded, MAX_LINES)]
    more = sum(line if isinstance(line, int) else 1 for line in folded)
    more += recorded.more
    names = ("#", "s", "from", f"on the record: {run.script.name}", "this time", "")
    style = f"{_CELL};{SOFT};font-weight:400"
    head = "".join(f'<th scope="col" style="{style}">{escape(name)}</th>' for name in names)
    tail = soft(f"{more:,} lines more are not drawn") if more else ""
    return (
        '<table style="table-layout:auto;border-collapse:collapse;width:100%;margin:0 0 8px">'
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>{tail}"
    )


def _fold(lines: Sequence[Line]) -> Iterator[Line | int]:
    """Give the lines; in place of many that are the same, far from a difference, their number."""
    places = [n for n, line in enumerate(lines) if line.differences]
    near = {n + off for n in places for off in range(-_NEAR, _NEAR + 1)}
    near |= {0, 1, 2, len(lines) - 1, len(lines) - 2}
    for is_near, group in itertools.groupby(enumerate(lines), lambda item: item[0] in near):
        same = [line for _, line in group]
        if is_near or len(same) < 3:
            yield from same
        else:
            yield len(same)


def _row(line: Line | int, anchor: str) -> str:
    if isinstance(line, int):
        return (
            f'<tr style="background:none"><td colspan="6" style="{_CELL};{SOFT}">'
            f"⋮ {line:,} more, the same</td></tr>"
        )
    first = line.differences[0] if line.differences else None
    words = "<br>".join(f"{SIGNS[each.kind]} {each.kind}" for each in line.differences)
    sign = f'<b style="color:{_BAD};white-space:nowrap">{words}</b>' if words else ""
    ids = "".join(f'<span id="{_id(anchor, each)}"></span>' for each in line.differences)
    live = line.live
    if first is not None and line.sender is None:
        live = "; ".join(str(each.seen) for each in line.differences)
    elif first is not None and first.kind == "order":
        live = f"({first.note})"
    cells = (
        (f"{_CELL};{SOFT}", escape(str(line.number or ""))),
        (f"{_CELL};{SOFT}", "" if line.at_s is None else f"{line.at_s:.3f}"),
        (_CELL, ids + (line.sender or "")),
        (_SAID, _said(line.recorded)),
        (_SAID, _said(live)),
        (_CELL, sign),
    )
    mark = f";box-shadow:inset 3px 0 {_BAD}" if first is not None else ""
    inner = "".join(f'<td style="{style}">{text}</td>' for style, text in cells)
    return f'<tr style="background:none{mark}">{inner}</tr>'


def _said(text: str | None) -> str:
    return f'<span style="{SOFT}">—</span>' if text is None else escape(text)
