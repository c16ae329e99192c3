"""A source of changes in a file, one JSON object a line: first loads and repairs.

:mod:`~connectors.jsonlines.source` reads it and counts, :mod:`~connectors.jsonlines.journal`
remembers how far a load had come.
"""
