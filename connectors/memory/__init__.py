"""A store and a source in memory: for tests and demos, and as short examples."""
