"""What operators ask and do. Commands only parse, ask this package, and draw the answer.

- *session*: streams, log, registry, ledger and the bus's own streams, each opened once.
- *questions*: what returns a value and changes nothing.
- *deeds*: planned with counts, then performed by an actor, recorded in the journal.
- *documents*: one shape for machines of each value.
- *jobs*: what takes a while.
"""
