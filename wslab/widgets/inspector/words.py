"""Words: what a row of the timeline says, in one line of text.

For the static forms, and beside what the page's own script says of a row.
"""

from __future__ import annotations

from typing import Any

from ..panels import model

__all__ = ["moment", "words"]

Json = dict[str, Any]


def moment(at_s: float) -> str:
    """Return a time on the tape: "304 ms", "1.204 s", "2:05.310"."""
    if at_s < 0.9995:
        return f"{at_s * 1e3:.0f} ms"
    if at_s < 59.9995:
        return f"{at_s:.3f} s"
    minutes, seconds = divmod(round(at_s * 1000), 60_000)
    if minutes < 60:
        return f"{minutes}:{seconds / 1000:06.3f}"
    return f"{minutes // 60}:{minutes % 60:02}:{seconds // 1000:02}"


def words(row: Json) -> str:
    """Return what a row says, in one line."""
    what, label = row["what"], str(row.get("label", ""))
    if what == "frame":
        return _frame_words(row)
    if what in ("request", "response", "body") and "layers" in row:
        faults = [f"breaks {fault[0]}" for fault in row.get("faults", ())]
        return ", ".join(part for part in (label, row["layers"]["says"], *faults) if part)
    if what == "request":
        return label + (" Upgrade: websocket" if row["upgrade"] else "")
    if what == "passed":
        return f"{row['frames']:,} frames not drawn; all are counted"
    if what == "keepalive":
        return _keepalive_words(row)
    if what == "body":
        return f"{model.size(row['size'])} of body {label}"
    if what == "fault":
        return f"fault: {label} ({row['faults'][0][1]})"
    return label


def _keepalive_words(row: Json) -> str:
    pings, pongs = row["pings"], row["frames"] - row["pings"]
    said = " and ".join(
        f"{count:,} {word}{'' if count == 1 else 's'}"
        for count, word in ((pings, "ping"), (pongs, "pong"))
        if count
    )
    return f"{said}, {row['every']:.3g} s apart" if row["every"] else f"keepalive: {said}"


def _frame_words(row: Json) -> str:
    kind, parts = row["kind"], [model.size(row["wire"])]
    if "part" in row:
        whole = row.get("whole")
        of = f" of {whole['parts']}" if whole else ""
        more = "" if whole else ", more follows"
        kind = f"{row.get('message', kind)}, part {row['part']}{of}{more}"
    label = f'"{row["label"]}"' if row.get("message") == "text" else row["label"]
    if row["kind"] == "close":
        label = str(row.get("code") or "without a code")
        label += f' "{row["reason"]}"' if row.get("reason") else ""
    if "layers" in row:
        parts.append(row["layers"]["says"])
    if row.get("cut"):
        parts.append(f"{model.size(row['cut'])} of it not kept")
    if row.get("compressed"):
        parts.append("compressed")
    if "rtt" in row:
        parts.append(f"answered in {model.round_trip(row['rtt'])}")
    said = " ".join(parts)
    parts += [f"breaks {fault[0]}" for fault in row.get("faults", ()) if fault[0] not in said]
    return ", ".join([f"{kind} {label}".strip(), *parts])
