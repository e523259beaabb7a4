"""PAGE_LOOK: the head that the lessons' pages share: colours that follow JupyterLab's theme.

Its rule: where the page around it may not be looked at (another origin), the system's theme counts.
A page may use light-dark() for colours of its own.
"""

from __future__ import annotations

__all__ = ["PAGE_LOOK"]

PAGE_LOOK = """<link rel="icon" href="data:,">
<style>
  :root { color-scheme: light dark; }
  body { margin: 0; padding: 10px 14px; font: 14px/1.5 system-ui, sans-serif;
    color: light-dark(#1d2433, #e6e9ef); background: light-dark(#fff, #111); }
</style>
<script>
  try {
    const { body } = parent.document;  // an error where the page around this one is another site's
    const take = () => {
      const scheme = { true: "light", false: "dark" }[body.dataset.jpThemeLight];
      if (scheme) document.documentElement.style.colorScheme = scheme;
    };
    new MutationObserver(take).observe(body, { attributeFilter: ["data-jp-theme-light"] });
    take();
  } catch {}
</script>"""
