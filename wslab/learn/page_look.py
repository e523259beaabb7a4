"""PAGE_LOOK: the head that the lessons' pages share: colours that follow JupyterLab's theme.

A frame's prefers-color-scheme is the colour scheme of what is around it, and JupyterLab says there
which of the two it is. A page may use light-dark() for colours of its own.
"""

from __future__ import annotations

__all__ = ["PAGE_LOOK"]

PAGE_LOOK = """<link rel="icon" href="data:,">
<style>
  :root { color-scheme: light dark; }
  body { margin: 0; padding: 10px 14px; font: 14px/1.5 system-ui, sans-serif;
    color: light-dark(#1d2433, #e6e9ef); background: light-dark(#fff, #1b1f27); }
</style>"""
