"""The wire: bytes in, values out.

Everything in this package is pure: no event loop, no socket, no thread, no widget. It needs only
the standard library, so that it also runs where there is no network at all.
"""
