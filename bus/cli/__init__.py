"""The command line: one module per command group, which parses, asks ``bus.operate`` and draws.

Nothing is decided here. Results go to stdout, progress and errors to stderr (``output``).
"""
