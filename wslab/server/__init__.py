"""Serving: `server` is `serve()` and `Server`; `http_page` is what a plain GET gets."""
