"""The roster of connectors: one line each; a connector is imported when it is first used."""

SINKS = {
    "memory": "connectors.memory.sink:MemorySink",
    "postgres": "connectors.postgres.sink:PostgresSink",
}
SOURCES = {
    "jsonlines": "connectors.jsonlines.source:LinesSource",
    "memory": "connectors.memory.source:MemorySource",
    "outbox": "connectors.outbox.source:OutboxSource",
}
