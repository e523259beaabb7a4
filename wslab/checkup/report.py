"""What the doctor found: findings, and a report that shows them as text and as a table.

Its rule: what is shown holds no secret and not the way to the user's home.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from .versions import own_version

__all__ = ["NOT_TRIED", "Finding", "Report", "tidied"]

WIDTH = 80
NOT_TRIED = "not tried, because of what is said above"
STATES = {True: "works", False: "does not work", None: "not known"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    ``ok`` is True (works), False (will not work) or None (could not be known); ``seen`` is what
    came, ``advice`` what to do about it, or "".
    """

    name: str
    ok: bool | None
    seen: str
    advice: str = ""

    @property
    def state(self) -> str:
        """``ok`` in words."""
        return STATES[self.ok]


@dataclass(frozen=True, repr=False)
class Report:
    """All findings of one examination; shows itself as a table, as text and in a notebook."""

    findings: tuple[Finding, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing was found that will not work. What is not known does not count."""
        return all(finding.ok is not False for finding in self.findings)

    @property
    def summary(self) -> str:
        """One sentence: how many work, how many do not, how many are not known."""
        failed, unknown = (sum(f.ok is state for f in self.findings) for state in (False, None))
        works = len(self.findings) - failed - unknown
        parts = [f"{works} of {len(self.findings)} work"]
        if failed:
            parts.append(f"{failed} {'does' if failed == 1 else 'do'} not work")
        if unknown:
            parts.append(f"{unknown} {'is' if unknown == 1 else 'are'} not known")
        return f"wslab {own_version()}: {', '.join(parts)}."

    def __str__(self) -> str:
        import textwrap

        names = max((len(f.name) for f in self.findings), default=0)
        states = max(map(len, STATES.values()))
        indent = " " * (states + names + 4)
        lines = [self.summary, ""]
        for finding in self.findings:
            head = f"{finding.state:{states}}  {finding.name:{names}}  "
            lines += textwrap.wrap(
                finding.seen, WIDTH, initial_indent=head, subsequent_indent=indent
            ) or [head.rstrip()]
            if finding.advice:
                lines += textwrap.wrap(
                    finding.advice,
                    WIDTH,
                    initial_indent=f"{indent}-> ",
                    subsequent_indent=f"{indent}   ",
                )
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from html import escape

        rows = []
        for finding in self.findings:
            weight = "600" if finding.ok is False else "400"
            advice = f'<div style="{_ADVICE}">{escape(finding.advice)}</div>'
            rows.append(
                f'<tr style="background:none"><td style="{_CELL};font-weight:{weight};'
                f'white-space:nowrap">{finding.state}</td>'
                f'<th scope="row" style="{_CELL};font-weight:400;white-space:nowrap">'
                f"{escape(finding.name)}</th>"
                f'<td style="{_CELL}">{escape(finding.seen)}'
                f"{advice if finding.advice else ''}</td></tr>"
            )
        heads = "".join(
            f'<th scope="col" style="{_CELL};font-weight:600">{head}</th>'
            for head in ("state", "what", "seen")
        )
        return (
            f'<table style="{_TABLE}"><caption style="{_CAPTION}">{escape(self.summary)}</caption>'
            f"<thead><tr>{heads}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
        )


_LINE = "var(--jp-border-color2, rgba(128, 128, 128, 0.4))"
_TABLE = (
    "border-collapse:collapse;max-width:56em;color:var(--jp-content-font-color1, inherit);"
    "font-family:var(--jp-content-font-family, sans-serif);font-size:inherit"
)
_CAPTION = "caption-side:top;text-align:left;color:inherit;padding:0.25em 0.75em 0.5em 0"
_CELL = (
    f"text-align:left;vertical-align:top;padding:0.25em 0.75em 0.25em 0;border:0;"
    f"border-top:1px solid {_LINE}"
)
_ADVICE = "color:var(--jp-content-font-color1, inherit);padding:0.15em 0 0 1em"


def tidied(findings: Iterable[Finding], secrets: Iterable[str]) -> tuple[Finding, ...]:
    """Return the findings without secrets and without the way to the user's home."""
    home = os.path.expanduser("~")

    def tidy(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, "[hidden]")
        text = re.sub(r"(?i)\b(token=|bearer )[^\s&'\"]+", r"\1[hidden]", text)
        text = re.sub(r"//[^/@\s]+@", "//[hidden]@", text)
        if len(home) > 1:
            text = text.replace(home, "~")
        return " ".join(text.split())

    return tuple(
        replace(finding, seen=tidy(finding.seen), advice=tidy(finding.advice))
        for finding in findings
    )
