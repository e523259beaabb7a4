"""How a server of ours makes itself known to Jupyter's server: one file, for as long as it lives.

`kernel` is the side that serves: it writes entries. `jupyter` is the side that relays: it finds
them, and tells kernels that it is there. `files` and `addresses` are what both rely on.
"""
