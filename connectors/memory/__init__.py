"""A receiving store in memory: for tests, demos and as the shortest example of a sink."""
